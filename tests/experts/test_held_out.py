"""Held-out pictures are said whole, or as a loader with flat keywords beside it; not both."""

import pytest
from eyeing import pictures

from captum_influence import HeldOut
from captum_influence.reports.asked import code_of


def test_a_loader_takes_the_options_that_are_its_fields() -> None:
    loader = pictures()
    made = HeldOut.ensure("essence", loader, {"ks": (1, 2), "replace": "mean", "seed": 3})
    assert (made.loader, made.ks, made.replace) == (loader, (1, 2), "mean")
    plain = HeldOut.ensure("essence", None, {})
    assert (plain.loader, plain.ks, plain.replace) == (None, None, None)


def test_what_is_said_whole_is_taken_as_it_is() -> None:
    made = HeldOut(pictures(), ks=(4,))
    assert HeldOut.ensure("pair", made, {"top": 3}) is made
    with pytest.raises(TypeError, match=r"pair\(\) got held_out=HeldOut\(...\) and ks beside it"):
        HeldOut.ensure("pair", made, {"ks": (1,)})


def test_it_is_printed_as_it_is_said_and_its_data_by_a_name() -> None:
    assert code_of(HeldOut(pictures(), replace="mean")) == "HeldOut(loader, replace='mean')"


@pytest.mark.parametrize("ks", [(), (0, 1), (-1,)])
def test_numbers_of_units_are_positive(ks) -> None:
    with pytest.raises(ValueError, match="expected ks as positive numbers of units"):
        HeldOut(ks=ks)


def test_a_loader_that_can_be_read_only_once_is_refused() -> None:
    with pytest.raises(TypeError, match="several times, got a list_iterator"):
        HeldOut(iter(pictures()))
