"""Gradients that go on through some units of a layer alone, and round it not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge
from torch.torch_version import TorchVersion

from captum_influence.network.cuts import Cut

__all__ = ["gated", "reached"]

# Where some edges are reached and others aren't, autograd crashed as late as in 2.6.
_CRASHES = TorchVersion(torch.__version__) < "2.13"

Edges = Sequence[tuple[GradientEdge, ...]]


def gated(
    slopes: Sequence[Tensor | None],
    cuts: Sequence[Cut],
    edges: Edges,
    masks: Sequence[Tensor],
    keywords: Mapping[str, Any],
) -> list[Tensor | None]:
    r"""Return the slopes at the first cuts of what goes through the units of the last ones.

    .. math:: \frac{\partial q}{\partial y^{(k)}}\bigg|_{S_k} \cdots
        \frac{\partial y^{(1)}_{S_1}}{\partial z}

    Each step goes back from one layer to the one before, so what passes beside a layer isn't met.

    Args:
        slopes: of the quantities at the last cut.
        cuts: the attributed ones, and one for each mask, in the order in which they run.
        edges: of all of them.
        masks: which units are passed, (...) bool each.
        keywords: of ``torch.autograd.grad``, the last time.

    Raises:
        ValueError: if no gradient goes from one to the next.
    """
    own = len(cuts) - len(masks)
    behind = "the quantity"
    for place in reversed(range(own, len(cuts))):
        (slope,) = slopes
        if slope is None:
            raise _aside(cuts[place], behind)
        last, behind = place == own, f"the {cuts[place]}"
        goal = [edge for cut in edges[:own] for edge in cut] if last else list(edges[place - 1])
        known = reached([edge.node for edge in edges[place]], goal)
        if not any(known):
            raise _aside(cuts[place - 1], behind)
        asked = [edge for edge, is_known in zip(goal, known, strict=True) if is_known]
        grads = iter(
            torch.autograd.grad(
                list(edges[place]),
                asked,
                [slope.where(masks[place - own], 0.0)],
                allow_unused=True,
                **(keywords if last else {**keywords, "retain_graph": True}),
            )
        )
        slopes = [next(grads) if is_known else None for is_known in known]
    found = iter(slopes)
    for cut, tensors in zip(cuts[:own], edges[:own], strict=True):
        if all(slope is None for slope in islice(found, len(tensors))):
            raise _aside(cut, behind)
    return list(slopes)


def reached(starts: Sequence[Any], edges: Sequence[GradientEdge]) -> list[bool]:
    """Return whether each edge lies on the graph behind these nodes, where autograd must know."""
    if not _CRASHES:
        return [True] * len(edges)
    seen, ahead = set[Any](), list(starts)
    while ahead:
        node = ahead.pop()
        if node is not None and node not in seen:
            seen.add(node)
            ahead += [following for following, _ in node.next_functions]
    return [edge.node in seen for edge in edges]


def _aside(cut: Cut, behind: str) -> ValueError:
    return ValueError(
        f"expected layers of through= between the layer and the quantity, in the order in which "
        f"the network comes to them, got no way from the {cut} to {behind}: leave it out, or "
        "change their order"
    )
