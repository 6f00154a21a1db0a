"""A class's units in the order of what they do, by influence and by what it is compared with."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, cast

import torch
from captum.attr import LayerConductance
from torch import Tensor, nn
from tqdm.auto import tqdm
from typing_extensions import Unpack

from captum_influence.attr.distributions import Distribution, Point
from captum_influence.attr.influence import DistributionalInfluence
from captum_influence.attr.profile.moments import Moments
from captum_influence.attr.quantities import ClassScore, Quantity
from captum_influence.attr.run import Run
from captum_influence.data.batches import labelled
from captum_influence.data.labels import Names, class_index, class_name
from captum_influence.network.cuts import layer_name
from captum_influence.network.devices import device_of
from captum_influence.network.inputs import network_of
from captum_influence.network.outputs import answering
from captum_influence.network.reading import activations
from captum_influence.network.slices import Slice
from captum_influence.reports.asked import Asked
from captum_influence.units.axes import Axis
from captum_influence.units.find import RankingOptions
from captum_influence.units.options import Chosen, Options
from captum_influence.units.ranking import UnitInfluence, UnitValues
from captum_influence.units.replacement import Replace, Replacement
from captum_influence.units.result import Ranking
from captum_influence.units.survey import in_place_of_units
from captum_influence.units.targets import TargetLike, question
from captum_influence.units.units_of import LayerLike, UnitsOf

__all__ = ["Ends", "RankedBy", "class_rankings", "drawn_at_random", "from_both_ends"]

RankedBy = Literal["contribution", "influence", "activation", "conductance", "random"]
Ends = Literal["both", "top"]
Thing = TypeVar("Thing")
EVERY: tuple[RankedBy, ...] = ("contribution", "influence", "activation", "conductance", "random")
_SIGNED = ("contribution", "influence", "conductance")


def class_rankings(
    model: nn.Module,
    loader: Iterable[Any],
    layer: LayerLike,
    target: int | str,
    *,
    by: Sequence[RankedBy] = EVERY,
    quantity: TargetLike = None,
    distribution: Distribution | None = None,
    replace: Replace | Replacement | None = None,
    ends: Ends = "both",
    n_steps: int = 50,
    **options: Unpack[RankingOptions],
) -> dict[str, Ranking]:
    """Rank all units of a layer for a class, averaged over its images, the first one first.

    Args:
        model: the network.
        loader: yields (images, labels); only images of the class are used.
        layer: a module, a dotted name, a Cut or :class:`UnitsOf`.
        target: the class, by number or name.
        by: ``"influence"``; ``"contribution"``, influence × what removal changes; mean
            ``"activation"``; ``"conductance"``, Captum's LayerConductance from a baseline of zero;
            ``"random"``.
        quantity: what influence is on; None: the score of the class.
        distribution: over which inputs; None: at each image itself.
        replace: what a removal puts in a unit's place, see :func:`essence`.
        ends: ``"both"``: in turn the unit that raises the quantity most and the one that lowers it
            most, as the paper's experts have it: without the second, an expert says its class of
            everything. ``"top"``: only the first. Activations and chance have one end.
        n_steps: points of the conductance.
        options: see :class:`RankingOptions`; ``seed`` is also that of the random order.

    Raises:
        ValueError: if the loader holds no image of the class, or a ranking isn't one of these.

    Example:
        >>> from captum_influence.demo import SceneDataset, load_demo_network
        >>> scenes = [SceneDataset(16, seed=5).stacked()]
        >>> found = class_rankings(load_demo_network(), scenes, "relu5", 0, by=["activation"])
        >>> len(found["activation"])
        96
    """
    asked = Asked.of(class_rankings, locals())
    given, known = cast(Options, options), RankingOptions
    chosen = Chosen.of("class_rankings", layer, given, known=known)
    network = network_of(model, chosen.run.output)
    _check(by, ends)
    names = chosen.shown.class_names
    number = class_index(target, names)
    wanted = question(number if quantity is None else quantity, names=names)
    over = Point() if distribution is None else distribution
    survey = _ClassQuestion(network, chosen.units, number, wanted, over, n_steps, chosen.run)
    with chosen.run.seeded():
        if "contribution" in by:
            survey = survey.counting(replace, loader)
        axis, measured = survey.over(loader, by)
    return {
        name: Ranking.of(
            asked.at(f"[{name!r}]"),
            values := _values(axis, measured.get(name), chosen.run.seed),
            _ordered(values, _ends(name, ends)),
            name,
            chosen.units.aggregate,
            {**survey.facts(name, names), **_counts(measured.get(name)), "ends": _ends(name, ends)},
        )
        for name in by
    }


def from_both_ends(units: Sequence[Thing]) -> tuple[Thing, ...]:
    """Return units, the highest first, in the order first, last, second, last but one, ..."""
    pairs = zip(units, reversed(units), strict=True)
    return tuple(unit for pair in pairs for unit in pair)[: len(units)]


def _ends(name: str, ends: Ends) -> Ends:
    """Return the ends of one ranking: activations and chance have no signs."""
    return ends if name in _SIGNED else "top"


def _ordered(values: UnitValues, ends: Ends) -> tuple[UnitInfluence, ...]:
    units = values.highest()
    return from_both_ends(units) if ends == "both" else units


def drawn_at_random(units: int, draws: int, seed: int) -> dict[str, list[int]]:
    """Return several random orders of the units, ``"random 0"``, ``"random 1"``, ..."""
    generator = torch.Generator().manual_seed(seed)
    orders = [torch.randperm(units, generator=generator).tolist() for _ in range(draws)]
    return {f"random {i}": order for i, order in enumerate(orders)}


def _check(by: Sequence[str], ends: str) -> None:
    unknown = [name for name in by if name not in EVERY]
    if unknown or not by:
        raise ValueError(f"expected rankings by some of {list(EVERY)}, got {unknown or list(by)}")
    if ends not in ("both", "top"):
        raise ValueError(f'expected ends="both" or ends="top", got {ends!r}')


def _counts(moments: Moments | None) -> dict[str, int]:
    return {} if moments is None else {"pictures": moments.count}


def _values(axis: Axis, moments: Moments | None, seed: int) -> UnitValues:
    """Return means over the images; or, where nothing was measured, a random order's ranks."""
    if moments is None:
        count = math.prod(axis.sizes)
        order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
        ranks = torch.empty(count, dtype=torch.float64)
        ranks[order] = torch.arange(1, count + 1, dtype=torch.float64)
        return UnitValues(axis=axis, values=ranks.reshape(axis.sizes))
    errors = moments.standard_error if moments.count > 1 else None
    return UnitValues(axis=axis, values=moments.mean, standard_errors=errors)


@dataclass(frozen=True, eq=False)
class _ClassQuestion:
    """What is measured on images of a class."""

    model: nn.Module
    units: UnitsOf
    target: int
    quantity: Quantity
    distribution: Distribution
    n_steps: int
    run: Run
    counts_from: Replacement | None = None

    def counting(
        self, instead: Replace | Replacement | None, loader: Iterable[Any]
    ) -> _ClassQuestion:
        """Return the question whose displacements count from what removal puts there."""
        cut, over, seed = self.units.cut, self.distribution, self.run.seed
        found = in_place_of_units(instead, self.model, cut, loader, (self.target,), over, seed)
        return dataclasses.replace(self, counts_from=found.counts_from)

    def facts(self, name: str, names: Names) -> dict[str, str]:
        """Return what one ranking is of, in words."""
        return {
            "network": type(self.model).__name__,
            "layer": layer_name(self.model, self.units.cut),
            "class": class_name(self.target, names),
            **self._asked(name, names),
        }

    def _asked(self, name: str, names: Names) -> dict[str, str]:
        if name not in _SIGNED:
            return {}
        if name == "conductance":
            path = f"{self.n_steps} points on the straight path from 0 everywhere to the input"
            return {"quantity": ClassScore(self.target).in_words(names), "distribution": path}
        return {
            "quantity": self.quantity.in_words(names),
            "distribution": self.distribution.in_words(),
        }

    def over(self, loader: Iterable[Any], by: Sequence[str]) -> tuple[Axis, dict[str, Moments]]:
        """Return what units are, and what each measure says of them over the class's images."""
        measures: Mapping[str, Callable[[Tensor], Tensor]] = {
            "contribution": self._contribution,
            "influence": self._influence,
            "activation": self._activation,
            "conductance": self._conductance,
        }
        axis, parts = None, {name: list[Moments]() for name in by if name in measures}
        batches = labelled(loader, device_of(self.model))
        for images, labels in tqdm(batches, disable=not self.run.show_progress, unit="batch"):
            own = images[labels == self.target]
            if not len(own):
                continue
            if axis is None:
                axis = self._axis(own[:1])
            for name, moments in parts.items():
                values = measures[name](own).to("cpu", torch.float64)
                moments.append(Moments.of(axis.pool(values, self.units.aggregate)))
        if axis is None:
            raise ValueError(
                f"the loader holds no image of class {self.target}: give one that does"
            )
        return axis, {name: Moments.merged_all(moments) for name, moments in parts.items()}

    def _axis(self, images: Tensor) -> Axis:
        return self.units.along(tuple(self._activation(images).shape[1:]), self.model, images)

    def _influence(self, images: Tensor) -> Tensor:
        return self._measured(images, multiply=False)

    def _contribution(self, images: Tensor) -> Tensor:
        return self._measured(images, multiply=True)

    def _measured(self, images: Tensor, multiply: bool) -> Tensor:
        measure = DistributionalInfluence(
            self.model,
            self.units.cut,
            distribution=self.distribution,
            quantity=self.quantity,
            multiply_by_inputs=multiply,
            displacement=self.counts_from or "end",
        )
        found: Tensor = measure.attribute(images, internal_batch_size=self.run.internal_batch_size)
        return found

    def _activation(self, images: Tensor) -> Tensor:
        return activations(self.model, images, self.units.cut)

    def _conductance(self, images: Tensor) -> Tensor:
        cut = self.units.cut
        if cut.call is not None or cut.select is not None:
            raise ValueError(
                f"Captum's LayerConductance can't pick one call or tensor at the {cut}: "
                'leave "conductance" out'
            )
        module = Slice(self.model, [cut]).cuts[0].module  # also inside a compiled network
        rows = self.run.internal_batch_size or 64
        found: Tensor = LayerConductance(answering(self.model), module).attribute(
            images,
            target=self.target,
            n_steps=self.n_steps,
            attribute_to_layer_input=cut.side == "input",
            internal_batch_size=max(rows, 2 * len(images)),  # Captum wants twice the examples
        )
        return found.detach()
