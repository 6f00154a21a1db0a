"""Fixed numbers, and the tensors of nested values."""

import torch

from captum_influence.testing.values import mapped, numbers, tensors_of


def test_numbers_are_the_same_each_time_without_ties_or_zeros() -> None:
    found = numbers(7, 9)
    assert torch.equal(found, numbers(7, 9))
    assert (found.shape, found.dtype) == ((7, 9), torch.float64)
    assert len(found.unique()) == 63
    assert float(found.abs().min()) > 0
    assert float(found.abs().max()) <= 2


def test_tensors_are_changed_where_they_are() -> None:
    value = {"a": [torch.ones(1), 3], "b": (torch.zeros(2), "text")}
    found = mapped(lambda tensor: tensor + 1, value)
    assert found["a"][1:] == [3]
    assert found["b"][1:] == ("text",)
    assert [tensor.tolist() for tensor in tensors_of(found)] == [[2.0], [1.0, 1.0]]
    assert [tensor.tolist() for tensor in tensors_of(value)] == [[1.0], [0.0, 0.0]]


def test_what_holds_none_has_none() -> None:
    assert tensors_of([1, "two", None]) == []
    assert mapped(lambda tensor: tensor + 1, [1, None]) == [1, None]
