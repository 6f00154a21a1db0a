"""What checks compare, and what they say of what differs."""

import copy

import pytest
import torch

from captum_influence.testing.agreement import agree, close, copies, require


class Kept:
    """Can be looked up, so that it pickles."""

    def __init__(self, value: int) -> None:
        self.value = value


class Clinging(Kept):
    def __reduce__(self) -> str:
        raise TypeError("not me")


def test_a_requirement_is_an_assertion_with_a_message() -> None:
    require(True, "never said")
    with pytest.raises(AssertionError, match="said"):
        require(False, "said")


def test_closeness_is_of_shape_and_of_numbers_whatever_their_precision() -> None:
    one = torch.tensor([1.0, 100.0])
    assert close(one, one.double() * (1 + 9e-4), 1e-3)
    assert not close(one, one * (1 + 3e-3), 1e-3)
    assert not close(one, one[None], 1e-3)


def test_agreement_is_relative_to_the_largest_number_expected() -> None:
    expected = [torch.tensor([1000.0, 0.0])]
    agree(expected, [torch.tensor([1000.0, 0.9])], 1e-3, "here")
    with pytest.raises(AssertionError, match="here, it returns something else"):
        agree(expected, [torch.tensor([1000.0, 2.5])], 1e-3, "here")
    with pytest.raises(AssertionError, match="here, it returns something else"):
        agree(expected, [torch.tensor([[1000.0, 0.0]])], 1e-3, "here")
    with pytest.raises(AssertionError, match="here, it returns 2 tensors"):
        agree(expected, expected * 2, 1e-3, "here")
    agree([torch.zeros(2)], [torch.zeros(2)], 1e-3, "of zeros")


def test_copies_are_deep_ones_and_what_comes_out_of_a_pickle() -> None:
    kept = Kept(3)
    found = dict(copies(kept, picklable=True))
    assert list(found) == ["a deep copy", "a pickled copy"]
    assert all(other is not kept and other.value == 3 for other in found.values())
    assert list(dict(copies(kept, picklable=False))) == ["a deep copy"]


def test_a_class_that_nobody_can_look_up_is_only_copied() -> None:
    class Local(Kept):
        pass

    assert list(dict(copies(Local(3), picklable=True))) == ["a deep copy"]


def test_what_can_not_be_pickled_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copy, "deepcopy", lambda value: value)
    with pytest.raises(
        AssertionError, match=r"can't be pickled \(not me\): or set picklable=False"
    ):
        list(copies(Clinging(3), picklable=True))
