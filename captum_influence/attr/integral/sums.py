"""Sums over the points, by example, in float32 or better."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from captum_influence.attr.integral.execution import Computation
from captum_influence.attr.integral.problem import Layers, Problem
from captum_influence.attr.points import Block, Tensors

__all__ = ["Integral", "Sums"]

_FEW_EXAMPLES = 32  # in a block, for which a product with zeros and ones pays


@dataclass(frozen=True, eq=False)
class Integral:
    """Weighted sums over the points.

    Attributes:
        sums: for every tensor of every cut in turn, (quantities, examples, ...).
        squares: the sums of squared terms, shaped like ``sums``; empty if not asked for.
        coarse: the sums by a third of the points, likewise.
        anchored: the weighted sum of each quantity at the anchors, (quantities, examples); None
            if there were no anchors.
        anchored_weight: the weight of the points that had an anchor.
        dtypes: of the layers' own tensors.
        tensors: how many tensors each cut has.
        rows: how many (example, point) rows were run.
        chosen: how it was computed.
    """

    sums: Tensors
    squares: Tensors
    coarse: Tensors
    anchored: Tensor | None
    anchored_weight: float
    dtypes: tuple[torch.dtype, ...]
    tensors: tuple[int, ...]
    rows: int
    chosen: Computation


class Sums:
    """Adds up weighted terms by example as they come, in float32 or better."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._sums: Tensors = ()
        self._squares: Tensors = ()
        self._coarse: Tensors = ()
        self._anchored: Tensor | None = None
        self._anchored_weight = 0.0
        self._dtypes: tuple[torch.dtype, ...] = ()
        self._tensors: tuple[int, ...] = ()
        self._rows = 0

    @property
    def begun(self) -> bool:
        """Whether anything has been added."""
        return bool(self._sums)

    def add(self, which: int | slice, block: Block, grads: Tensors) -> None:
        """Add the terms of one quantity, (rows, ...), or of all, (quantities, rows, ...)."""
        batched = isinstance(which, slice)
        if not self._sums:
            like = [grad[0] if batched else grad for grad in grads]
            self._sums = tuple(self._zeros(z) for z in like)
            self._squares = tuple(self._zeros(z) for z in like) if self._problem.squares else ()
            self._coarse = tuple(self._zeros(z) for z in like) if self._problem.coarse else ()
        for total, term in zip(self._sums, grads, strict=True):
            _add(total[which], block, term, dim=int(batched))
        for total, term in zip(self._squares, grads, strict=False):
            _add(total[which], block, term.to(total.dtype) ** 2, dim=int(batched))
        if not self._coarse:
            return
        third = 3.0 * (block.numbers % 3 == 1)
        for total, term in zip(self._coarse, grads, strict=True):
            weight = third.to(term).reshape(-1, *[1] * (term.ndim - 1 - int(batched)))
            _add(total[which], block, term * weight, dim=int(batched))

    def add_rows(self, block: Block, layers: Layers, anchored: Tensor | None) -> None:
        """Count the rows of a block that was added, and add the quantities at its anchors."""
        self._rows += len(block)
        self._dtypes = tuple(z.dtype for cut in layers for z in cut)
        self._tensors = tuple(len(cut) for cut in layers)
        if anchored is None:
            return
        if self._anchored is None:
            shape = (len(anchored), self._problem.examples)
            self._anchored = torch.zeros(shape, dtype=torch.float64)
        self._anchored_weight += float(block.weights.sum()) / self._problem.examples
        _add(self._anchored, block, anchored.cpu() * block.weights, dim=1)

    def _zeros(self, like: Tensor) -> Tensor:
        dtype = torch.promote_types(like.dtype, torch.float32)
        dtype = torch.float64 if self._problem.squares else dtype
        count, examples = len(self._problem.quantities), self._problem.examples
        flat = torch.zeros((count * examples, *like.shape[1:]), dtype=dtype, device=like.device)
        if like.ndim == 4 and like.is_contiguous(memory_format=torch.channels_last):
            flat = flat.contiguous(memory_format=torch.channels_last)  # rows add up in one layout
        return flat.view(count, examples, *like.shape[1:])

    @property
    def sums(self) -> Tensors:
        """The sums as they are now."""
        return self._sums

    def integral(self, chosen: Computation) -> Integral:
        """Return the sums as they are now, and how they were computed."""
        dtypes = self._dtypes
        if chosen.precision is not None:  # which is not what the network handed on of itself
            dtypes = tuple(torch.promote_types(dtype, torch.float32) for dtype in dtypes)
        return Integral(
            self._sums,
            self._squares,
            self._coarse,
            self._anchored,
            self._anchored_weight,
            dtypes,
            self._tensors,
            self._rows,
            chosen,
        )


def _add(total: Tensor, block: Block, term: Tensor, dim: int = 0) -> None:
    if dim == 1:
        for one, rows in zip(total, term, strict=True):
            _add(one, block, rows)
        return
    term = term.to(total.dtype)
    if not _added_as_product(total, block, term):
        total.index_add_(0, block.examples.to(total.device), term)


def _added_as_product(total: Tensor, block: Block, term: Tensor) -> bool:
    """Add the rows by a product with zeros and ones, if that is exact and faster.

    It reads every row once, where adding them one by one reads and writes the sums each time. A
    precision below the highest may cut the terms short: then it isn't done, nor on a GPU.
    """
    first, last = int(block.examples.min()), int(block.examples.max())
    few = last - first < _FEW_EXAMPLES and total.device.type == "cpu"
    sums, rows = _vectors(total[first : last + 1]), _vectors(term)
    exact = total.dtype == torch.float64 or torch.get_float32_matmul_precision() == "highest"
    if not few or not exact or sums is None or rows is None:
        return False
    if last > first and not bool(rows.sum().isfinite()):
        return False  # 0 × ∞ is NaN: one example would spoil the others
    mine = torch.arange(first, last + 1).unsqueeze(1) == block.examples
    sums.addmm_(mine.to(rows), rows)
    return True


def _vectors(rows: Tensor) -> Tensor | None:
    """View rows as vectors in the order in which they lie in memory, None if they are scattered."""
    if rows.ndim == 4 and rows.is_contiguous(memory_format=torch.channels_last):
        rows = rows.permute(0, 2, 3, 1)
    return rows.reshape(len(rows), -1) if rows.is_contiguous() else None
