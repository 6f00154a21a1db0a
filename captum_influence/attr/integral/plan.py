"""How a block goes through: how many rows at once, and how the quantities share a pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from captum_influence.attr.integral.gates import gated, reached
from captum_influence.attr.integral.problem import Options, Problem
from captum_influence.attr.points import Block, Tensors, column
from captum_influence.network.cuts import Cut
from captum_influence.network.passes.seen import Trace
from captum_influence.network.passes.sizes import Sizes

__all__ = ["Plan"]

# Measured on CPUs: below 6 rows the overhead of a pass shows; above 48 MB in one activation the
# caches no longer help and memory is fetched anew from the system; while an activation stays within
# 8 MB, rows are nearly free, and more than 64 of them pay.
_BLOCK_BYTES, _SMALL_BYTES = 48 * 2**20, 8 * 2**20
_FEWEST_ROWS, _MANY_ROWS = 6, 64


@dataclass(frozen=True, eq=False)
class Plan:
    """How many rows go through at once, and how the quantities share a pass."""

    rows: int
    batched: bool
    channels_last: bool
    grad_kwargs: Mapping[str, Any]
    gates: tuple[Tensor, ...] = ()

    @staticmethod
    def of(problem: Problem, options: Options) -> Plan:
        """Choose the rows by what one row needs, and batch quantities where that costs little.

        They are batched where their gradients of the activations behind the cuts take no more
        memory than a block of activations.
        """
        count, wish = len(problem.quantities), options.execution.quantities
        rows, batched = options.rows, count > 1 and wish == "batched"
        if rows is None or (count > 1 and wish == "auto"):
            sizes = problem.slice.sizes(*problem.one())
            rows = rows or rows_that_fit(sizes, problem.inputs[0].device)
            small = count * rows * sizes.behind_cuts <= _BLOCK_BYTES
            batched = batched or (count > 1 and wish == "auto" and small)
        rows = _evened(rows, problem)
        channels_last = options.execution.memory_format == "channels_last"
        return Plan(rows, batched, channels_last, options.grad_kwargs, problem.gates)

    def gradients(
        self, cuts: Sequence[Cut], trace: Trace, values: Sequence[Tensor], block: Block
    ) -> Iterator[tuple[int | slice, Tensors]]:
        """Yield the weighted gradients of each quantity, or of all of them in one batch."""
        together = self._together(cuts, trace, values, block) if self.batched else None
        if together is not None:
            yield slice(None), together
            return
        for k, value in enumerate(values):
            keep = k < len(values) - 1
            yield k, self._gradients(cuts, trace, value, block, retain_graph=keep or None)

    def _together(
        self, cuts: Sequence[Cut], trace: Trace, values: Sequence[Tensor], block: Block
    ) -> Tensors | None:
        """Return the gradients of all quantities, None if a function behind the cuts can't."""
        try:
            return self._gradients(cuts, trace, torch.stack(list(values)), block, retain_graph=True)
        except torch.cuda.OutOfMemoryError:
            raise
        except RuntimeError:  # a backward without a batching rule; other errors will come again
            return None

    def _gradients(
        self,
        cuts: Sequence[Cut],
        trace: Trace,
        values: Tensor,
        block: Block,
        *,
        retain_graph: bool | None = None,
    ) -> Tensors:
        own = len(cuts) - len(self.gates)
        edges = [edge for cut in trace.edges[:own] for edge in cut]
        keywords = dict(self.grad_kwargs)
        keywords["retain_graph"] = retain_graph or keywords.get("retain_graph")
        lenient = [keywords.pop(name, False) for name in ("allow_unused", "materialize_grads")]
        like = [z for cut in trace.like[:own] for z in cut]
        # In half precision small weights would make gradients vanish: there they come after.
        late = any(z.is_floating_point() and z.element_size() < 4 for z in (values, *like))
        weights = (torch.ones_like(block.weights) if late else block.weights).to(values)
        found: Sequence[Tensor | None] = [None] * len(edges)
        if values.ndim == 2:
            weights = torch.eye(len(values)).to(values).unsqueeze(2) * weights
            keywords["is_grads_batched"] = True
        if values.requires_grad and self.gates:
            slopes = _slopes(values, trace.edges[-1], weights, {**keywords, "retain_graph": True})
            found = gated(slopes, cuts, trace.edges, self.gates, keywords)
        elif values.requires_grad:
            found = _slopes(values, edges, weights, keywords)
        if not any(lenient):
            _check_connected(cuts[:own], trace, found)
        pairs = [
            (torch.zeros_like(z.expand(*values.shape[:-1], *z.shape)) if g is None else g, z)
            for g, z in zip(found, like, strict=True)
        ]
        # A module that squeezes hands on a single row without its dimension.
        shaped = [(g.reshape(*values.shape[:-1], *z.shape), z) for g, z in pairs]
        return tuple(g.float() * column(block.weights, z.float()) if late else g for g, z in shaped)


def rows_that_fit(sizes: Sizes, device: torch.device) -> int:
    """Return how many rows run fastest at once and fit.

    On a CPU that is 48 MB of the largest activation, 6 to 64 rows, and more than 64 only as long
    as that activation stays below 8 MB. A CUDA device takes up to 512 rows, as long as the
    activations behind the cuts, their gradients and two of the largest stay within half of its
    free memory.
    """
    if device.type != "cuda":
        largest = max(sizes.anywhere, 1)
        most = max(_MANY_ROWS, _SMALL_BYTES // largest)
        return min(max(_BLOCK_BYTES // largest, _FEWEST_ROWS), most)
    free = torch.cuda.mem_get_info(device)[0]
    return min(max(free // 2 // max(2 * sizes.kept + 2 * sizes.anywhere, 1), 1), 512)


def _evened(rows: int, problem: Problem) -> int:
    """Return the size of equally large blocks of at most so many rows."""
    if problem.distribution.size is None:
        return rows
    total = problem.distribution.size * problem.examples
    return -(-total // -(-total // rows))


def _slopes(
    values: Tensor,
    edges: Sequence[GradientEdge],
    weights: Tensor,
    keywords: Mapping[str, Any],
) -> list[Tensor | None]:
    """Return the gradient at each edge; None where there is none."""
    known = reached([values.grad_fn], edges)
    asked = [edge for edge, is_known in zip(edges, known, strict=True) if is_known]
    if not asked:
        return [None] * len(edges)
    if keywords.get("is_grads_batched"):
        grads = torch.autograd.grad(values, asked, weights, allow_unused=True, **keywords)
    else:
        # A sum asks for no weights, for which torch would import its symbolic shapes: a second.
        total = (values * weights).sum()
        grads = torch.autograd.grad(total, asked, allow_unused=True, **keywords)
    found = iter(grads)
    return [next(found) if is_known else None for is_known in known]


def _check_connected(cuts: Sequence[Cut], trace: Trace, found: Sequence[Tensor | None]) -> None:
    remaining = iter(found)
    for cut, edges in zip(cuts, trace.edges, strict=False):
        if all(grad is None for grad in [next(remaining) for _ in edges]):
            raise RuntimeError(
                f"the {cut} is not upstream of the quantity: no gradient reaches it. Measure a "
                "quantity that depends on it, or check that the network, or the encode of a "
                "Dictionary, doesn't detach it or run under no_grad"
            )
