"""The subcommand compare, in-process."""

import json
from pathlib import Path

import pytest

pytest.importorskip("PIL.Image", reason="the command line reads pictures with Pillow")

from captum_influence.cli.program import main

FEW = "influence,LayerGradCam,LRP"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_demo(capsys: pytest.CaptureFixture[str]) -> None:
    words = f"compare --methods {FEW} --points 2 --target coupe --scale shared".split()
    assert main(words) == 0
    assert "3 maps: " in capsys.readouterr().out
    folder = Path("captum-influence-comparison")
    found = json.loads((folder / "comparison.json").read_text(encoding="utf-8"))
    assert list(found["methods"]) == FEW.split(",")
    assert found["not_applicable"] == {}
    assert (folder / "comparison.png").read_bytes().startswith(b"\x89PNG")
    assert "ABPC" in (folder / "comparison.html").read_text(encoding="utf-8")
    assert set(found["chance"]) == {"ABPC, blur", "ABPC, mean", "on the object"}
    assert main([*words, "--quiet"]) == 0  # over its own results
    assert capsys.readouterr().out == ""


def test_who_cannot_answer_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main("compare --methods LayerGradCam,Saliency --layer fc --no-scores".split()) == 0
    out = capsys.readouterr().out
    assert "LayerGradCam: not applicable: it weighs channels" in out
    assert "1 maps" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--methods Insight", 'expected "default" or a list out of'),
        ("--target 99", "expected a class from 0 to 7"),
        ("--layer nowhere", "no layer named 'nowhere'"),
        ("--out taken", "choose another"),
        ("--out taken/comparison.png", "which is a file"),
    ],
)
def test_wrong_options_are_refused(
    words: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("taken").mkdir()
    Path("taken/comparison.png").write_text("mine")
    assert main(["compare", *words.split()]) == 2
    assert message in capsys.readouterr().err
    assert Path("taken/comparison.png").read_text() == "mine"
