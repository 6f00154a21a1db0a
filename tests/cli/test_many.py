"""A folder of pictures from the shell: an index, shares, processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from captum_influence import Explanation, Findings
from captum_influence.cli.program import main


@pytest.fixture
def many(own: list[str]) -> list[str]:
    """The command that explains three photos and meets a broken one."""
    for number in range(3):
        Path("photos").mkdir(exist_ok=True)
        Image.new("RGB", (12, 12), (80 * number, 90, 200)).save(f"photos/{number}.png")
    Path("photos/broken.png").write_bytes(b"broken")
    own[own.index("photo.jpg")] = "photos"
    own.remove("--quiet")
    return [*own, "--top", "1"]


def test_an_index_is_written_and_told_last(many: list[str], capsys) -> None:
    assert main(many) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("3 pictures, one by one: says ")
    assert told[0].endswith("1 picture was left out.")
    assert told[1].startswith("left out: broken.png: expected a picture in a format")
    assert told[-1] == "The report: captum-influence-explain-many/report.html"
    out = Path("captum-influence-explain-many")
    page = (out / "report.html").read_text("utf-8")
    assert "captum-influence explain --model nets.py:build" in page
    assert Findings.load(out).left_out[0].name == "broken.png"
    assert Explanation.load(out / "pages/1.png.safetensors").units
    assert main([*many, "--quiet"]) == 0
    assert capsys.readouterr().out == ""


def test_one_picture_and_many_have_folders_of_their_own(many: list[str]) -> None:
    assert main([*many, "--quiet"]) == 0
    many[many.index("photos")] = "photos/1.png"
    assert main([*many, "--quiet"]) == 0
    assert Explanation.load("captum-influence-explain").picture.shape == (3, 12, 12)


def test_shares_are_done_apart_and_put_together(many: list[str], capsys) -> None:
    for rank in range(2):
        assert main([*many, "--share", f"{rank}/2"]) == 0
        assert capsys.readouterr().out.startswith(f"share {rank} of 2: ")
    lines = sorted(Path("captum-influence-explain-many/lines").iterdir())
    written = [line.stat().st_mtime_ns for line in lines]
    assert main(many) == 0
    assert [line.stat().st_mtime_ns for line in lines] == written
    assert len(Findings.load("captum-influence-explain-many").entries) == 3


@pytest.mark.slow
def test_several_processes_do_what_one_does(many: list[str], monkeypatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(p for p in sys.path if p))
    assert main([*many, "--jobs", "2", "--out", "two", "--quiet"]) == 0
    assert main([*many, "--out", "one", "--quiet"]) == 0
    one, two = Findings.load("one"), Findings.load("two")
    assert [e.columns for e in one.entries] == [e.columns for e in two.entries]


def test_a_process_that_died_is_told_and_its_share_done(
    many: list[str], monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    class Dead:
        def __init__(self, words: list[str], **_: object) -> None:
            self.status = -9 if words[-1] == "0/2" else 0

        def wait(self) -> int:
            return self.status

        def kill(self) -> None:
            pass

    monkeypatch.setattr(subprocess, "Popen", Dead)
    assert main([*many, "--jobs", "2"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("3 pictures")
    assert "1 of 2 processes ended early" in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--strict", "broken.png"),
        ("--share 2/2", "0/4 to 3/4"),
        ("--distribution noise", "one picture beside noise"),
        ("--layer nope", "no layer named 'nope'"),
    ],
)
def test_what_cannot_be_asked_is_told_in_one_line(
    many: list[str], fails, options: str, message: str
) -> None:
    assert message in fails([*many, *options.split()])


def test_one_picture_is_not_shared_out(own: list[str], fails) -> None:
    assert "--image FOLDER beside --jobs" in fails([*own, "--jobs", "2"])


def test_layers_of_a_folder_are_listed(many: list[str], capsys) -> None:
    assert main([*many, "--list-layers"]) == 0
    assert "Conv2d" in capsys.readouterr().out


def test_the_other_verbs_take_a_folder_too(many: list[str], capsys) -> None:
    network = many[1 : many.index("--layer") + 2]
    assert main(["compare", *network, "--methods", "Saliency,LayerGradCam", "--points", "2"]) == 0
    assert "best method" in capsys.readouterr().out
    (Path("photos") / "crane").mkdir()
    for number in range(2):
        Path(f"photos/{number}.png").rename(f"photos/crane/{number}.png")
    assert main(["counterfactual", *network, "--controls", "2"]) in (0, 2)
    told = "".join(capsys.readouterr())
    assert "truth crane" in told or "expected a wrong answer" in told
