"""``captum-influence pair``, in-process."""

import pytest

from captum_influence import Pair
from captum_influence.cli.program import main


def test_two_classes_of_ones_own(colours, written_in, capsys) -> None:
    words = ["pair", *colours, "--target", "0", "--versus", "green", "--replace", "zero"]
    assert main([*words, "--out", "made"]) == 0
    found = Pair.load(written_in("made"))
    assert found.headline in capsys.readouterr().out
    assert "channel 0" in found.headline
    assert found.second.units[0].unit.index == (1,)
    assert found.first.moves.moved["contribution"][0] == 1.0


def test_names_of_files_may_say_the_class(colours, written_in) -> None:
    colours[colours.index("photos")] = "numbered"
    assert main(["pair", *colours, "--target", "red", "--versus", "green", "--out", "made"]) == 0
    assert Pair.load(written_in("made")).first.count == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--model nets.py:build --layer 1 --target 0", "got no --versus"),
        ("--target coupe --versus coupe", "expected two classes"),
    ],
)
def test_mistakes_are_named_in_one_line(colours, fails, words: str, message: str) -> None:
    assert message in fails(f"pair {words}")


@pytest.mark.slow
def test_without_words_it_is_about_the_demo(folder, written_in, capsys) -> None:
    assert main(["pair"]) == 0
    assert "What separates coupe from convertible in relu5: channel" in capsys.readouterr().out
    written_in("captum-influence-pair")
