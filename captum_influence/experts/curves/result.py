"""How well each expert tells a class, by the number of its units."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from torch import Tensor

from captum_influence.data.frames import frame
from captum_influence.data.records import plain
from captum_influence.experts.curves.page import expert_page
from captum_influence.reports.finding import Finding
from captum_influence.reports.page import Page
from captum_influence.reports.words import counted
from captum_influence.units.ranking import UnitInfluence
from captum_influence.visualization import charts
from captum_influence.visualization.numbers import percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["SCORES", "ExpertCurves", "Mode", "OneAgainstRest", "Score"]

Mode = Literal["keep", "remove"]
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

    def in_words(self, who: str) -> str:
        """Return how much is found by whom, and how much of what is said is right."""
        right = f" ({percent(self.precision)} of what is called so is right)"
        said = self.hits + self.false_alarms
        return f"{percent(self.recall)} by {who}{right if said else ''}"

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        return 2 * self.hits / max(2 * self.hits + self.false_alarms + self.misses, 1)

    def interval(self, score: Score, draws: int = 2000, seed: int = 0) -> tuple[float, float]:
        """Return the 95 % bootstrap interval of a score over the examples.

        To draw examples with replacement is to draw the four counts from a multinomial.
        """
        counts = np.array(list(asdict(self).values()))
        total = int(counts.sum())
        drawn = np.random.default_rng(seed).multinomial(total, counts / max(total, 1), draws)
        scores = [getattr(OneAgainstRest(*row), score) for row in drawn.tolist()]
        low, high = np.quantile(scores, [0.025, 0.975]).tolist()
        return low, high

    @property
    def accuracy(self) -> float:
        """The share of all examples on which it is right, one class against the rest."""
        total = self.hits + self.false_alarms + self.misses + self.rest
        return (self.hits + self.rest) / max(total, 1)


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class ExpertCurves(Finding):
    """One-against-rest scores of experts of k units, for each k and each ranking.

    Attributes:
        network: the class of the network.
        layer: the layer's name.
        target: the class's number.
        name: what it is called.
        ks: how many units.
        counts: ranking -> what was counted for each k.
        whole: the same for the untouched network.
        mode: whether the units were kept or removed.
        replaced_by: what took the place of removed units, in words.
        rankings: ranking -> its units, the first one first; what they did is NaN if not known.
        seconds: how long it took.
        noun: what one of the inputs is called.
    """

    network: str
    layer: str
    target: int
    name: str
    ks: tuple[int, ...]
    counts: Mapping[str, tuple[OneAgainstRest, ...]]
    whole: OneAgainstRest
    mode: Mode
    replaced_by: str
    rankings: Mapping[str, tuple[UnitInfluence, ...]]
    seconds: float
    noun: str = "picture"

    @property
    def question(self) -> str:
        """What was asked, in words."""
        return f"{self.name} against the rest, by units of {self.layer}"

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

    @property
    def best(self) -> dict[str, OneAgainstRest]:
        """For each ranking what was counted with its best number of units."""
        return {n: self.counts[n][self.ks.index(k)] for n, k in self.best_k.items()}

    @property
    def headline(self) -> str:
        name, k = self.chosen
        best, whole, units = self.best[name], self.whole, _chosen(name, k)
        chance = None if name == "random" else self.at_random
        if self.mode == "remove":
            said = (
                f"Without {units} the network recognises {percent(best.recall)} of {self.name}; "
                f"with all, {percent(whole.recall)}."
            )
            left = "" if chance is None else f" As many at random leave {percent(chance.recall)}."
            return f"{said}{left}"
        well = "as well as" if best.f1 >= whole.f1 else "less well than"
        luck = ""
        if chance is not None and chance.f1 >= best.f1:
            luck = f", and so {'does' if k == 1 else 'do'} as many at random"
        found: dict[OneAgainstRest, list[str]] = {}  # what is the same for several is said once
        tried = [("these units", best), ("the whole network", whole)]
        tried += [] if chance is None else [("as many at random", chance)]
        for who, counts in tried:
            found.setdefault(counts, []).append(who)
        told = "; ".join(counts.in_words(", ".join(who)) for counts, who in found.items())
        alone = f"{units} alone recognise{'s' * (k == 1)} {self.name}"
        return f"{alone} {well} the whole network{luck}. Found of {self.name}: {told}."

    @property
    def chosen(self) -> tuple[str, int]:
        """The ranking whose best number of units does most, and that number."""
        ks, best = self.best_k, self.best
        if self.mode == "keep":
            name = max(ks, key=lambda name: (best[name].f1, -ks[name]))
        else:
            name = min(ks, key=lambda name: (best[name].recall, ks[name]))
        return name, ks[name]

    @property
    def at_random(self) -> OneAgainstRest | None:
        """What was counted with as many units of the ranking "random", if there is one."""
        _, k = self.chosen
        return self.counts["random"][self.ks.index(k)] if "random" in self.counts else None

    def plot(self) -> Figure:
        """Return all curves as one Matplotlib figure, a panel for each score."""
        panels: dict[str, dict[str, tuple[float, ...]]] = {
            score: {n: self.curve(score, n) for n in self.counts} for score in SCORES
        }
        whole: dict[str, float] = {score: getattr(self.whole, score) for score in SCORES}
        verb = {"keep": "units kept", "remove": "units removed"}[self.mode]
        return charts.curve_panels(self.ks, panels, whole, title=self.question, xlabel=verb)

    def page(self, command: str | None = None) -> Page:
        return expert_page(self, command)

    def to_dict(self) -> dict[str, Any]:
        found: dict[str, Any] = plain(
            {
                "headline": self.headline,
                "network": self.network,
                "layer": self.layer,
                "class": self.target,
                "name": self.name,
                "question": self.question,
                "mode": self.mode,
                "replaced_by": self.replaced_by,
                "ks": self.ks,
                "whole": _told(self.whole),
                "curves": {
                    name: {score: self.curve(score, name) for score in SCORES}
                    for name in self.counts
                },
                "best_k": self.best_k,
                "units": {n: [u.index for u in units] for n, units in self.rankings.items()},
                "call": self.call,
                "settings": self.settings,
                "versions": self.asked.versions,
                "seconds": self.seconds,
            }
        )
        return found

    def to_frame(self) -> Any:
        """Return a ``pandas.DataFrame`` with a row per ranking and number of units.

        Raises:
            ImportError: if pandas isn't installed.
        """
        rows = [(name, place) for name in self.counts for place in range(len(self.ks))]
        columns: dict[str, list[Any]] = {
            "ranking": [name for name, _ in rows],
            "units": [self.ks[place] for _, place in rows],
        }
        for score in SCORES:
            columns[score] = [getattr(self.counts[name][place], score) for name, place in rows]
        return frame(columns)


def _chosen(ranking: str, k: int) -> str:
    """Return ``3 units by influence``, ``3 units at random``."""
    return f"{counted(k, 'unit')} {'at random' if ranking == 'random' else f'by {ranking}'}"


def _told(counts: OneAgainstRest) -> dict[str, float]:
    return {**asdict(counts), **{score: getattr(counts, score) for score in SCORES}}
