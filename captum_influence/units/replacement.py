"""What takes the place of a unit that is removed."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from captum_influence.attr.distributions import Distribution
from captum_influence.attr.origins import begins_somewhere
from captum_influence.data.batches import images_of
from captum_influence.network.cuts import Cut
from captum_influence.network.devices import device_of
from captum_influence.network.inputs import takes_prompts
from captum_influence.network.reading import activations
from captum_influence.units.axes import Axis

__all__ = ["Constant", "MeanActivation", "Replace", "Replacement", "Resample", "at_baseline"]

Replace = float | Literal["zero", "mean", "resample"] | Tensor


class Replacement(ABC):
    """What is put where units are removed. A subclass answers :meth:`like`."""

    @abstractmethod
    def like(self, activations: Tensor) -> Tensor:
        """Return replacements for a batch (examples, ...), broadcastable to its shape."""

    def in_words(self) -> str:
        """Return what takes a unit's place, as a reader calls it."""
        return type(self).__name__

    @staticmethod
    def ensure(
        replace: Replace | Replacement,
        model: nn.Module,
        cut: Cut,
        reference: Tensor | Iterable[Any] | None = None,
        seed: int = 0,
    ) -> Replacement:
        """Return a number, a tensor, ``"zero"``, ``"mean"`` or ``"resample"`` as what it means.

        Raises:
            ValueError: if there is no such replacement, or it lacks its reference.
        """
        if isinstance(replace, Replacement):
            return replace
        if isinstance(replace, str) and replace in ("mean", "resample"):
            known = _reference(model, cut, reference, replace)
            if replace == "resample":
                return Resample.of(known, seed)
            return (
                MeanActivation.of_prompts(known)[0]
                if takes_prompts(model)
                else MeanActivation.of(known)
            )
        if reference is not None:
            raise ValueError(
                f'expected replace="mean" or "resample" beside a reference, got {replace!r}: leave '
                "one out"
            )
        return _constant(replace)

    @staticmethod
    def among(replace: Replace | Replacement, activations: Tensor, seed: int = 0) -> Replacement:
        """Return the same, ``"mean"`` and ``"resample"`` being those of activations at hand.

        Args:
            replace: as :meth:`ensure` takes it.
            activations: (examples, ...).
            seed: of a draw.

        Raises:
            ValueError: if there is no such replacement, or it needs more than one example.
        """
        if isinstance(replace, Replacement):
            return replace
        if isinstance(replace, str) and replace in ("mean", "resample"):
            if len(activations) < 2:
                raise ValueError(
                    f'replace="{replace}" of a single example would put back what was removed: '
                    "give several, or a Replacement made of others, as MeanActivation.of([...])"
                )
            made_of = [activations.detach()]
            return MeanActivation.of(made_of) if replace == "mean" else Resample.of(made_of, seed)
        return _constant(replace)

    @staticmethod
    def with_loader(
        replace: Replace | Replacement | None,
        model: nn.Module,
        cut: Cut,
        loader: Iterable[Any] | None,
        seed: int = 0,
    ) -> Replacement:
        """Return the replacement that is meant where a loader may be at hand, read if need be.

        Args:
            replace: as :meth:`ensure` takes it; None: the mean where there is a loader, else zero.
            model: the network.
            cut: where units are removed.
            loader: of examples.
            seed: of a draw.

        Raises:
            ValueError: if there is no such replacement, or the loader is missing.
        """
        if replace is None:
            return _mean_or_zero(model, cut, loader)
        known = loader if isinstance(replace, str) and replace != "zero" else None
        return Replacement.ensure(replace, model, cut, known, seed)


@dataclass(frozen=True, eq=False)
class Constant(Replacement):
    """The same for every example: a number, or a tensor shaped like one example's activations."""

    value: Tensor

    def like(self, activations: Tensor) -> Tensor:
        return _fitting(self.value, activations)

    def in_words(self) -> str:
        return "given activations" if self.value.ndim else f"{float(self.value):g}"


@dataclass(frozen=True, eq=False)
class MeanActivation(Replacement):
    """The mean activation over reference examples, entry by entry, shape (...).

    Of prompts that aren't equally long, whose entries don't correspond, it is also over their
    tokens: ``value`` has one entry along these dimensions.

    Attributes:
        value: the mean.
        places: the dimensions of ``value`` that it is also over.
    """

    value: Tensor
    places: tuple[int, ...] = ()

    @staticmethod
    def of(batches: Iterable[Tensor]) -> MeanActivation:
        """Return the mean over batches of activations (examples, ...).

        Raises:
            ValueError: if they differ in shape.
        """
        sums = _Sums.of(batches)
        if len(shapes := list(sums.totals)) > 1:
            raise ValueError(
                f"expected activations of one shape, got {tuple(shapes[0])} and "
                f"{tuple(shapes[1])}: there is no mean of them. Give a loader whose "
                'inputs have one size, or replace="zero"'
            )
        return sums.mean(())

    @staticmethod
    def of_prompts(*sets: Iterable[Tensor]) -> tuple[MeanActivation, ...]:
        """Return the mean over each set of batches (examples, ...), alike for all sets.

        Dimensions in which any of them differ count tokens, and are averaged over.
        """
        sums = [_Sums.of(batches) for batches in sets]
        columns = list(zip(*{shape for one in sums for shape in one.totals}, strict=True))
        places = tuple(d for d, sizes in enumerate(columns) if len(set(sizes)) > 1)
        return tuple(one.mean(places) for one in sums)

    def pooled(self, axis: Axis) -> MeanActivation:
        """Return the mean over places too, one for each unit (of a head or a group: each channel).

        Args:
            axis: what tells units apart; all other dimensions are places.
        """
        places = [d for d in range(self.value.ndim) if d not in axis.keep]
        mean = self.value.mean(places, keepdim=True) if places else self.value
        return MeanActivation(mean.expand_as(self.value))

    def like(self, activations: Tensor) -> Tensor:
        shape, value = activations.shape[1:], self.value
        if len(shape) == value.ndim:
            sizes = [shape[d] if d in self.places else size for d, size in enumerate(value.shape)]
            value = value.expand(sizes)
        return _fitting(value, activations)

    def in_words(self) -> str:
        return "its mean activation" + (" over all tokens" if self.places else "")


@dataclass(frozen=True, eq=False)
class _Sums:
    """Sums of activations over examples, and how many these were, for each shape of an example."""

    totals: dict[torch.Size, tuple[Tensor, int]]

    @staticmethod
    def of(batches: Iterable[Tensor]) -> _Sums:
        totals: dict[torch.Size, tuple[Tensor, int]] = {}
        for batch in batches:
            none = torch.zeros(batch.shape[1:], dtype=torch.float64), 0
            total, count = totals.get(batch.shape[1:], none)
            totals[batch.shape[1:]] = total + batch.double().sum(dim=0).cpu(), count + len(batch)
        return _Sums(totals)

    def mean(self, places: tuple[int, ...]) -> MeanActivation:
        """Return the mean over examples, and over some of the dimensions of each."""
        total, count = torch.zeros((), dtype=torch.float64), 0
        for shape, (part, examples) in self.totals.items():
            total = total + (part.sum(places, keepdim=True) if places else part)
            count += examples * math.prod(shape[d] for d in places)
        return MeanActivation(total / count, places)


@dataclass(frozen=True, eq=False)
class Resample(Replacement):
    """The activations of a reference example, drawn at random for each row of a batch.

    All units of a row come from the same example. Every pass draws the same: row i of each batch
    gets the same example.

    Attributes:
        values: (reference examples, ...).
        seed: of the draw; the global state is left alone.
    """

    values: Tensor
    seed: int = 0

    @staticmethod
    def of(batches: Iterable[Tensor], seed: int = 0) -> Resample:
        """Return the draw from batches of activations (examples, ...), which are kept."""
        kept = [batch.cpu() for batch in batches]
        if len(shapes := list(dict.fromkeys(batch.shape[1:] for batch in kept))) > 1:
            raise ValueError(
                f"expected activations of one shape, got {tuple(shapes[0])} and "
                f"{tuple(shapes[1])}: one can't take the other's place. Give a loader whose inputs "
                'have one size, or replace="zero"'
            )
        return Resample(torch.cat(kept), seed)

    def like(self, activations: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed)
        rows = torch.randint(len(self.values), (len(activations),), generator=generator)
        _fitting(self.values[0], activations)
        return self.values[rows].to(activations)

    def in_words(self) -> str:
        return "its activation on another example"


def at_baseline(replace: Replace | Replacement | None, over: Distribution, inputs: Tensor) -> bool:
    """Return whether contributions count from the baseline of a path, where they add up.

    They do unless it is said what a removal puts in a unit's place.
    """
    return replace is None and begins_somewhere(over, inputs)


def _constant(replace: Replace) -> Constant:
    if isinstance(replace, str) and replace != "zero":
        raise ValueError(
            f'expected replace as a number, a tensor, "zero", "mean" or "resample", got {replace!r}'
        )
    return Constant(torch.zeros(()) if isinstance(replace, str) else torch.as_tensor(replace))


def _mean_or_zero(model: nn.Module, cut: Cut, loader: Iterable[Any] | None) -> Replacement:
    """Return the mean over a loader; zero without one, or if its inputs differ in size."""
    if loader is not None:
        try:
            return Replacement.ensure("mean", model, cut, loader)
        except ValueError as error:
            if "of one shape" not in str(error):
                raise
    return Constant(torch.zeros(()))


def _reference(
    model: nn.Module, cut: Cut, reference: Tensor | Iterable[Any] | None, replace: str
) -> Iterable[Tensor]:
    """Return batches of activations: those given, or those of a loader's images."""
    if reference is None:
        raise ValueError(
            f"replace={replace!r} takes a reference: activations at the layer as a tensor "
            "(examples, ...), or a loader of images. Expert takes it as reference=, verbs take a "
            "loader as loader="
        )
    if isinstance(reference, Tensor):
        if not len(reference):
            raise ValueError("expected reference activations of at least one example, got none")
        return [reference.detach()]
    return (activations(model, images, cut) for images in images_of(reference, device_of(model)))


def _fitting(value: Tensor, activations: Tensor) -> Tensor:
    shape = tuple(activations.shape[1:])
    if value.ndim and tuple(value.shape) != shape:
        raise ValueError(
            f"expected replacements of shape {shape}, as one example's activations at the layer, "
            f"got {tuple(value.shape)}: give a mean over inputs of that size, or of several sizes, "
            'or replace="zero"'
        )
    return value.to(activations)
