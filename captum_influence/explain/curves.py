"""How well few units tell a class from the rest, by whichever ranking they are chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from captum_influence import charts
from captum_influence.attr import Cut
from captum_influence.explain.axes import AxisLike
from captum_influence.explain.batches import labelled
from captum_influence.explain.phrasing import Names, class_name, layer_name
from captum_influence.explain.replacement import Replace, Replacement
from captum_influence.explain.reruns import Reruns, reruns
from captum_influence.explain.selection import NamedUnit, Selection
from captum_influence.explain.units import Ranking
from captum_influence.frames import frame

if TYPE_CHECKING:
    from matplotlib.figure import Figure
from captum_influence.explain.finding import Finding

__all__ = ["ExpertCurves", "OneAgainstRest", "expert_curves"]

Score = Literal["precision", "recall", "f1", "accuracy"]
SCORES: tuple[Score, ...] = ("precision", "recall", "f1", "accuracy")


@dataclass(frozen=True)
class OneAgainstRest:
    """How often a network says a class, and how often it is right to.

    Attributes:
        hits: images of the class that it is said of.
        false_alarms: other images that it is said of.
        misses: images of the class that another is said of.
        rest: all others.
    """

    hits: int
    false_alarms: int
    misses: int
    rest: int

    @staticmethod
    def of(said: Tensor, true: Tensor) -> OneAgainstRest:
        """Count over bool tensors (examples,): whether the class is said, and is true."""
        count = [(a & b).sum() for a in (said, ~said) for b in (true, ~true)]
        return OneAgainstRest(*(int(number) for number in count))

    def __add__(self, other: OneAgainstRest) -> OneAgainstRest:
        """Return the counts over both sets of examples."""
        pairs = zip(asdict(self).values(), asdict(other).values(), strict=True)
        return OneAgainstRest(*(a + b for a, b in pairs))

    @property
    def precision(self) -> float:
        """The share of what it is said of that is of the class; 0 if it is never said."""
        return self.hits / max(self.hits + self.false_alarms, 1)

    @property
    def recall(self) -> float:
        """The share of the class that it is said of."""
        return self.hits / max(self.hits + self.misses, 1)

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        return 2 * self.hits / max(2 * self.hits + self.false_alarms + self.misses, 1)

    @property
    def accuracy(self) -> float:
        """The share of all examples on which it is right, one class against the rest."""
        total = self.hits + self.false_alarms + self.misses + self.rest
        return (self.hits + self.rest) / max(total, 1)


@dataclass(frozen=True, eq=False)
class ExpertCurves(Finding):
    """One-against-rest scores of experts of k units, for each k and each ranking.

    Attributes:
        ks: how many units.
        counts: ranking -> what was counted for each k.
        whole: the same for the untouched network.
        question: what was asked, in words.
        mode: whether the units were kept or removed.
    """

    ks: tuple[int, ...]
    counts: Mapping[str, tuple[OneAgainstRest, ...]]
    whole: OneAgainstRest
    question: str
    mode: str

    def curve(self, score: Score, ranking: str) -> tuple[float, ...]:
        """Return one score against k."""
        return tuple(getattr(counts, score) for counts in self.counts[ranking])

    @property
    def best_k(self) -> dict[str, int]:
        """For each ranking the smallest k with the highest F1; of removals, the lowest recall.

        Not the highest recall: an expert that says its class of everything has that.
        """
        if self.mode == "remove":
            return {name: self._first("recall", name, min) for name in self.counts}
        return {name: self._first("f1", name, max) for name in self.counts}

    def _first(self, score: Score, ranking: str, best: Callable[[Sequence[float]], float]) -> int:
        values = self.curve(score, ranking)
        return self.ks[values.index(best(values))]

    def plot(self) -> Figure:
        """Return all curves as one Matplotlib figure, a panel for each score."""
        panels: dict[str, dict[str, tuple[float, ...]]] = {
            score: {n: self.curve(score, n) for n in self.counts} for score in SCORES
        }
        whole: dict[str, float] = {score: getattr(self.whole, score) for score in SCORES}
        verb = {"keep": "units kept", "remove": "units removed"}[self.mode]
        return charts.curve_panels(self.ks, panels, whole, title=self.question, xlabel=verb)

    def to_frame(self) -> Any:
        """Return a pandas table with one row per ranking and number of units."""
        rows = [(name, place) for name in self.counts for place in range(len(self.ks))]
        columns: dict[str, list[Any]] = {
            "ranking": [name for name, _ in rows],
            "units": [self.ks[place] for _, place in rows],
        }
        for score in SCORES:
            columns[score] = [getattr(self.counts[name][place], score) for name, place in rows]
        return frame(columns)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON can hold it."""
        return {
            "question": self.question,
            "mode": self.mode,
            "ks": list(self.ks),
            "whole": {**asdict(self.whole), **{s: getattr(self.whole, s) for s in SCORES}},
            "curves": {
                name: {score: list(self.curve(score, name)) for score in SCORES}
                for name in self.counts
            },
            "best_k": self.best_k,
        }


def expert_curves(
    model: nn.Module,
    layer: nn.Module | str | Cut,
    rankings: Mapping[str, Ranking | Sequence[NamedUnit]],
    loader: Iterable[Any],
    target: int,
    *,
    ks: Sequence[int] | None = None,
    mode: Literal["keep", "remove"] = "keep",
    replace: Replace | Replacement = 0,
    reference: Tensor | Iterable[Any] | None = None,
    axis: AxisLike | None = None,
    seed: int = 0,
    class_names: Names = None,
    show_progress: bool = False,
) -> ExpertCurves:
    """Measure how well the first k units of each ranking tell a class from the rest.

    The class is said where it has the highest score. What comes before the layer runs once per
    batch, whatever the number of rankings and of ks.

    Args:
        model: the network.
        layer: a module, a dotted name or a Cut.
        rankings: name -> units, the first one first; see :func:`class_rankings`.
        loader: yields (images, labels), best others than the rankings were made from.
        target: the class.
        ks: how many units; None: 1, 2, 3, 4, 6, 8, 12, ... up to all that are ranked.
        mode: ``"keep"`` only the units, or ``"remove"`` them.
        replace: what takes the place of removed units, with its ``reference``: see
            :class:`Expert`.
        reference: see ``replace``.
        axis: what one unit is; None: as the units say, or channels.
        seed: of ``replace="resample"``.
        class_names: a name for each class.
        show_progress: show a progress bar over the batches.

    Raises:
        ValueError: if the loader holds no image of the class, or a k is out of range.
    """
    selections = {name: Selection.ensure(units, axis) for name, units in rankings.items()}
    ks = _checked_ks(ks, selections)
    if mode not in ("keep", "remove"):
        raise ValueError(f'expected mode="keep" or mode="remove", got {mode!r}')
    cut = Cut.ensure(layer)
    replacement = Replacement.ensure(replace, model, cut, reference, seed)
    asked = _Question(selections, ks, mode, replacement, target)
    rows: list[list[OneAgainstRest]] = []
    for images, labels in tqdm(labelled(loader, model), disable=not show_progress, unit="batch"):
        with reruns(model, cut, images) as runs:
            rows.append(asked.count(runs, labels == target))
    whole, *rest = (sum(column[1:], start=column[0]) for column in zip(*rows, strict=True))
    if not whole.hits + whole.misses:
        raise ValueError(f"the loader holds no image of class {target}: give one that does")
    return ExpertCurves(
        ks,
        {n: tuple(rest[i * len(ks) : (i + 1) * len(ks)]) for i, n in enumerate(selections)},
        whole,
        f"{class_name(target, class_names)} against the rest, by units of {layer_name(model, cut)}",
        mode,
    )


@dataclass(frozen=True, eq=False)
class _Question:
    selections: Mapping[str, Selection]
    ks: tuple[int, ...]
    mode: str
    replacement: Replacement
    target: int

    def count(self, runs: Reruns, true: Tensor) -> list[OneAgainstRest]:
        """Count on one batch: first the whole network, then each ranking's ks in turn."""
        if not 0 <= self.target < runs.scores.shape[1]:
            raise ValueError(
                f"expected a class from 0 to {runs.scores.shape[1] - 1}, got {self.target}"
            )
        found = [self._counted(runs.scores, true)]
        own, other = runs.activations, self.replacement.like(runs.activations)
        for selection in self.selections.values():
            masks = selection.masks(tuple(own.shape[1:])).to(own.device)
            for k in self.ks:
                chosen = masks[:k].any(dim=0)
                replaced = chosen if self.mode == "remove" else ~chosen
                scores = runs.answer(torch.where(replaced, other, own))
                found.append(self._counted(scores, true))
        return found

    def _counted(self, scores: Tensor, true: Tensor) -> OneAgainstRest:
        return OneAgainstRest.of(scores.argmax(dim=1) == self.target, true)


def _checked_ks(ks: Sequence[int] | None, selections: Mapping[str, Selection]) -> tuple[int, ...]:
    if not selections or not all(len(selection) for selection in selections.values()):
        raise ValueError("expected at least one ranking, of at least one unit each")
    most = min(len(selection) for selection in selections.values())
    if ks is None:
        grid = {round(2 ** (step / 2)) for step in range(2 * most.bit_length())}
        return tuple(sorted({k for k in grid if k < most} | {most}))
    chosen = tuple(sorted(set(ks)))
    if not chosen or chosen[0] < 1 or chosen[-1] > most:
        raise ValueError(f"expected ks from 1 to the {most} ranked units, got {list(ks)}")
    return chosen
