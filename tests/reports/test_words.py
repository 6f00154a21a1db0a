"""Phrases that findings share."""

import pytest

from captum_influence.reports.words import counted, place, snake_case


@pytest.mark.parametrize(
    ("count", "expected"), [(0, "0 channels"), (1, "1 channel"), (2, "2 channels")]
)
def test_nouns_are_counted(count: int, expected: str) -> None:
    assert counted(count, "channel") == expected


def test_a_picture_has_nine_places() -> None:
    found = [[place(row, column, 30, 60) for column in (5, 30, 55)] for row in (5, 15, 25)]
    assert found == [
        ["upper left", "upper middle", "upper right"],
        ["left middle", "centre", "right middle"],
        ["lower left", "lower middle", "lower right"],
    ]
    assert place(30, 60, 30, 60) == "lower right"  # the very edge


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("LayerScores", "layer_scores"),
        ("Essence", "essence"),
        ("OneAgainstRest", "one_against_rest"),
    ],
)
def test_values_are_called_like_their_class(name: str, expected: str) -> None:
    assert snake_case(name) == expected
