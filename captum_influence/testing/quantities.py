"""What every quantity of interest promises, as one check."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from captum_influence.attr.quantities import Quantity
from captum_influence.testing.agreement import close, copies, require
from captum_influence.testing.state import quietly
from captum_influence.testing.values import mapped, numbers, tensors_of

__all__ = ["check_quantity"]


def check_quantity(quantity: Quantity, output: Any = None, *, picklable: bool = True) -> None:
    """Check what :class:`Quantity` promises.

    It returns one number per row, shape (rows,); a row's value depends on that row only and is
    the same in any block; it is differentiable; resolved, it stays as it is; it adds, subtracts
    and scales; output and random state are left as they were; copies and pickles agree.

    Args:
        quantity: the one to check.
        output: what the network returns at ``measure_at``: a tensor (rows, ...), or a structure
            of these; None: ten scores for each of four examples, or as many as it has targets for.
        picklable: whether to check pickling too (turn it off for lambdas).

    Raises:
        AssertionError: saying what was violated.

    Example:
        >>> from captum_influence.attr import ClassScore
        >>> check_quantity(ClassScore(3) - ClassScore(5))
    """
    output = numbers(quantity.examples or 4, 10) if output is None else output
    tensors = tensors_of(output)
    count = len(tensors[0]) if quantity.examples is None else quantity.examples
    fixed = quantity.resolve(output)
    require(isinstance(fixed, Quantity), f"resolve() returned a {type(fixed).__name__}")
    values = quietly(lambda: _valued(fixed, output, count), tensors, "the quantity")
    _check_values(values, count)
    _check_resolved(fixed, output, values)
    _check_picks(fixed, output, values)
    _check_gradient(fixed, output, count)
    _check_arithmetic(fixed, output, values)
    for name, other in copies(quantity, picklable):
        again = _valued(other.resolve(output), output, count)
        require(close(again, values, 1e-9), f"{name} returns other values")


def _valued(quantity: Quantity, output: Any, count: int) -> Tensor:
    return quantity.rows(torch.arange(count))(output)


def _check_values(values: Any, count: int) -> None:
    require(isinstance(values, Tensor), f"it returned a {type(values).__name__}, not a tensor")
    shape = tuple(values.shape)
    require(shape == (count,), f"it returned shape {shape}, expected one per row: ({count},)")
    require(values.is_floating_point(), f"it returned {values.dtype}, which has no gradient")


def _check_resolved(quantity: Quantity, output: Any, values: Tensor) -> None:
    again = _valued(quantity.resolve(output), output, len(values))
    require(close(again, values, 1e-9), "resolved twice, it returns other values")
    require(quantity.examples in (None, len(values)), "resolved, it holds another number of rows")


def _check_picks(quantity: Quantity, output: Any, values: Tensor) -> None:
    last = len(values) - 1
    for picks in ([last], [0, 0, last], [*range(last, -1, -1), 0]):
        examples = torch.tensor(picks)
        part = mapped(partial(_rows_of, examples, last + 1), output)
        came = quantity.rows(examples)(part)
        _check_values(came, len(picks))
        require(
            close(came, values[examples], 1e-6),
            f"the rows of examples {picks} have other values than in the whole batch: a row's "
            "value may depend on its own output only, and rows() must pick what belongs to it",
        )


def _rows_of(examples: Tensor, count: int, tensor: Tensor) -> Tensor:
    return tensor[examples] if len(tensor) == count else tensor


def _check_gradient(quantity: Quantity, output: Any, count: int) -> None:
    leaves: list[Tensor] = []

    def leaf(tensor: Tensor) -> Tensor:
        if not tensor.is_floating_point():
            return tensor
        leaves.append(tensor.detach().clone().requires_grad_())
        return leaves[-1]

    values = _valued(quantity, mapped(leaf, output), count)
    require(values.requires_grad, "it is not differentiable: its values carry no graph")
    grads = torch.autograd.grad(values[0], leaves, allow_unused=True)
    found = [grad for grad in grads if grad is not None]
    require(all(bool(grad.isfinite().all()) for grad in found), "its gradient is not finite")
    others = [grad[1:] for grad in found if len(grad) == count]
    require(
        not any(bool(grad.any()) for grad in others),
        "the value of the first row depends on other rows of the output",
    )


def _check_arithmetic(quantity: Quantity, output: Any, values: Tensor) -> None:
    cases = {
        "q + q": (quantity + quantity, 2 * values),
        "q - 3 * q": (quantity - 3 * quantity, -2 * values),
        "-q / 2": (-quantity / 2, -values / 2),
    }
    for name, (combined, expected) in cases.items():
        came = _valued(combined, output, len(values))
        require(close(came, expected, 1e-6), f"{name} has the wrong value")
