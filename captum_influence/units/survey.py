"""One question about some classes, put to a loader's images of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from captum_influence.attr.distributions import Distribution, Point
from captum_influence.attr.influence import DistributionalInfluence
from captum_influence.attr.profile.result import InfluenceProfile
from captum_influence.attr.quantities import Quantity
from captum_influence.attr.run import Run
from captum_influence.data.bars import progress
from captum_influence.data.batches import images_of, labelled, numbered, repeatable
from captum_influence.network.cuts import Cut
from captum_influence.network.devices import device_of
from captum_influence.network.inputs import network_of, none_of, noun_of, takes_prompts
from captum_influence.network.outline import last_with_places
from captum_influence.network.reading import activations
from captum_influence.reports.shown import Focus
from captum_influence.units.axes import Axis
from captum_influence.units.exemplars import Podium
from captum_influence.units.measurement import Measurement
from captum_influence.units.ranking import UnitInfluence
from captum_influence.units.replacement import Constant, Replace, Replacement, at_baseline
from captum_influence.units.units_of import LayerLike, UnitsOf

__all__ = [
    "Activity",
    "InPlace",
    "Survey",
    "has_others",
    "in_place_of_units",
    "named_on",
]


@dataclass(frozen=True, eq=False)
class Activity:
    """Mean activations (units,) on images of one class and on all others; None without others."""

    inside: Tensor
    outside: Tensor | None


def named_on(loader: Iterable[Any], model: nn.Module, layer: LayerLike | None) -> LayerLike:
    """Return a layer; None: the last with several places, as the first input goes through it.

    Raises:
        TypeError: if the loader can be read only once.
        ValueError: if there is no such layer.
    """
    if layer is not None:
        return layer
    with torch.random.fork_rng(devices=[]):  # a shuffling loader draws on it
        images = next(images_of(repeatable(loader), device_of(model)))
    return last_with_places(network_of(model), images[:1])


@dataclass(frozen=True)
class InPlace:
    """What removal puts in a unit's place, and what displacements count from: None, a baseline."""

    removed: Replacement
    counts_from: Replacement | None


def in_place_of_units(
    instead: Replace | Replacement | None,
    model: nn.Module,
    cut: Cut,
    loader: Iterable[Any],
    classes: Sequence[int],
    over: Distribution,
    seed: int,
) -> InPlace:
    """Return what takes the place of units over a loader.

    Args:
        instead: as :meth:`Replacement.ensure` takes it; a mean or a draw is over the loader, of
            several classes over their pictures. None: the mean; zero where the loader holds
            pictures of one class only, whose mean is what the class does. Contributions along a
            path still count from its baseline then, where they add up.
        model: the network.
        cut: the layer.
        loader: yields (images, labels).
        classes: whose pictures are asked about.
        over: the distribution.
        seed: of a draw.
    """
    images, _ = next(iter(labelled(loader, device_of(model))))
    along = at_baseline(instead, over, images[:1])
    if instead is None and len(classes) == 1 and not has_others(loader, model, classes[0]):
        instead = "zero"
    # Two classes told apart: neither is told from third ones, which lie elsewhere.
    pictures = loader if len(classes) == 1 else _Members(loader, model, tuple(classes))
    removed = Replacement.with_loader(instead, model, cut, pictures, seed)
    return InPlace(removed, None if along else removed)


def has_others(loader: Iterable[Any], model: nn.Module, target: int) -> bool:
    """Return whether a loader holds pictures of other classes."""
    batches = labelled(loader, device_of(model))
    return any(bool((labels != target).any()) for _, labels in batches)


@dataclass(frozen=True, eq=False)
class Survey:
    """A question about classes, and the loader that knows them.

    Attributes:
        model: the network.
        units: of which layer, and along which of its dimensions.
        loader: yields (images, labels).
        classes: whose images are asked about.
        quantity: what is asked.
        distribution: over which inputs; None: at each image itself.
        focus: whether maps show what raises the quantity through a unit, or what raises the unit.
        run: how it is run.
        removed: what removal puts in a unit's place.
        counts_from: what displacements count from; None: the activations at the distribution's
            reference.
    """

    model: nn.Module
    units: UnitsOf
    loader: Iterable[Any]
    classes: tuple[int, ...]
    quantity: Quantity
    distribution: Distribution | None = None
    focus: Focus = "quantity"
    run: Run = field(default_factory=Run)
    removed: Replacement = field(default_factory=lambda: Constant(torch.zeros(())))
    counts_from: Replacement | None = None

    @property
    def over(self) -> Distribution:
        """The distribution."""
        return Point() if self.distribution is None else self.distribution

    @property
    def cut(self) -> Cut:
        """The layer."""
        return self.units.cut

    @property
    def noun(self) -> str:
        """What one of its inputs is called."""
        return noun_of(self.model)

    def axis(self) -> Axis:
        """Return what one unit is: an entry of one of the layer's dimensions.

        Raises:
            ValueError: if the loader holds no image of one of the classes, or other than images;
                or if units are counted along more than one dimension, or part of one.
            TypeError: if it can be gone through only once.
        """
        repeatable(self.loader)
        missing = set(self.classes)
        axis = None
        for images, labels in labelled(self.loader, device_of(self.model)):
            if images.ndim != 4 and not takes_prompts(self.model):
                raise ValueError(
                    "expected a loader of images (examples, channels, height, width), got "
                    f"{tuple(images.shape)}: InfluenceProfile profiles inputs of any shape"
                )
            if axis is None:
                axis = self._along(images[:1])
            missing -= set(labels.tolist())
            if not missing:
                return axis
        raise ValueError(
            f"{none_of(self.model, min(missing))}, with labels that count as the network's classes "
            "do"
        )

    def along(self, axis: Axis) -> Survey:
        """Return the survey of units along an axis that has been found."""
        return replace(self, units=replace(self.units, axis=axis, heads=None))

    def removing(self, instead: Replace | Replacement | None) -> Survey:
        """Return the survey that counts from what removal puts in a unit's place.

        Args:
            instead: as :func:`in_place_of_units` takes it.
        """
        found = in_place_of_units(
            instead, self.model, self.cut, self.loader, self.classes, self.over, self.run.seed
        )
        return replace(self, removed=found.removed, counts_from=found.counts_from)

    def _along(self, images: Tensor) -> Axis:
        shape = tuple(activations(self.model, images, self.cut).shape[1:])
        axis = self.units.along(shape, self.model, images)
        if len(axis.keep) != 1 or axis.split is not None or axis.groups is not None:
            raise ValueError(
                "expected channels, or another dimension that tells units apart: means over a data "
                f"set are taken along one, got axis={self.units.axis!r}"
            )
        return axis

    def profile(self, axis: Axis, *, multiply: bool) -> InfluenceProfile:
        """Return mean influences, or contributions, of the units over each class's images."""
        influence = DistributionalInfluence(
            self.model,
            self.cut,
            distribution=self.over,
            quantity=self.quantity,
            multiply_by_inputs=multiply,
            displacement=self.counts_from or "end",
        )
        return InfluenceProfile.over(
            influence,
            _Members(self.loader, self.model, self.classes),
            group_by="label",
            axis=axis.keep[0] + 1,
            aggregate=self.units.aggregate,
            internal_batch_size=self.run.internal_batch_size,
            show_progress=self.run.show_progress,
        )

    def measurement(self) -> Measurement:
        """Return the same question, as it is put to single images."""
        run = replace(self.run, show_progress=False)  # there are many, and each is short
        return Measurement(
            model=self.model,
            units=self.units,
            quantity=self.quantity,
            distribution=self.over,
            by="contribution",
            focus=self.focus,
            run=run,
            replacement=self.counts_from,
        )

    def facts(self) -> dict[str, str]:
        """Return over which inputs influence is averaged, and what displacements count from."""
        path, start = "its activation where the path starts", self.counts_from
        basis = self.cut.basis
        return {
            **({} if basis is None else {"basis": basis.in_words()}),
            "distribution": self.over.in_words(),
            "counts_from": path if start is None else start.in_words(),
            "replace": self.removed.in_words(),
        }

    def pictures(self, target: int, count: int) -> list[Tensor]:
        """Return the loader's first pictures of a class, those of one shape as one batch."""
        found: list[tuple[int, Tensor]] = []
        for images, labels, places in numbered(self.loader, device_of(self.model)):
            own = (labels == target).cpu()
            found.extend(zip(places[own].tolist(), images[own.to(images.device)], strict=True))
            if len(found) >= count and not takes_prompts(self.model):  # these come by their length
                break
        alike: dict[torch.Size, list[Tensor]] = {}
        for _, picture in sorted(found, key=lambda one: one[0])[:count]:
            alike.setdefault(picture.shape, []).append(picture)
        return [torch.stack(batch) for batch in alike.values()]

    def podium(
        self,
        axis: Axis,
        units: Sequence[UnitInfluence],
        count: int,
        classes: Sequence[int],
        signs: Sequence[int],
    ) -> Podium:
        """Return for each unit its class's images where its contribution, signed, is largest."""
        podium, measurement = Podium(count), self.measurement()
        places = [unit.index[0] for unit in units]
        wanted = torch.tensor(list(classes))
        for images, labels, numbers in self._bar(f"{self.noun}s"):
            member = torch.isin(labels.cpu(), wanted)
            if bool(member.any()):
                own, said = images[member.to(images.device)], labels.cpu()[member]
                values = axis.pool(measurement.values(own)[0], self.units.aggregate).cpu()[
                    :, places
                ]
                values = values * torch.tensor(list(signs)).to(values.dtype)
                fits = said[:, None] == wanted[None]
                scored = values.masked_fill(~fits, -torch.inf)
                podium.admit(scored, numbers[member].tolist(), own, said)
        return podium

    def active(self, axis: Axis) -> dict[int, Tensor]:
        """Return the mean activations (units,) on pictures of each class, in their order."""
        sums, counts = dict.fromkeys(self.classes, torch.zeros(())), Counter[int]()
        for images, labels, _ in self._bar("activations"):
            found = axis.pool(activations(self.model, images, self.cut), "mean").cpu().double()
            for label in self.classes:
                sums[label] = sums[label] + found[labels.cpu() == label].sum(dim=0)
                counts[label] += int((labels == label).sum())
        return {label: total / counts[label] for label, total in sums.items()}

    def activity(
        self, axis: Axis, units: Sequence[UnitInfluence], count: int
    ) -> tuple[Podium, Activity]:
        """Return on which images of any class units are most active, and means over the first."""
        podium = Podium(count)
        sums, counts = [torch.zeros(()), torch.zeros(())], [0, 0]
        places = [unit.index[0] for unit in units]
        for images, labels, numbers in self._bar("activations"):
            found = axis.pool(activations(self.model, images, self.cut), "mean").cpu().double()
            podium.admit(found[:, places], numbers.tolist(), images, labels)
            for i, chosen in enumerate((labels == self.classes[0], labels != self.classes[0])):
                sums[i] = sums[i] + found[chosen.cpu()].sum(dim=0)
                counts[i] += int(chosen.sum())
        outside = sums[1] / counts[1] if counts[1] else None
        return podium, Activity(sums[0] / max(counts[0], 1), outside)

    def _bar(self, words: str) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        batches = numbered(self.loader, device_of(self.model))
        total = len(self.loader) if isinstance(self.loader, Sized) else None
        yield from progress(batches, words, total=total, unit="batch", show=self.run.show_progress)


@dataclass(frozen=True, eq=False)
class _Members:
    """A loader's images of some classes."""

    loader: Iterable[Any]
    model: nn.Module
    classes: tuple[int, ...]

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for images, labels in labelled(self.loader, device_of(self.model)):
            chosen = torch.isin(labels, torch.tensor(self.classes, device=labels.device))
            if bool(chosen.any()):
                yield images[chosen], labels[chosen]
