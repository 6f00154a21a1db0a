"""What each method answers, and how far each can be trusted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from captum_influence.data.frames import frame
from captum_influence.data.records import plain
from captum_influence.methods.alignment import of_tokens
from captum_influence.methods.catalogue import METHODS
from captum_influence.methods.page import comparison_page
from captum_influence.metrics.ranks import average_ranks
from captum_influence.reports.page import Page
from captum_influence.reports.summary import Summarized, Summary
from captum_influence.reports.words import counted
from captum_influence.units.geometry import Geometry
from captum_influence.visualization.grids import Scale, map_grid, map_rows
from captum_influence.visualization.numbers import number
from captum_influence.visualization.style import LIGHT, Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["BLOB", "NOISE", "Comparison"]

BLOB, NOISE = "a blob in the middle of the picture", "noise"


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Comparison(Summarized):
    """What each method answers.

    Attributes:
        network: the class of the network.
        layer: the name of the layer where layer methods looked.
        channels: how many it has, and along which dimension, in words; empty if it isn't clear.
        target: (examples,), the class that was asked about.
        names: what that is called, of each example.
        output: (examples,), that class's score.
        maps: method -> (examples, 1, height, width) at the size of the inputs; entries are summed
            over channels, maps of a layer enlarged to where its places look.
        units: method -> (examples, ...), shaped like the layer: what its units get, of the methods
            that say it, to be ranked by ``rank_units``.
        seconds: method -> wall-clock time, one run, without a warm-up.
        notes: method -> the warnings that it gave.
        not_applicable: method -> why it has no map.
        scores: score -> method -> (examples,), how well the map does.
        chance: score -> (examples,), what a map of noise gets.
        prior: score -> (examples,), what a blob in the middle of a picture gets; a map that gets no
            more is no evidence of where the network looks. Empty if the inputs aren't pictures.
        geometry: where the layer's places look; None: taken to divide the inputs evenly.
        pictures: each example as (3, height, width) in [0, 1]; empty if they aren't pictures.
        example: which one the figure and the page show.
        points: of paths, and draws of noise.
        seed: of the noise.
        tokens: of a text, whose maps are (1, 1, tokens, features), their texts; else empty.
    """

    network: str
    layer: str
    channels: str
    target: Tensor
    names: tuple[str, ...]
    output: Tensor
    maps: Mapping[str, Tensor]
    units: Mapping[str, Tensor]
    seconds: Mapping[str, float]
    notes: Mapping[str, tuple[str, ...]]
    not_applicable: Mapping[str, str]
    scores: Mapping[str, Mapping[str, Tensor]]
    chance: Mapping[str, Tensor]
    prior: Mapping[str, Tensor]
    geometry: Geometry | None
    pictures: tuple[Tensor, ...]
    example: int
    points: int
    seed: int
    tokens: tuple[str, ...] = ()

    @property
    def headline(self) -> str:
        first = " ".join(filter(None, self.answer))
        return f"{first} {self.refusals}".strip()

    @property
    def answer(self) -> tuple[str, str]:
        """The answer in a short sentence, and the numbers behind it, which may be none."""
        tested = self._first_tested()
        if tested is not None:
            return self._best(*tested)
        return self._agreed() or (self._counted(), "")

    @property
    def refusals(self) -> str:
        """How many methods can't answer, and the layer where none was named; empty if neither."""
        count = len(self.not_applicable)
        cannot = f"Methods that can't answer for this network: {count}." if count else ""
        layer = self.asked.layer_in_words(self.layer, self.channels)
        return " ".join(filter(None, (cannot, layer)))

    @property
    def summary(self) -> Summary:
        columns: dict[str, str | float | None] = {
            "asked about": self.names[self.example],
            "its score": float(self.output[self.example]),
        }
        main, tested = "its score", self._first_tested()
        if tested is not None:
            (score, found), main = tested, "of its test"
            best = max(found, key=lambda method: found[method])
            failed = [method for method in self.no_evidence(score) if method in found]
            controls = {f"of {name}": value for name, value in self.controls(score).items()}
            columns |= {"best method": best, main: found[best], **controls}
            columns |= {"no evidence": len(failed), "of": len(found)}
        return Summary(
            sentence=self.answer[0],
            columns=columns,
            about="Of its test: what the best map gets by the first score, beside maps that know "
            "nothing; no evidence: how many maps get no more than those.",
            main=main,
            picture=self.pictures[self.example] if self.pictures else None,
        )

    def controls(self, score: str) -> dict[str, float]:
        """Return what maps that know nothing get by a score, on the example that is shown."""
        known = {BLOB: self.prior, NOISE: self.chance}
        return {name: float(by[score][self.example]) for name, by in known.items() if score in by}

    def no_evidence(self, score: str) -> tuple[str, ...]:
        """Return the methods whose maps get no more by a score than the controls do."""
        known = [value for value in self.controls(score).values() if math.isfinite(value)]
        bar, found = max(known, default=-math.inf), self._found(score)
        return tuple(method for method, value in found.items() if not value > bar)

    def drawn(self, example: int | None = None) -> dict[str, Tensor]:
        """Return each method's map of one example as it is drawn.

        Args:
            example: which one; None: that of the page.

        Shape:
            (height, width); of a text (tokens,), features added up.
        """
        shown = self.example if example is None else example
        planes = {name: values[shown, 0] for name, values in self.maps.items()}
        if not self.tokens:
            return planes
        return {n: of_tokens(plane, METHODS[n].at) for n, plane in planes.items()}

    def agreement(self) -> Tensor:
        """Return how alike methods order the places of the example that is shown, by size.

        The rank correlations of all pairs of maps, signs left out, as some methods have none; NaN
        beside a map that is the same everywhere.

        Shape:
            (methods, methods) float64, in the order of ``maps``.
        """
        sizes = [values.flatten().abs() for values in self.drawn().values()]
        ranks = average_ranks(torch.stack([size.detach().cpu() for size in sizes]))
        return torch.corrcoef(ranks).reshape(len(sizes), len(sizes)).clamp(-1, 1)

    def _agreed(self) -> tuple[str, str] | None:
        """Return how far the maps agree; None where no two can be compared."""
        if len(self.maps) < 2:
            return None
        names, alike = list(self.maps), self.agreement()
        pairs = {
            f"{first} and {second}": float(alike[i, j])
            for (i, first), (j, second) in combinations(enumerate(names), 2)
            if math.isfinite(float(alike[i, j]))
        }
        if not pairs:
            return None
        mean = sum(pairs.values()) / len(pairs)
        said = (
            f"{len(names)} methods agree {_how_far(mean)} on what speaks for {self._asked_about}."
        )
        why = f"Two maps' rank correlation is {number(mean)}"
        if len(pairs) == 1:
            return said, f"{why}."
        least, most = (choose(pairs, key=lambda pair: pairs[pair]) for choose in (min, max))
        return said, (
            f"{why} on average. {least} agree least ({number(pairs[least])}), {most} most "
            f"({number(pairs[most])})."
        )

    def _counted(self) -> str:
        count = len(self.maps)
        say = "1 method says" if count == 1 else f"{count or 'No'} methods say"
        return f"{say} what speaks for {self._asked_about}."

    @property
    def _asked_about(self) -> str:
        name, index = self.names[self.example], int(self.target[self.example])
        number_of = "" if name == f"class {index}" else f"class {index}, "
        return f"{name} ({number_of}score {number(float(self.output[self.example]))})"

    def _found(self, score: str) -> dict[str, float]:
        """Return what each method's map gets by a score, on the example that is shown."""
        return {m: float(values[self.example]) for m, values in self.scores[score].items()}

    def _first_tested(self) -> tuple[str, dict[str, float]] | None:
        """Return the first score that is a number for any method, and what each gets by it."""
        for score in self.scores:
            found = {m: value for m, value in self._found(score).items() if math.isfinite(value)}
            if found:
                return score, found
        return None

    def _best(self, score: str, found: Mapping[str, float]) -> tuple[str, str]:
        """Return whose map stands a test best, and what the others and the controls get."""
        best = max(found, key=lambda method: found[method])
        failed = [method for method in self.no_evidence(score) if method in found]
        beside = ", ".join(f"{c} gets {number(v)}" for c, v in self.controls(score).items())
        said = (
            f"Of {counted(len(found), 'map')} of what speaks for {self._asked_about}, that of "
            f"{best} stands its test best."
        )
        why = f"By {score} it gets {number(found[best])}; {beside}."
        if best in failed:
            why = f"{why} So no map here is evidence of where the network looks."
        elif failed:
            why = f"{why} No better than these, and so no evidence: {', '.join(failed)}."
        return said, why

    def plot(
        self,
        picture: Tensor | None = None,
        *,
        example: int | None = None,
        scale: Scale = "each",
        theme: Theme = LIGHT,
    ) -> Figure:
        """Draw one example's maps as a grid; orange raises, blue lowers, grey is zero.

        Args:
            picture: (3, height, width) in [0, 1], drawn first; None: the example's own.
            example: which one; None: that of the page.
            scale: ``"each"``: every map up to its own limit, for where; ``"shared"``: all up to the
                largest, for how much, where methods share a unit. The title says which.
            theme: colours of text and paper.

        Raises:
            ValueError: for another scale.
        """
        shown, planes = self.example if example is None else example, self.drawn(example)
        if self.tokens:
            return map_rows(planes, self.tokens, scale, theme)
        own = self.pictures[shown] if self.pictures else None
        return map_grid(planes, own if picture is None else picture, scale, theme)

    def page(self, command: str | None = None) -> Page:
        return comparison_page(self, command)

    def to_dict(self) -> dict[str, Any]:
        found: dict[str, Any] = plain(
            {
                "headline": self.headline,
                "network": self.network,
                "layer": self.layer,
                "channels": self.channels,
                "target": self.target,
                "names": self.names,
                "output": self.output,
                "tokens": self.tokens,
                "points": self.points,
                "seed": self.seed,
                "methods": {name: self._method(name) for name in self.maps},
                "chance": self.chance,
                "prior": self.prior,
                "not_applicable": self.not_applicable,
                "call": self.call,
                "settings": self.settings,
                "versions": self.asked.versions,
            }
        )
        return found

    def _method(self, name: str) -> dict[str, Any]:
        by_token = {"by_token": self.drawn()[name]} if self.tokens else {}
        return {
            "seconds": self.seconds[name],
            "shape": list(self.maps[name].shape),
            **by_token,
            "sum": self.maps[name].flatten(1).sum(1),
            "scores": {score: by[name] for score, by in self.scores.items()},
            "notes": self.notes.get(name, ()),
        }

    def to_frame(self) -> Any:
        """Return a ``pandas.DataFrame`` with one row per method: seconds, and means of the scores.

        Raises:
            ImportError: if pandas isn't installed.
        """
        means = {
            score: [float(by[name].nanmean()) for name in self.maps]
            for score, by in self.scores.items()
        }
        seconds = [self.seconds[name] for name in self.maps]
        table = frame({"method": list(self.maps), "seconds": seconds, **means})
        return table.set_index("method")


def _how_far(correlation: float) -> str:
    """Return a word for a mean rank correlation; the number stands beside it."""
    return "little" if correlation < 0.3 else "partly" if correlation < 0.6 else "largely"
