"""Which units have to go for a network's answer to change, and what else changes then."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from captum_influence.data.batches import labelled
from captum_influence.network.devices import device_of
from captum_influence.network.substitution import Reruns, reruns
from captum_influence.units.axes import Axis
from captum_influence.units.measurement import Measurement
from captum_influence.units.ranking import UnitInfluence, UnitValues
from captum_influence.units.replacement import Replacement

__all__ = ["Collateral", "Controls", "Flipping", "Outcome", "Search"]

Outcome = Literal["true", "other", "none"]
_CONTROLS_ON_LOADER = 5
_ROWS = 32  # sets of units per pass


@dataclass(frozen=True, kw_only=True)
class Controls:
    """What removing random units does: as many, out of those that do anything on this input.

    Attributes:
        sets: how many sets were drawn.
        size: how many units each has.
        to_true: after how many of them the answer is the true one.
        away: after how many it is no longer the predicted one.
        margins: score(predicted) − score(true) after each.
    """

    sets: int
    size: int
    to_true: int
    away: int
    margins: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Collateral:
    """What removing the units does to other answers.

    Attributes:
        examples: how many inputs there were.
        before: the network's accuracy on them.
        after: its accuracy without the units.
        random: the same without as many random units, averaged over a few sets; None without any.
        of_predicted: inputs of the class that was wrongly said.
        predicted_before: the accuracy on these; 0 if there are none.
        predicted_after: the same without the units.
    """

    examples: int
    before: float
    after: float
    random: float | None
    of_predicted: int
    predicted_before: float
    predicted_after: float


@dataclass(frozen=True, eq=False, kw_only=True)
class Search:
    """What is looked for: units without which a network says ``true`` and not ``predicted``.

    Attributes:
        measurement: the question score(predicted) − score(true), put to the network at the layer.
        true: the class that it should say.
        predicted: the class that it says.
        replacement: what takes the place of removed units.
    """

    measurement: Measurement
    true: int
    predicted: int
    replacement: Replacement

    def pooled(self, inputs: Tensor, runs: Reruns) -> UnitValues:
        """Return each unit's influence; of contributions, times what removing it changes."""
        units, by = self.measurement.units, self.measurement.by
        values, _ = replace(self.measurement, by="influence").values(inputs)
        if by == "contribution":
            values = values * (runs.activations - self.replacement.like(runs.activations))
        axis = units.along(tuple(values.shape[1:]))
        return UnitValues.pooled(values, axis, units.aggregate)

    def outcome(self, scores: Tensor) -> list[Outcome]:
        """Say of each row of scores (rows, classes) whether the answer changed, and to what."""
        words: dict[int, Outcome] = {self.true: "true", self.predicted: "none"}
        return [words.get(answer, "other") for answer in scores.argmax(dim=1).tolist()]

    def margins(self, scores: Tensor) -> tuple[float, ...]:
        """Return score(predicted) − score(true) of each row."""
        return tuple((scores[:, self.predicted] - scores[:, self.true]).tolist())


@dataclass(frozen=True, eq=False)
class Flipping:
    """One input at the cut, from which units are removed."""

    search: Search
    runs: Reruns
    axis: Axis

    def answers(self, sets: Sequence[Sequence[UnitInfluence]]) -> Tensor:
        """Return the scores (sets, classes) after removing each set of units."""
        rows = self.search.measurement.run.internal_batch_size or _ROWS
        found = [self._answers(sets[i : i + rows]) for i in range(0, len(sets), rows)]
        return torch.cat(found)

    def smallest(self, candidates: Sequence[UnitInfluence]) -> tuple[Outcome, list[UnitInfluence]]:
        """Return the first units that suffice, less those that turn out not to be needed.

        If no number of them makes the answer the true one, those that make it another; if none
        does that, all of them.
        """
        sets = [candidates[: k + 1] for k in range(len(candidates))]
        outcomes = self.search.outcome(self.answers(sets)) if sets else []
        wanted: tuple[Outcome, ...] = ("true", "other")
        for outcome in wanted:
            if outcome in outcomes:
                return outcome, self._pruned(sets[outcomes.index(outcome)], outcome)
        return "none", list(candidates)

    def controls(self, size: int, sets: int) -> tuple[Controls | None, list[list[UnitInfluence]]]:
        """Remove random sets of units that are active here, and look at the answers."""
        active = self._active()
        size = min(size, len(active))
        if not size or not sets:
            return None, []
        generator = torch.Generator().manual_seed(self.search.measurement.run.seed)
        draws = [torch.randperm(len(active), generator=generator)[:size] for _ in range(sets)]
        chosen = [[active[i] for i in draw.tolist()] for draw in draws]
        scores = self.answers(chosen)
        outcomes = self.search.outcome(scores)
        found = Controls(
            sets=sets,
            size=size,
            to_true=outcomes.count("true"),
            away=sum(outcome != "none" for outcome in outcomes),
            margins=self.search.margins(scores),
        )
        return found, chosen

    def collateral(
        self,
        loader: Iterable[Any],
        units: Sequence[UnitInfluence],
        controls: Sequence[Sequence[UnitInfluence]],
    ) -> Collateral:
        """Count right answers on a loader with and without the units, and without random ones."""
        sets = [units, *controls[:_CONTROLS_ON_LOADER]]
        right, true = self._answered(loader, sets)
        share = right.mean(dim=1)
        wronged = right[:, true == self.search.predicted]
        of = wronged.shape[1]
        return Collateral(
            examples=len(true),
            before=float(share[0]),
            after=float(share[1]),
            random=float(share[2:].mean()) if len(share) > 2 else None,
            of_predicted=of,
            predicted_before=float(wronged[0].mean()) if of else 0.0,
            predicted_after=float(wronged[1].mean()) if of else 0.0,
        )

    def _answered(
        self, loader: Iterable[Any], sets: Sequence[Sequence[UnitInfluence]]
    ) -> tuple[Tensor, Tensor]:
        """Return (1 + sets, examples) whether each is answered right, and (examples,) classes."""
        measurement = self.search.measurement
        rights, trues = [], []
        for images, labels in labelled(loader, device_of(measurement.model)):
            with reruns(measurement.model, measurement.cut, images) as runs:
                changed = [runs.answer(self._removed(runs.activations, [s])) for s in sets]
                rights.append(torch.stack([s.argmax(1) == labels for s in (runs.scores, *changed)]))
            trues.append(labels)
        return torch.cat(rights, dim=1).double(), torch.cat(trues)

    def _answers(self, sets: Sequence[Sequence[UnitInfluence]]) -> Tensor:
        changed = self._removed(self.runs.activations, sets)
        return self.runs.answer(changed, torch.zeros(len(sets), dtype=torch.long))

    def _removed(self, activations: Tensor, sets: Sequence[Sequence[UnitInfluence]]) -> Tensor:
        """Return activations without the sets: one row for each, or for each example."""
        masks = torch.zeros(len(sets), *activations.shape[1:], dtype=torch.bool)
        for mask, units in zip(masks, sets, strict=True):
            for unit in units:
                mask[self.axis.selector(unit.index)] = True
        other = self.search.replacement.like(activations)
        return torch.where(masks.to(activations.device), other, activations)

    def _pruned(self, units: Sequence[UnitInfluence], wanted: Outcome) -> list[UnitInfluence]:
        """Leave out, the weakest first, each unit without which the rest suffice."""
        kept = list(units)
        for unit in reversed(units):
            fewer = [other for other in kept if other is not unit]
            if fewer and self.search.outcome(self.answers([fewer])) == [wanted]:
                kept = fewer
        return kept

    def _active(self) -> list[UnitInfluence]:
        """Return the units that removal changes at all."""
        other = self.search.replacement.like(self.runs.activations)
        moved = self.axis.pool((self.runs.activations - other).abs())[0]
        indices = moved.nonzero().tolist()
        return [UnitInfluence(self.axis.name, tuple(index), 0.0, 0.0) for index in indices]
