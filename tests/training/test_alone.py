"""Losses are compared with those of single examples: once where they agree, by what was seen."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from captum_influence.training.alone import Alone, one_by_one, rows_of

OUTPUT = torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
TARGET = torch.randn(6, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def _own(output: Tensor, target: Tensor) -> Tensor:
    return (output - target).square().sum(1)


def _of_all(output: Tensor, target: Tensor) -> Tensor:
    """Each example gets the mean target."""
    return (output - target.mean(0)).square().sum(1)


def test_targets_are_taken_out_of_whatever_holds_them() -> None:
    x, rows = torch.arange(4), slice(1, 3)
    assert rows_of(x, rows).tolist() == [1, 2]
    assert rows_of(["a", "b", "c"], rows) == ["b", "c"]
    assert [part.tolist() for part in rows_of((x, -x), rows)] == [[1, 2], [-1, -2]]
    assert [part.tolist() for part in rows_of([x, -x], rows)] == [[1, 2], [-1, -2]]
    assert rows_of({"boxes": x}, rows)["boxes"].tolist() == [1, 2]


def test_losses_one_by_one_are_those_of_batches_of_one() -> None:
    def by_parts(output: Tensor, target: Any) -> Tensor:
        return _own(output, target["a"]).mean() + target["b"].mean()

    target = {"a": TARGET, "b": torch.arange(6.0).double()}
    found = one_by_one(by_parts, OUTPUT, target)
    torch.testing.assert_close(found, _own(OUTPUT, TARGET) + target["b"])


def test_agreement_is_found_once_for_each_shape() -> None:
    calls: list[int] = []

    def counted(output: Tensor, target: Tensor) -> Tensor:
        calls.append(len(output))
        return _own(output, target)

    alone = Alone(counted)
    assert alone.agrees(_own, OUTPUT, TARGET)
    assert calls == [1, 1, 1]
    assert alone.agrees(_own, OUTPUT[:4], TARGET[:4])
    assert calls == [1, 1, 1]
    assert alone.agrees(_own, OUTPUT[:, :2], TARGET[:, :2])
    assert calls == [1] * 6


def test_one_example_shows_nothing_and_a_second_does() -> None:
    alone = Alone(_of_all)
    assert alone.agrees(_of_all, OUTPUT[:1], TARGET[:1])
    assert not alone.agrees(_of_all, OUTPUT[1:2], TARGET[1:2])  # beside the first


def test_equal_targets_show_nothing_and_others_do() -> None:
    alone = Alone(_of_all)
    same = torch.ones(3, 3, dtype=torch.float64)
    assert alone.agrees(_of_all, OUTPUT[:3], same)
    assert not alone.agrees(_of_all, OUTPUT[3:], 2 * same)  # as batches of a sorted data set


def test_a_number_is_the_sum_or_the_mean_of_what_examples_have() -> None:
    for reduce in (Tensor.sum, Tensor.mean):
        alone = Alone(lambda output, target, reduce=reduce: reduce(_own(output, target)))
        alone.check_number(OUTPUT, TARGET, _own(OUTPUT, TARGET))
    alone = Alone(lambda output, target: _own(output, target).max())
    alone.check_number(OUTPUT[:1], TARGET[:1], _own(OUTPUT[:1], TARGET[:1]))
    with pytest.raises(ValueError, match=r"the mean or the sum .* outputs \(5, 3\) and targets"):
        alone.check_number(OUTPUT[1:], TARGET[1:], _own(OUTPUT[1:], TARGET[1:]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_rounding_is_no_difference(dtype: torch.dtype) -> None:
    output, target = OUTPUT.to(dtype), TARGET.to(dtype)

    def rounded(o: Tensor, t: Tensor) -> Tensor:
        return _own(o, t) * (1 + torch.finfo(dtype).eps)

    assert Alone(_own).agrees(rounded, output, target)
    assert not Alone(_own).agrees(lambda o, t: 1.1 * _own(o, t), output, target)
