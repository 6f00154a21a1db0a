"""``captum-influence prototype``, in-process."""

import pytest

from captum_influence import Prototype
from captum_influence.cli.program import main


def test_of_a_class_and_of_a_unit_of_ones_own(colours, written_in, capsys) -> None:
    network = colours[: colours.index("--images")]
    assert main(["prototype", *network, "--target", "red", "--steps", "8", "--out", "made"]) == 0
    found = Prototype.load(written_in("made"))
    assert found.headline in capsys.readouterr().out
    assert found.value > 0.4
    unit = ["--layer", "1", "--unit", "2", "--steps", "2", "--out", "unit"]
    assert main(["prototype", *network, *unit]) == 0
    assert Prototype.load(written_in("unit")).layer == "1"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--unit 3", "expected --unit N with --layer NAME"),
        ("--model nets.py:build", "expected --target CLASS, or --layer NAME"),
        ("--steps 0", "positive whole number"),
        ("--layer relu3", "expected --unit N beside --layer"),
        ("--target 99", "expected a class from 0 to 7, got 99: the network has 8 outputs"),
        ("--target plane", "; there are coupe, convertible, "),
    ],
)
def test_mistakes_are_named_in_one_line(colours, fails, words: str, message: str) -> None:
    assert message in fails(f"prototype {words}")


def test_without_words_it_is_about_the_demo(folder, written_in, capsys) -> None:
    assert main(["prototype", "--steps", "2"]) == 0
    assert "score(tree)" in capsys.readouterr().out
    written_in("captum-influence-prototype")
