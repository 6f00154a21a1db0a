"""What was found of many inputs, one by one: a line for each, and which couldn't be asked about."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from captum_influence.data.frames import frame
from captum_influence.data.records import plain
from captum_influence.reports.finding import Finding
from captum_influence.reports.many.page import findings_figure, findings_page
from captum_influence.reports.page import Page
from captum_influence.reports.summary import Summary
from captum_influence.reports.words import counted
from captum_influence.visualization.numbers import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Entry", "Findings", "LeftOut"]

_SIDE = 72  # pixels of a thumbnail
_TOLD = 2  # columns of words in the headline


@dataclass(frozen=True, eq=False, kw_only=True)
class Entry:
    """One input's line.

    Attributes:
        name: what the input is called.
        page: its page's place below the folder of the index; None: none was written.
        sentence: what was found.
        columns: the same as words and numbers.
        about: what the columns are.
        main: the column that orders the index.
        picture: (3, height, width) of bytes, small; None if it is no picture.
        seconds: how long it took.
    """

    name: str
    page: str | None
    sentence: str
    columns: Mapping[str, str | float | None]
    about: str
    main: str
    picture: Tensor | None
    seconds: float

    @staticmethod
    def of(summary: Summary, name: str, page: str | None, seconds: float) -> Entry:
        """Return the line of an input of this name; of its picture, a small one is kept."""
        return Entry(
            name=name,
            page=page,
            sentence=summary.sentence,
            columns=dict(summary.columns),
            about=summary.about,
            main=summary.main,
            picture=None if summary.picture is None else _small(summary.picture),
            seconds=seconds,
        )

    @property
    def size(self) -> float:
        """What orders the index; NaN where there is no such number."""
        value = self.columns.get(self.main)
        return float(value) if isinstance(value, int | float) else math.nan


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """An input that couldn't be asked about, and why."""

    name: str
    why: str


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Findings(Finding):
    """What ``explain``, ``counterfactual`` or ``compare`` found of many inputs, one by one.

    Made by these, of a folder of pictures, or of a list. It holds a line for each; maps are on the
    pages, and in the saved finding beside each page, which ``Explanation.load`` and the like read.

    Attributes:
        network: the class of the network.
        verb: what was called.
        entries: a line for each input, in order.
        left_out: the inputs that couldn't be asked about.
        notes: what else of a folder isn't among them, in sentences.

    Example:
        >>> from captum_influence import explain
        >>> from captum_influence.demo import SceneDataset, load_demo_network
        >>> scenes = [SceneDataset(2, seed=1)[i][0] for i in range(2)]
        >>> found = explain(load_demo_network(), scenes, "relu5", top=1)
        >>> [entry.name for entry in found.entries]
        ['number 0', 'number 1']
    """

    network: str
    verb: str
    entries: tuple[Entry, ...]
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns, in order."""
        return tuple(dict.fromkeys(name for entry in self.entries for name in entry.columns))

    @property
    def noun(self) -> str:
        """What the inputs are called."""
        shown = any(entry.picture is not None for entry in self.entries)
        return "picture" if shown else "input"

    @property
    def headline(self) -> str:
        words, numbers = list(_of_words(self)), list(_of_numbers(self))
        alike = f": {', '.join(words[:_TOLD])}" if words else ""
        first = f"{counted(len(self.entries), self.noun)}, one by one{alike}."
        rest = [f"Medians, least and most: {', '.join(numbers)}."] if numbers else []
        return " ".join([first, *rest, *self.missing])

    @property
    def missing(self) -> tuple[str, ...]:
        """How many inputs were left out, as a sentence; none of none."""
        count = len(self.left_out)
        were = "was" if count == 1 else "were"
        return (f"{counted(count, self.noun)} {were} left out.",) if count else ()

    def ordered(self) -> list[Entry]:
        """Return the lines, the one of the largest main number first, those without one last."""
        return sorted(self.entries, key=lambda e: math.inf if math.isnan(e.size) else -e.size)

    def plot(self) -> Figure:
        """Draw the main number of each input as a bar; of many, the largest and the smallest."""
        return findings_figure(self)

    def page(self, command: str | None = None) -> Page:
        return findings_page(self, command)

    def to_dict(self) -> dict[str, Any]:
        found: dict[str, Any] = plain(
            {
                "headline": self.headline,
                "network": self.network,
                "verb": self.verb,
                "entries": [
                    {
                        "name": entry.name,
                        "page": entry.page,
                        "sentence": entry.sentence,
                        "columns": entry.columns,
                        "seconds": entry.seconds,
                    }
                    for entry in self.entries
                ],
                "left_out": self.left_out,
                "notes": self.notes,
                "call": self.call,
                "settings": self.settings,
                "versions": self.asked.versions,
            }
        )
        return found

    def to_frame(self) -> Any:
        """Return a ``pandas.DataFrame`` with a row for each input, in order.

        Raises:
            ImportError: if pandas isn't installed.
        """
        columns: dict[str, list[Any]] = {"name": [entry.name for entry in self.entries]}
        columns |= {name: [e.columns.get(name) for e in self.entries] for name in self.columns}
        return frame({**columns, "page": [entry.page for entry in self.entries]})


def _small(picture: Tensor) -> Tensor:
    """Return a picture as bytes, its longer side no longer than a thumbnail's."""
    whole = picture.detach().float().cpu()
    scale = _SIDE / max(whole.shape[-2:])
    if scale < 1:
        sides = [max(1, round(side * scale)) for side in whole.shape[-2:]]
        whole = interpolate(whole[None], sides, mode="area")[0]
    return (255 * whole.clamp(0, 1)).round().to(torch.uint8)


def _of_words(found: Findings) -> Iterator[str]:
    """Yield of each column of words which is the commonest one, unless no two are the same."""
    for name in found.columns:
        said = [e.columns.get(name) for e in found.entries]
        words = Counter(one for one in said if isinstance(one, str) and one)
        if not words:
            continue
        (first, times), *_ = words.most_common(1)
        if times > 1 or len(words) == 1:
            yield f"{name} {first} ({times} of {len(found.entries)})"


def _of_numbers(found: Findings) -> Iterator[str]:
    """Yield of each column of numbers, its median and its ends."""
    for name in found.columns:
        said = [e.columns.get(name) for e in found.entries]
        known = [float(x) for x in said if isinstance(x, int | float) and math.isfinite(x)]
        if known:
            ends = f"{number(min(known))} to {number(max(known))}"
            yield f"{name} {number(statistics.median(known))} ({ends})"
