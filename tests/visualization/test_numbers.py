"""Numbers as a reader compares them; no two ways to write one."""

import math

import pytest

from captum_influence.visualization.numbers import (
    beside,
    give_or_take,
    number,
    percent,
    share,
    signed_share,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0, "0"),
        (1.0, "1.00"),
        (-0.01234, "−0.0123"),
        (12.345, "12.3"),
        (99.96, "100"),
        (100.0, "100"),
        (-1234.5, "−1234"),
        (1e-7, "1.00e−07"),
        (None, "–"),
        (math.nan, "–"),
        (math.inf, "–"),
    ],
)
def test_three_figures_or_whole(value, expected: str) -> None:
    assert number(value) == expected


@pytest.mark.parametrize(
    ("value", "largest", "expected"),
    [(-0.000571, 8.28, "0"), (1.667, 8.28, "1.67"), (-12.0, 1234.0, "−12"), (0.5, 0.0, "0.500")],
)
def test_a_table_has_the_places_of_its_largest(value, largest, expected: str) -> None:
    assert beside(value, largest) == expected


def test_an_error_stands_beside_its_mean_if_there_is_one() -> None:
    assert give_or_take(1.5, 0.25) == "1.50 ± 0.250"
    assert give_or_take(1.5, math.nan) == "1.50"


@pytest.mark.parametrize(
    ("value", "table", "sentence"),
    [
        (0.0, "0", "0"),
        (0.25, "25", "25"),
        (1.0, "100", "100"),
        (1.14, "114", "114"),
        (-0.5, "−50", "−50"),
        (0.994, "99", "99"),
        (0.996, "> 99", "over 99"),
        (0.004, "< 1", "under 1"),
        (-0.004, "< 1", "under 1"),
    ],
)
def test_shares_say_no_more_than_they_know(value: float, table: str, sentence: str) -> None:
    assert share(value) == f"{table} %".replace(" ", "\u00a0")
    words, _, last = f"{sentence} %".rpartition(" ")
    assert percent(value) == f"{words}\u00a0{last}"


def test_what_is_not_known_is_a_dash() -> None:
    assert share(math.nan) == percent(math.inf) == "–"


def test_signs_are_those_of_type_setters() -> None:
    assert signed_share(0.256) == "+26\u00a0%"
    assert signed_share(-0.256) == "−26\u00a0%"
    assert "-" not in signed_share(-1.0) + number(-1e-9) + share(-1.0)
