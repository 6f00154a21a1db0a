"""Choices of how it is computed are checked when they are made."""

import pytest

from captum_influence.attr import Execution


@pytest.mark.parametrize(
    "wrong", [{"memory_format": "nhwc"}, {"quantities": "vmap"}, {"compile": "fast"}]
)
def test_unknown_choices_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(
        ValueError, match=rf"expected {next(iter(wrong))}=.*got '{next(iter(wrong.values()))}'"
    ):
        Execution(**wrong)


def test_known_choices_are_kept_and_compare_by_value() -> None:
    made = Execution(memory_format="channels_last", compile="default", pooled=True)
    assert made == Execution("channels_last", "auto", "default", True)
    assert made != Execution()
    assert (Execution().quantities, Execution().compile) == ("auto", None)
