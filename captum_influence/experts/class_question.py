"""What is measured of a layer's units on images of a class, and of the rest."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from captum.attr import LayerConductance
from torch import Tensor, nn

from captum_influence.attr.distributions import Distribution
from captum_influence.attr.influence import DistributionalInfluence
from captum_influence.attr.paths import LinearPath
from captum_influence.attr.profile.moments import Moments
from captum_influence.attr.quantities import ClassScore, Quantity
from captum_influence.attr.run import Run
from captum_influence.data.bars import progress
from captum_influence.data.batches import labelled
from captum_influence.data.labels import Names, class_name
from captum_influence.network.cuts import layer_name
from captum_influence.network.devices import device_of
from captum_influence.network.inputs import none_of, noun_of, takes_prompts
from captum_influence.network.outputs import answering
from captum_influence.network.reading import activations
from captum_influence.network.slices import Slice
from captum_influence.units.axes import Axis
from captum_influence.units.ranking import UnitValues
from captum_influence.units.replacement import MeanActivation, Replace, Replacement
from captum_influence.units.survey import has_others, in_place_of_units
from captum_influence.units.units_of import UnitsOf

__all__ = ["AGAINST_REST", "SIGNED", "ClassMeasures", "ClassQuestion"]

SIGNED = ("contribution", "influence", "contrast", "conductance")
AGAINST_REST = ("contrast", "selectivity")
_BY_GRADIENT = ("contribution", "influence", "magnitude", "contrast")


@dataclass(frozen=True, eq=False, kw_only=True)
class ClassMeasures:
    """What was measured of every unit.

    Attributes:
        axis: what one unit is.
        pictures: how many images, or prompts, of the class there were.
        values: by each measure.
        noun: what one of these is called.
    """

    axis: Axis
    pictures: int
    values: Mapping[str, UnitValues]
    noun: str = "picture"

    def facts(self, name: str) -> dict[str, int]:
        """Return of how many images one measure is the mean."""
        return {} if name == "random" else {f"{self.noun}s": self.pictures}


@dataclass(frozen=True, eq=False, kw_only=True)
class ClassQuestion:
    """What is asked of a layer's units about a class.

    Attributes:
        model: the network.
        units: of which layer.
        target: the class.
        quantity: what influence is on.
        distribution: over which inputs.
        n_steps: points of the conductance.
        run: how it is run.
        counts_from: what displacements count from; None: the distribution's reference.
    """

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
    ) -> ClassQuestion:
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
        if name == "conductance":
            start = "0 at the embedding" if takes_prompts(self.model) else "0 everywhere"
            path = f"{self.n_steps} points on the straight path from {start} to the input"
            return {"quantity": ClassScore(self.target).in_words(names), "distribution": path}
        if name not in _BY_GRADIENT:
            return {}
        return {
            "quantity": self.quantity.in_words(names),
            "distribution": self.distribution.in_words(),
        }

    def over(self, loader: Iterable[Any], by: Sequence[str]) -> ClassMeasures:
        """Return what each measure says of all units.

        Raises:
            ValueError: if the loader holds no image of the class, or none of others that it takes.
        """
        rest = [name for name in by if name in AGAINST_REST]
        apart = self._apart(loader, rest[0]) if rest else torch.zeros(())
        axis, moments = self._means(loader, by, apart)
        values = {name: _averaged(axis, found) for name, found in moments.items()}
        if "selectivity" in by:
            values["selectivity"] = self._selectivity(loader, axis)
        if "random" in by:
            values["random"] = _at_random(axis, self.run.seed)
        pictures = next(iter(moments.values())).count if moments else self._count(loader)
        noun = noun_of(self.model)
        return ClassMeasures(axis=axis, pictures=pictures, values=values, noun=noun)

    def _means(
        self, loader: Iterable[Any], by: Sequence[str], apart: Tensor
    ) -> tuple[Axis, dict[str, Moments]]:
        """Return what units are, and each mean over the class's images."""
        measures: Mapping[str, Callable[[Tensor], Tensor]] = {
            "contribution": self._contribution,
            "influence": self._influence,
            "magnitude": lambda images: self._influence(images).abs(),
            "contrast": lambda images: self._influence(images).cpu() * apart,
            "activation": self._activation,
            "conductance": self._conductance,
        }
        axis, parts = None, {name: list[Moments]() for name in by if name in measures}
        for own, _ in self._batches(loader):
            if not len(own):
                continue
            if axis is None:
                axis = self._axis(own[:1])
            for name, moments in parts.items():
                values = measures[name](own).to("cpu", torch.float64)
                moments.append(Moments.of(axis.pool(values, self.units.aggregate)))
        if axis is None:
            raise ValueError(none_of(self.model, self.target))
        return axis, {name: Moments.merged_all(moments) for name, moments in parts.items()}

    def _batches(self, loader: Iterable[Any]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield each batch's images of the class, and its others."""
        batches, show = labelled(loader, device_of(self.model)), self.run.show_progress
        for images, labels in progress(batches, "rankings", unit="batch", show=show):
            member = labels == self.target
            yield images[member], images[~member]

    def _count(self, loader: Iterable[Any]) -> int:
        return sum(len(own) for own, _ in self._batches(loader))

    def _apart(self, loader: Iterable[Any], name: str) -> Tensor:
        """Return the class's mean activation less that of the rest, (...), float64."""
        if not has_others(loader, self.model, self.target):
            raise ValueError(
                f"expected images of other classes than {self.target} for {name!r}, got none: "
                "leave it out of by="
            )
        sides = (self._activations(loader, 0), self._activations(loader, 1))
        if takes_prompts(self.model):
            own, rest = MeanActivation.of_prompts(*sides)
        else:
            own, rest = map(MeanActivation.of, sides)
        return own.value - rest.value

    def _activations(self, loader: Iterable[Any], side: int) -> Iterator[Tensor]:
        """Yield the activations on each batch's images of the class (0), or on its others (1)."""
        for batch in self._batches(loader):
            if len(batch[side]):
                yield self._activation(batch[side])

    def _selectivity(self, loader: Iterable[Any], axis: Axis) -> UnitValues:
        """Return d′: how far the class's mean lies from the rest's, over their pooled deviation."""
        parts: tuple[list[Moments], list[Moments]] = ([], [])
        for batch in self._batches(loader):
            for images, moments in zip(batch, parts, strict=True):
                if len(images):
                    values = self._activation(images).to("cpu", torch.float64)
                    moments.append(Moments.of(axis.pool(values, self.units.aggregate)))
        own, rest = (Moments.merged_all(moments) for moments in parts)
        spread = ((own.variance.nan_to_num() + rest.variance.nan_to_num()) / 2).sqrt()
        apart = own.mean - rest.mean
        # A unit that never varies tells nothing apart, or all: by how far it lies, then.
        return UnitValues(axis=axis, values=torch.where(spread > 0, apart / spread, apart.sign()))

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
        if takes_prompts(self.model):  # Captum's path runs between the inputs: nothing is there
            return self._along(images)
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

    def _along(self, prompts: Tensor) -> Tensor:
        """Return the same integral, on the path behind the embedding of prompts."""
        measure = DistributionalInfluence(
            self.model,
            self.units.cut,
            distribution=LinearPath(n=self.n_steps),
            quantity=ClassScore(self.target),
            displacement="along",
        )
        found: Tensor = measure.attribute(prompts, internal_batch_size=self.run.internal_batch_size)
        return found


def _averaged(axis: Axis, moments: Moments) -> UnitValues:
    errors = moments.standard_error if moments.count > 1 else None
    return UnitValues(axis=axis, values=moments.mean, standard_errors=errors)


def _at_random(axis: Axis, seed: int) -> UnitValues:
    """Return the ranks of a random order."""
    count = math.prod(axis.sizes)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    ranks = torch.empty(count, dtype=torch.float64)
    ranks[order] = torch.arange(1, count + 1, dtype=torch.float64)
    return UnitValues(axis=axis, values=ranks.reshape(axis.sizes))
