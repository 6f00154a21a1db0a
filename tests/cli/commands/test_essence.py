"""``captum-influence essence``, in-process."""

from pathlib import Path

import pytest

from captum_influence import Essence
from captum_influence.cli.program import main


def test_of_a_class_of_ones_own(colours, written_in, capsys) -> None:
    words = ["essence", *colours, "--target", "red", "--show", "1", "--prototype-steps", "2"]
    assert main([*words, "--out", "made"]) == 0
    assert "red is first of all channel 0 of 1: 100\u00a0%" in capsys.readouterr().out
    found = Essence.load(written_in("made"))
    assert found.units[0].unit.index == (0,)
    assert found.count == 3
    assert found.prototype.value > found.prototype.start
    again = ["--by", "contribution", "--quiet", "--force"]
    assert main([*words, *again, "--out", "made"]) == 0
    assert capsys.readouterr().out == ""


def test_held_out_pictures(colours, written_in) -> None:
    words = ["essence", *colours, "--target", "red", "--prototype-steps", "0", "--show", "1"]
    assert main([*words, "--held-out", "numbered", "--out", "made"]) == 0
    found = Essence.load(written_in("made"))
    assert found.held_out
    assert found.prototype is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--model nets.py:build", "expected --target beside --model, got no --target"),
        ("--images photos", "expected --model beside --images"),
        ("--held-out photos", "got the demo, which has its own"),
        ("--size 8", "expected --model beside --size"),
        ("--target cupe", "similar names: coupe"),
        ("--out taken --target coupe", "report.html"),
    ],
)
def test_mistakes_are_named_in_one_line(colours, fails, words: str, message: str) -> None:
    Path("taken").mkdir()
    Path("taken/report.html").write_text("mine")
    assert message in fails(f"essence {words}")
    assert Path("taken/report.html").read_text() == "mine"


def test_subfolders_that_are_no_classes(colours, fails) -> None:
    Path("photos", "red").rename(Path("photos", "scarlet"))
    assert "expected a subfolder for each class" in fails(["essence", *colours, "--target", "red"])


@pytest.mark.slow
def test_without_words_it_is_about_the_demo(folder, written_in, capsys) -> None:
    assert main(["essence", "--prototype-steps", "4"]) == 0
    assert "To this network, coupe is first of all channel" in capsys.readouterr().out
    written_in("captum-influence-essence")
