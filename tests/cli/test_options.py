"""One vocabulary for all subcommands."""

import argparse
from dataclasses import fields

import pytest

from captum_influence.cli.options import (
    OutputOptions,
    PreprocessingOptions,
    QuestionOptions,
    replacement,
)
from captum_influence.cli.program import COMMANDS, parsed


def test_a_word_means_the_same_everywhere() -> None:
    meanings: dict[str, set[object]] = {}
    for name in COMMANDS:
        for group in COMMANDS[name].groups:
            for f in fields(group):
                for flag in f.metadata.get("flags", ()):
                    meanings.setdefault(flag, set()).add(f.name.removesuffix("s"))
    assert {flag: names for flag, names in meanings.items() if len(names) > 1} == {}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_subcommand_says_where_and_draws_from_a_seed(name: str) -> None:
    flags = {
        flag
        for g in COMMANDS[name].groups
        for f in fields(g)
        for flag in f.metadata.get("flags", ())
    }
    assert {"--out", "--quiet", "--debug", "--model", "--device", "--seed"} <= flags
    # What save_pretrained writes has its weights beside it.
    assert ("--weights" in flags) == (name not in {"explain-text", "circuit"})


@pytest.mark.parametrize(
    ("text", "value"), [("zero", 0.0), ("mean", "mean"), ("resample", "resample"), ("-1.5", -1.5)]
)
def test_replacements(text: str, value: object) -> None:
    assert replacement(text) == value


def test_a_replacement_that_is_none() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="'median'"):
        replacement("median")


def test_preprocessing_says_what_was_said() -> None:
    words = "explain --size 12x8 --squash --mean 104,117,123 --value-range 255".split()
    (found,) = (g for g in parsed(words)[1] if isinstance(g, PreprocessingOptions))
    assert found.parts() == {
        "size": (12, 8),
        "fit": "squash",
        "mean": (104.0, 117.0, 123.0),
        "value_range": 255,
    }


def test_the_help_says_what_follows_without_being_said() -> None:
    """As cli/question.py takes them: points or a baseline are those of a path."""
    for name in ("points", "baseline"):
        about = QuestionOptions.__dataclass_fields__[name].metadata["how"]["help"]
        assert "without --distribution, it asks over a path" in about


def test_quiet_shows_no_progress() -> None:
    assert OutputOptions().show_progress
    assert not OutputOptions(quiet=True).show_progress


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--size 99999", "at most 8192 pixels a side, got 99999"),
        ("--size 12x99999", "at most 8192 pixels"),
        ("--size " + "9" * 99, "a positive whole number"),
        ("--size x12", "a positive whole number"),
        ("--resize 99999", "at most 8192 pixels"),
        ("--mean nan", "one number or three"),
        ("--std 1,inf,1", "one number or three"),
        ("--seed " + "9" * 19, "a whole number of 64 bits"),
        ("--seed " + "9" * 5000, "a whole number of 64 bits"),
        ("--seed one", "a whole number of 64 bits"),
        ("--call -1", "a positive whole number"),
        ("--replace nan", "expected a number"),
        ("--imge x.png", "unrecognized arguments: --imge x.png: did you mean --image?"),
    ],
)
def test_absurd_numbers_are_refused_in_one_line(fails, words: str, message: str) -> None:
    assert message in fails(f"explain {words}")
