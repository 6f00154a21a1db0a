"""Options as dataclasses."""

import argparse
from dataclasses import dataclass
from typing import ClassVar

import pytest

from captum_influence.cli.groups import (
    Command,
    Group,
    count,
    counts,
    names,
    number,
    option,
    whole_numbers,
)


@dataclass(frozen=True, kw_only=True)
class Fruit(Group):
    """Which fruit."""

    title: ClassVar[str] = "fruit"

    kind: str | None = option("--kind", help="of fruit")
    number: int = option("--number", type=count, default=2, help="of them")
    said: str = "by nobody"


def _found(*words: str) -> Fruit:
    command = Command(purpose="", description="", examples="", groups=(Fruit,))
    (found,) = command.parsed(argparse.ArgumentParser(), words)
    assert isinstance(found, Fruit)
    return found


def test_a_group_is_what_was_said() -> None:
    assert _found() == Fruit()
    assert _found("--kind", "pear", "--number", "3") == Fruit(kind="pear", number=3)


def test_what_was_given_is_known_by_its_flags() -> None:
    fruit = _found("--kind", "pear")
    assert fruit.given() == ["--kind"]
    assert fruit.given("number") == []
    assert _found().given() == []


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (count, "7", 7),
        (counts, "0", 0),
        (whole_numbers, "5, 20", (5, 20)),
        (number(), "-1e3", -1000.0),
        (number(least=0), "0", 0.0),
        (names(), "a, b", ("a", "b")),
        (names("a", "b"), "b", ("b",)),
    ],
)
def test_what_is_read(read, text: str, value: object) -> None:
    assert read(text) == value


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (count, "0", "positive whole number, got '0'"),
        (count, "1.5", "positive whole number"),
        (counts, "-1", "positive whole number"),
        (whole_numbers, "5,,2", "positive whole number"),
        (number(), "nan", "a number, got 'nan'"),
        (number(), "inf", "a number"),
        (number(least=0), "-1", "at least 0"),
        (names("a", "b"), "a,c", "some of a, b, got 'c'"),
    ],
)
def test_what_is_refused(read, text: str, message: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=message):
        read(text)


@pytest.mark.parametrize("text", ["1" + "0" * 12, "9" * 5000, "0", "-1", "1e9", "²"])
def test_absurd_counts_are_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="a positive whole number") as refused:
        count(text)
    assert len(str(refused.value)) < 100
