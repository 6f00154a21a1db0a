"""Options are known by their names and ranges."""

from typing import Any

import pytest

from captum_influence.training.options import check_influence_options


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"damping": -0.1}, ValueError, "damping to be None or a number >= 0, got -0.1"),
        ({"damping": float("nan")}, ValueError, "got nan"),
        ({"normalize": "all"}, ValueError, "normalize to be None or 'self'"),
        ({"dampening": 1.0}, TypeError, "damping"),
    ],
)
def test_what_is_no_option_is_refused(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        check_influence_options(options)  # type: ignore[arg-type]


def test_options_in_range_pass() -> None:
    check_influence_options({"damping": 0.0, "normalize": "self", "seed": 3})
