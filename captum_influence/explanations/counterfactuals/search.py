"""Which units have to go for a network's answer to change, and what else changes then."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from captum_influence.attr.distributions import Distribution
from captum_influence.attr.influence import DistributionalInfluence
from captum_influence.attr.quantities import ClassScore
from captum_influence.data.loaders import labelled
from captum_influence.network.cuts import Cut
from captum_influence.network.substitution import Reruns, reruns
from captum_influence.units.axes import Axis, AxisLike
from captum_influence.units.ranking import Ranking, UnitInfluence, ranking_of
from captum_influence.units.replacement import Replacement

__all__ = ["Collateral", "Controls", "Flipping", "Outcome", "Search"]

Outcome = Literal["true", "other", "none"]
_CONTROLS_ON_LOADER = 5


@dataclass(frozen=True)
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


@dataclass(frozen=True)
class Collateral:
    """What removing the units does to other answers.

    Attributes:
        examples: how many images there were.
        before: the network's accuracy on them.
        after: its accuracy without the units.
        random: the same without as many random units, averaged over a few sets; None without any.
        of_predicted: images of the class that was wrongly said.
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


@dataclass(frozen=True, eq=False)
class Search:
    """What is looked for: units without which ``model`` says ``true`` and not ``predicted``.

    Attributes:
        model: the network.
        cut: the layer.
        true: the class that it should say.
        predicted: the class that it says.
        replacement: what takes the place of removed units.
        distribution: over which inputs influence is averaged.
        seed: of random sets.
    """

    model: nn.Module
    cut: Cut
    true: int
    predicted: int
    replacement: Replacement
    distribution: Distribution
    seed: int = 0

    def ranking(self, inputs: Tensor, runs: Reruns, axis: AxisLike, heads: int | None) -> Ranking:
        """Rank units by influence on score(predicted) − score(true), × what removal changes."""
        measure = DistributionalInfluence(
            self.model,
            self.cut,
            distribution=self.distribution,
            quantity=ClassScore(self.predicted) - ClassScore(self.true),
        )
        influences: Tensor = measure.attribute(inputs)
        displacement = runs.activations - self.replacement.like(runs.activations)
        found = Axis.ensure(axis, tuple(influences.shape[1:]), heads)
        return ranking_of(influences * displacement, found, "contribution", "sum", None)

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

    def answers(self, sets: Sequence[Sequence[UnitInfluence]], rows: int = 32) -> Tensor:
        """Return the scores (sets, classes) after removing each set of units."""
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
        generator = torch.Generator().manual_seed(self.search.seed)
        draws = [torch.randperm(len(active), generator=generator)[:size] for _ in range(sets)]
        chosen = [[active[i] for i in draw.tolist()] for draw in draws]
        scores = self.answers(chosen)
        outcomes, margins = self.search.outcome(scores), self.search.margins(scores)
        away = sum(outcome != "none" for outcome in outcomes)
        return Controls(sets, size, outcomes.count("true"), away, margins), chosen

    def collateral(
        self,
        loader: Iterable[Any],
        units: Sequence[UnitInfluence],
        controls: Sequence[Sequence[UnitInfluence]],
    ) -> Collateral:
        """Count right answers on a loader with and without the units, and without random ones."""
        sets = [units, *controls[:_CONTROLS_ON_LOADER]]
        rights, trues = [], []
        for images, labels in labelled(loader, self.search.model):
            with reruns(self.search.model, self.search.cut, images) as runs:
                changed = [runs.answer(self._removed(runs.activations, [s])) for s in sets]
                rights.append(torch.stack([s.argmax(1) == labels for s in (runs.scores, *changed)]))
            trues.append(labels)
        right, true = torch.cat(rights, dim=1).double(), torch.cat(trues)
        share = right.mean(dim=1)
        wronged = right[:, true == self.search.predicted]
        of = wronged.shape[1]
        return Collateral(
            len(true),
            float(share[0]),
            float(share[1]),
            float(share[2:].mean()) if len(share) > 2 else None,
            of,
            float(wronged[0].mean()) if of else 0.0,
            float(wronged[1].mean()) if of else 0.0,
        )

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
