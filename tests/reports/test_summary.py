"""An input's line in the index of many."""

import pytest

from captum_influence.reports.summary import Summary


def test_an_index_is_ordered_by_a_column_that_there_is() -> None:
    columns = {"says": "red", "its effect": 2.0}
    assert Summary(
        sentence="Red.", columns=columns, about="", main="its effect", picture=None
    ).columns
    with pytest.raises(ValueError, match="one of the columns says, its effect, got 'effect'"):
        Summary(sentence="Red.", columns=columns, about="", main="effect", picture=None)
