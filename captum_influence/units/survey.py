"""One question about some classes, put to a loader's images of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from captum_influence.attr.distributions import Distribution
from captum_influence.attr.influence import DistributionalInfluence
from captum_influence.attr.paths import LinearPath, StratifiedPath
from captum_influence.attr.profile.result import InfluenceProfile
from captum_influence.attr.quadrature import Midpoint
from captum_influence.attr.quantities import Quantity
from captum_influence.attr.run import Run
from captum_influence.data.batches import labelled, repeatable
from captum_influence.network.cuts import Cut
from captum_influence.network.devices import device_of
from captum_influence.network.reading import activations
from captum_influence.reports.shown import Focus
from captum_influence.units.axes import Axis
from captum_influence.units.exemplars import Podium
from captum_influence.units.measurement import Measurement
from captum_influence.units.ranking import UnitInfluence
from captum_influence.units.units_of import UnitsOf

__all__ = ["Activity", "Survey"]


@dataclass(frozen=True, eq=False)
class Activity:
    """Mean activations (units,) on images of one class and on all others; None without others."""

    inside: Tensor
    outside: Tensor | None


@dataclass(frozen=True, eq=False)
class Survey:
    """A question about classes, and the loader that knows them.

    Attributes:
        model: the network.
        units: of which layer, and along which of its dimensions.
        loader: yields (images, labels).
        classes: whose images are asked about.
        quantity: what is asked.
        distribution: over which inputs; None: a few points per image for means, a finer path for
            single images.
        focus: whether maps show what raises the quantity through a unit, or what raises the unit.
        run: how it is run.
    """

    model: nn.Module
    units: UnitsOf
    loader: Iterable[Any]
    classes: tuple[int, ...]
    quantity: Quantity
    distribution: Distribution | None = None
    focus: Focus = "quantity"
    run: Run = field(default_factory=Run)

    @property
    def cut(self) -> Cut:
        """The layer."""
        return self.units.cut

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
            if images.ndim != 4:
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
            f"the loader holds no image of class {min(missing)}: give one that does, with labels "
            "that count as the network's classes do"
        )

    def along(self, axis: Axis) -> Survey:
        """Return the survey of units along an axis that has been found."""
        return replace(self, units=replace(self.units, axis=axis, heads=None))

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
            distribution=StratifiedPath(n=4) if self.distribution is None else self.distribution,
            quantity=self.quantity,
            multiply_by_inputs=multiply,
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
        path = LinearPath(0.0, 16, Midpoint()) if self.distribution is None else self.distribution
        run = replace(self.run, show_progress=False)  # there are many, and each is short
        return Measurement(
            self.model, self.units, self.quantity, path, "contribution", self.focus, run
        )

    def facts(self) -> dict[str, str]:
        """Return over which inputs means and maps are taken, in words."""
        means = "four points on each input's straight path from 0 everywhere"
        if self.distribution is not None:
            means = self.distribution.in_words()
        return {"means": means, "maps": self.measurement().distribution.in_words()}

    def podium(
        self,
        axis: Axis,
        units: Sequence[UnitInfluence],
        count: int,
        classes: Sequence[int],
        signs: Sequence[int],
    ) -> Podium:
        """Return for each unit its class's images where its contribution, signed, is largest."""
        podium, measurement, start = Podium(count), self.measurement(), 0
        places = [unit.index[0] for unit in units]
        wanted = torch.tensor(list(classes))
        for images, labels in self._bar("pictures"):
            member = torch.isin(labels.cpu(), wanted)
            if bool(member.any()):
                own, said = images[member.to(images.device)], labels.cpu()[member]
                values = axis.pool(measurement.values(own)[0], self.units.aggregate).cpu()[
                    :, places
                ]
                values = values * torch.tensor(list(signs)).to(values.dtype)
                fits = said[:, None] == wanted[None]
                numbers = (start + member.nonzero()[:, 0]).tolist()
                podium.admit(values.masked_fill(~fits, -torch.inf), numbers, own, said)
            start += len(images)
        return podium

    def activity(
        self, axis: Axis, units: Sequence[UnitInfluence], count: int
    ) -> tuple[Podium, Activity]:
        """Return on which images of any class units are most active, and means over the first."""
        podium, start = Podium(count), 0
        sums, counts = [torch.zeros(()), torch.zeros(())], [0, 0]
        places = [unit.index[0] for unit in units]
        for images, labels in self._bar("activations"):
            found = axis.pool(activations(self.model, images, self.cut), "mean").cpu().double()
            numbers = list(range(start, start + len(images)))
            podium.admit(found[:, places], numbers, images, labels)
            for i, chosen in enumerate((labels == self.classes[0], labels != self.classes[0])):
                sums[i] = sums[i] + found[chosen.cpu()].sum(dim=0)
                counts[i] += int(chosen.sum())
            start += len(images)
        outside = sums[1] / counts[1] if counts[1] else None
        return podium, Activity(sums[0] / max(counts[0], 1), outside)

    def _bar(self, words: str) -> Iterator[tuple[Tensor, Tensor]]:
        batches = labelled(self.loader, device_of(self.model))
        total = len(self.loader) if isinstance(self.loader, Sized) else None
        yield from tqdm(
            batches, total=total, desc=words, unit="batch", disable=not self.run.show_progress
        )


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
