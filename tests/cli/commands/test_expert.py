"""``captum-influence expert``, in-process."""

import pytest

from captum_influence import ExpertCurves
from captum_influence.cli.program import main


def test_of_a_class_of_ones_own(colours, written_in, capsys) -> None:
    words = ["expert", *colours, "--target", "red", "--rankings", "influence,random"]
    assert main([*words, "--mode", "remove", "--out", "made"]) == 0
    assert "by influence: 1 channel," in capsys.readouterr().out
    found = ExpertCurves.load(written_in("made"))
    assert set(found.counts) == {"influence", "random"}
    assert found.rankings["influence"][0].index == (0,)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--rankings size", "expected some of contribution"),
        ("--replace median", "\"resample\", got 'median'"),
        ("--model nets.py:build --target red", "got no --layer"),
    ],
)
def test_mistakes_are_named_in_one_line(colours, fails, words: str, message: str) -> None:
    assert message in fails(f"expert {words}")


@pytest.mark.slow
def test_without_words_it_is_about_the_demo(folder, written_in, capsys) -> None:
    assert main(["expert"]) == 0
    assert " alone recognise coupe as well as the whole network" in capsys.readouterr().out
    written_in("captum-influence-expert")
