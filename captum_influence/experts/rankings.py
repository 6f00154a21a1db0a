"""A class's units in the order of what they do, by influence and by what it is compared with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import torch
from captum.attr import LayerConductance
from torch import Tensor, nn

from captum_influence.attr.distributions import Distribution
from captum_influence.attr.influence import DistributionalInfluence
from captum_influence.attr.paths import LinearPath
from captum_influence.attr.quadrature import Midpoint
from captum_influence.attr.quantities import ClassScore, Quantity
from captum_influence.data.batches import labelled
from captum_influence.network.cuts import Cut
from captum_influence.network.devices import device_of
from captum_influence.network.reading import activations
from captum_influence.network.slices import Slice
from captum_influence.units.axes import Axis, AxisLike
from captum_influence.units.ranking import UnitInfluence, ranking_of

__all__ = ["Ends", "RankedBy", "class_rankings", "from_both_ends"]

RankedBy = Literal["contribution", "influence", "activation", "conductance", "random"]
Ends = Literal["both", "top"]
Unit = TypeVar("Unit")
EVERY: tuple[RankedBy, ...] = ("contribution", "influence", "activation", "conductance", "random")
_SIGNED = ("contribution", "influence", "conductance")


def class_rankings(
    model: nn.Module,
    layer: nn.Module | str | Cut,
    loader: Iterable[Any],
    target: int,
    *,
    by: Sequence[RankedBy] = EVERY,
    quantity: Quantity | None = None,
    distribution: Distribution | None = None,
    ends: Ends = "both",
    axis: AxisLike = "channel",
    heads: int | None = None,
    n_steps: int = 50,
    seed: int = 0,
) -> dict[str, tuple[UnitInfluence, ...]]:
    """Rank all units of a layer for a class, averaged over its images, the first one first.

    Args:
        model: the network.
        layer: a module, a dotted name or a Cut.
        loader: yields (images, labels); only images of the class are used.
        target: the class.
        by: ``"influence"``; ``"contribution"``, influence × displacement; mean ``"activation"``;
            ``"conductance"``, Captum's LayerConductance from a baseline of zero; ``"random"``.
        quantity: what influence is on; None: the score of the class.
        distribution: over which inputs; None: 50 midpoints of the path from zero.
        ends: ``"both"``: in turn the unit that raises the quantity most and the one that lowers it
            most, as the paper's experts have it: without the second, an expert says its class of
            everything. ``"top"``: only the first. Activations and chance have one end.
        axis: what one unit is, with ``heads``: see :func:`rank_units`.
        heads: see ``axis``.
        n_steps: points of the conductance.
        seed: of the random order.

    Raises:
        ValueError: if the loader holds no image of the class, or a ranking isn't one of these.

    Example:
        >>> from captum_influence.demo import SceneDataset, load_demo_network
        >>> scenes = [SceneDataset(16, seed=5).stacked()]
        >>> found = class_rankings(load_demo_network(), "relu5", scenes, 0, by=["activation"])
        >>> len(found["activation"])
        96
    """
    unknown = [name for name in by if name not in EVERY]
    if unknown or not by:
        raise ValueError(f"expected rankings by some of {list(EVERY)}, got {unknown or list(by)}")
    if ends not in ("both", "top"):
        raise ValueError(f'expected ends="both" or ends="top", got {ends!r}')
    path = LinearPath(0.0, 50, Midpoint()) if distribution is None else distribution
    asked = ClassScore(target) if quantity is None else quantity
    question = _Question(model, Cut.ensure(layer), target, asked, path, n_steps)
    totals, count, shape = _totals(question, loader, by)
    found = Axis.ensure(axis, shape, heads)
    if "random" in by:
        totals["random"] = _shuffled(found, seed)
    return {name: _ordered(name, totals[name] / count, found, ends) for name in by}


def _ordered(name: str, values: Tensor, axis: Axis, ends: Ends) -> tuple[UnitInfluence, ...]:
    units = ranking_of(values[None], axis, "contribution", "sum", None).units
    return from_both_ends(units) if ends == "both" and name in _SIGNED else units


def from_both_ends(units: Sequence[Unit]) -> tuple[Unit, ...]:
    """Return units, the highest first, in the order first, last, second, last but one, ..."""
    pairs = zip(units, reversed(units), strict=True)
    return tuple(unit for pair in pairs for unit in pair)[: len(units)]


@dataclass(frozen=True, eq=False)
class _Question:
    model: nn.Module
    cut: Cut
    target: int
    quantity: Quantity
    distribution: Distribution
    n_steps: int

    def influence(self, images: Tensor) -> Tensor:
        return self._measured(images, multiply=False)

    def contribution(self, images: Tensor) -> Tensor:
        return self._measured(images, multiply=True)

    def _measured(self, images: Tensor, multiply: bool) -> Tensor:
        measure = DistributionalInfluence(
            self.model,
            self.cut,
            distribution=self.distribution,
            quantity=self.quantity,
            multiply_by_inputs=multiply,
        )
        found: Tensor = measure.attribute(images)
        return found

    def activation(self, images: Tensor) -> Tensor:
        return activations(self.model, images, self.cut)

    def conductance(self, images: Tensor) -> Tensor:
        if self.cut.call is not None or self.cut.select is not None:
            raise ValueError(
                f"Captum's LayerConductance can't pick one call or tensor at the {self.cut}: "
                'leave "conductance" out'
            )
        module = Slice(self.model, [self.cut]).cuts[0].module  # also inside a compiled network
        found: Tensor = LayerConductance(self.model, module).attribute(
            images,
            target=self.target,
            n_steps=self.n_steps,
            attribute_to_layer_input=self.cut.side == "input",
            internal_batch_size=max(64, 2 * len(images)),  # Captum wants twice the examples
        )
        return found.detach()


def _totals(
    question: _Question, loader: Iterable[Any], by: Sequence[str]
) -> tuple[dict[str, Tensor], int, tuple[int, ...]]:
    """Return what the units did, (...) each, summed over the images of the class; their number."""
    measures: Mapping[str, Callable[[Tensor], Tensor]] = {
        "contribution": question.contribution,
        "influence": question.influence,
        "activation": question.activation,
        "conductance": question.conductance,
    }
    totals: dict[str, Tensor] = {}
    count, shape = 0, None
    for images, labels in labelled(loader, device_of(question.model)):
        images = images[labels == question.target]
        count += len(images)
        if not len(images):
            continue
        for name in by if set(by) != {"random"} else ["activation"]:
            if name in measures:
                found = measures[name](images).double().cpu()
                shape = tuple(found.shape[1:])
                totals[name] = totals.get(name, torch.zeros(())) + found.sum(dim=0)
    if shape is None:
        raise ValueError(
            f"the loader holds no image of class {question.target}: give one that does"
        )
    return totals, count, shape


def _shuffled(axis: Axis, seed: int) -> Tensor:
    """Return values (...) whose pooled order is random."""
    units = axis.pool(torch.zeros(1, *axis.shape))[0]
    generator = torch.Generator().manual_seed(seed)
    values = torch.zeros(axis.shape, dtype=torch.float64)
    for rank, flat in enumerate(torch.randperm(units.numel(), generator=generator).tolist()):
        index = torch.unravel_index(torch.tensor(flat), units.shape)
        selector = axis.selector(tuple(int(i) for i in index))
        values[selector] = float(rank + 1) / values[selector].numel()
    return values
