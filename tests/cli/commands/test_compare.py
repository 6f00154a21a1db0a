"""The subcommand compare, in-process."""

from pathlib import Path

import pytest

from captum_influence import Comparison
from captum_influence.cli.program import main

FEW = "influence,LayerGradCam,LRP"


pytestmark = pytest.mark.usefixtures("folder")


def test_the_demo(capsys: pytest.CaptureFixture[str]) -> None:
    words = f"compare --methods {FEW} --points 2 --target coupe".split()
    assert main(words) == 0
    home = Path("captum-influence-compare")
    found = Comparison.load(home)
    assert list(found.maps) == FEW.split(",")
    assert found.not_applicable == {}
    assert found.headline in capsys.readouterr().out
    assert "pixel flipping" in (home / "report.html").read_text(encoding="utf-8")
    assert list((home / "figures").glob("*.png"))
    assert main([*words, "--quiet", "--force"]) == 0  # over its own results
    assert capsys.readouterr().out == ""


def test_who_cannot_answer_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main("compare --methods LayerGradCam,Saliency --layer fc --no-scores".split()) == 0
    assert "LayerGradCam: not applicable: it weighs channels" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--methods Insight", 'expected "default" or a list out of'),
        ("--target 99", "expected a class from 0 to 7"),
        ("--layer nowhere", "no layer named 'nowhere'"),
        ("--out taken", "choose another"),
        ("--out taken/report.html", "is a file"),
    ],
)
def test_wrong_options_are_refused(words: str, message: str, fails) -> None:
    Path("taken").mkdir()
    Path("taken/report.html").write_text("mine")
    assert message in fails(["compare", *words.split()])
    assert Path("taken/report.html").read_text() == "mine"
