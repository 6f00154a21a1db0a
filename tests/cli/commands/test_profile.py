"""``captum-influence profile`` on the demo, and on a folder of pictures with the user's network."""

import errno
import itertools
import os
from pathlib import Path

import pytest
import torch
from PIL import Image

from captum_influence import InfluenceProfile
from captum_influence.cli.program import main

NETWORK = """
from torch import nn

def build():
    layers = [nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3)]
    return nn.Sequential(*layers)
"""


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """Return the command for a network and three pictures in two groups."""
    (tmp_path / "nets.py").write_text(NETWORK)
    torch.manual_seed(0)
    for group, colours in {"warm": ["red", "orange"], "cold": ["blue"]}.items():
        (tmp_path / "pictures" / group).mkdir(parents=True)
        for colour in colours:
            Image.new("RGB", (12, 10), colour).save(tmp_path / "pictures" / group / f"{colour}.png")
    model = ["--model", f"{tmp_path / 'nets.py'}:build", "--images", str(tmp_path / "pictures")]
    return ["profile", *model, "--size", "8", "--layer", "1", "--out", str(tmp_path / "out")]


def test_a_folder_of_pictures(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "warm (n = 2)" in out
    assert "units of largest mean contribution to score(predicted class)" in out
    profile = InfluenceProfile.load(tmp_path / "out")
    assert profile.groups == ("cold", "warm")
    assert profile.facts["group_by"] == "folder"
    assert "profile" in (tmp_path / "out" / "report.html").read_text("utf-8")


def test_a_class_is_called_by_its_name(tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "names.txt").write_text("sun\nmoon\nstar\n")
    assert main([*words, "--target", "1", "--labels", str(tmp_path / "names.txt")]) == 0
    profile = InfluenceProfile.load(tmp_path / "out")
    assert profile.facts["quantities"] == ("score(moon)",)
    assert "score(moon)" in profile.headline


def test_the_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["profile", "--out", str(tmp_path), "--distribution", "point", "--layer", "relu5"]
    assert main(command) == 0
    assert "coupe (n = 20)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--images", "nowhere"], "which is none"),
        (["--target", "9"], "expected a class from 0 to "),
        (["--layer", "conv9"], "no layer named 'conv9'"),
        (
            ["--distribution", "point", "--points", "8"],
            "expected --points with --distribution path",
        ),
    ],
)
def test_errors_are_one_line(
    words: list[str], more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, *more]) == 2
    assert message in capsys.readouterr().err


def test_a_network_needs_pictures(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", "--model", "nets.py:build"]) == 2
    assert "--model and --images together" in capsys.readouterr().err


def test_an_empty_folder_is_refused(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert main([*words, "--images", str(tmp_path / "empty")]) == 2
    assert "got none" in capsys.readouterr().err


def _broken(tmp_path: Path) -> list[Path]:
    """Break two of three pictures, and put a file beside them that is none."""
    pictures = tmp_path / "pictures"
    bad = [pictures / "warm" / "red.png", pictures / "cold" / "deep" / "cut.png"]
    bad[1].parent.mkdir()
    bad[0].write_text("broken")
    bad[1].write_bytes((pictures / "warm" / "orange.png").read_bytes()[:-20])
    (pictures / "warm" / "photo.heic").touch()
    return bad


def test_bad_pictures_are_left_out_named_and_counted(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    bad = _broken(tmp_path)
    assert main([*words, "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    for told in (err, page):
        assert "Left out, 2 of 4 pictures" in told
        assert all(str(path) in told for path in bad)
        assert "1 .heic" in told
    profile = InfluenceProfile.load(tmp_path / "out")
    assert {group: profile.count(group) for group in profile.groups} == {"cold": 1, "warm": 1}


def test_strict_stops_at_a_bad_picture(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    bad = _broken(tmp_path)
    assert main([*words, "--strict"]) == 2
    err = capsys.readouterr().err
    assert any(str(path) in err for path in bad)
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("written", [0, 1, 2, 3])
@pytest.mark.parametrize("earlier", [True, False])
def test_a_full_disk_is_one_line_and_leaves_nothing_half(
    tmp_path: Path,
    words: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    written: int,
    earlier: bool,
) -> None:
    def content() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}

    out, fsync, count = tmp_path / "out", os.fsync, itertools.count()
    if earlier:
        assert main(words) == 0
    before = content()
    capsys.readouterr()

    def full(file: int) -> None:
        if next(count) >= written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(file)

    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", full)
        assert main([*words, "--distribution", "point", "--force"]) == 2
    err = capsys.readouterr().err
    assert f"room to write to {str(out)!r}, got No space left on device" in err
    assert err.count("\n") == 1
    assert content() == before
    assert out.exists() == earlier
    assert main([*words, "--force"]) == 0  # the folder is usable again
