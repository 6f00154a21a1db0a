"""How a block goes through: in which layout and precision, and how quantities share a pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from captum_influence.attr.integral.choices import chosen
from captum_influence.attr.integral.execution import Computation
from captum_influence.attr.integral.gates import gated, reached
from captum_influence.attr.integral.problem import Options, Problem
from captum_influence.attr.points import Block, Tensors, column
from captum_influence.network.cuts import Cut, mapped
from captum_influence.network.passes.seen import Trace

__all__ = ["Plan"]


@dataclass(frozen=True, eq=False)
class Plan:
    """What was chosen, put to work."""

    chosen: Computation
    grad_kwargs: Mapping[str, Any]
    gates: tuple[Tensor, ...] = ()

    @staticmethod
    def of(problem: Problem, options: Options) -> Plan:
        """Return the plan that the options ask for, or that fits the problem."""
        return Plan(chosen(problem, options), options.grad_kwargs, problem.gates)

    def exact(self) -> Plan:
        """Return the same in the network's own precision."""
        return replace(self, chosen=replace(self.chosen, precision=None))

    def laid_out(self, block: Block) -> Block:
        """Return the block in the memory format that was chosen."""
        return block.channels_last() if self.chosen.memory_format == "channels_last" else block

    @contextmanager
    def running(self, device: torch.device) -> Iterator[None]:
        """Run what is inside in the precision that was chosen."""
        if self.chosen.precision is None:
            yield
            return
        with torch.autocast(device.type, torch.bfloat16):
            yield

    def seen(self, output: Any) -> Any:
        """Return what the quantities read: in float32, where the network ran in less."""
        return output if self.chosen.precision is None else mapped(_widened, output)

    def gradients(
        self, cuts: Sequence[Cut], trace: Trace, values: Sequence[Tensor], block: Block
    ) -> Iterator[tuple[int | slice, Tensors]]:
        """Yield the weighted gradients of each quantity, or of all of them in one batch."""
        together = (
            self._together(cuts, trace, values, block)
            if self.chosen.quantities == "batched"
            else None
        )
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


def _widened(value: Tensor) -> Tensor:
    return value.float() if value.dtype == torch.bfloat16 else value


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
