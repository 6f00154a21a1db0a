"""How things are shown: what is out of range is refused at once."""

import pytest

from captum_influence.reports.shown import Shown


@pytest.mark.parametrize(
    ("names", "expected"),
    [(None, "class 1"), (["cat", "dog"], "dog"), ({1: "dog"}, "dog"), ({0: "cat"}, "class 1")],
)
def test_classes_are_called_by_their_names(names, expected: str) -> None:
    assert Shown(class_names=names).name(1) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"focus": "all"}, "got 'all'"),
        ({"percentile": 100.0}, "from 0 to below 100, got 100.0"),
        ({"percentile": -1.0}, "got -1.0"),
        ({"smoothing": -0.5}, "not negative, got -0.5"),
        ({"smoothing": float("nan")}, "got nan"),
    ],
)
def test_what_is_out_of_range_is_refused(options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Shown(**options)


def test_everything_has_a_default_and_goes_by_its_name() -> None:
    assert (Shown().percentile, Shown().smoothing, Shown().focus) == (95.0, None, "quantity")
    with pytest.raises(TypeError, match="positional"):
        Shown(["cat"])
