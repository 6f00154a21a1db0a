"""Texts: their tokens, each on the colour of what it does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from captum_influence.attr.tokens import shown, text_tokenizer
from captum_influence.reports.display import Display, Highlight, Row
from captum_influence.reports.page import fragment
from captum_influence.visualization.labelled import Grid, grids_figure
from captum_influence.visualization.numbers import number, percent
from captum_influence.visualization.style import limit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["TextDisplay", "TextHighlight"]

TEMPLATE = Path(__file__).with_name("text.html.j2")
_NAMED = 3  # tokens in a sentence


@dataclass(frozen=True, eq=False, kw_only=True)
class TextHighlight(Highlight):
    """What a map lights of a text.

    Attributes:
        tokens: their texts, or their numbers.
        map: (tokens,) what each does, features added up, signed.
        lit: (tokens,) bool: where the map is highest, or lowest.
        lowest: whether what lowers the quantity is lit, not what raises it.
    """

    tokens: tuple[str, ...]
    map: Tensor
    lit: Tensor
    lowest: bool = False

    @property
    def lit_share(self) -> float:
        counted = self._counted
        total = float(counted.sum())
        return float(counted[self.lit].sum()) / total if total else 0.0

    def where(self, raising: str) -> str:
        places = self.lit.nonzero().flatten().tolist()
        if not places:
            return ""
        first = sorted(places, key=lambda place: -float(self._counted[place]))[:_NAMED]
        said = [f"{self.tokens[place]} at {place}" for place in sorted(first)]
        told = f"{', '.join(said[:-1])} and {said[-1]}" if len(said) > 1 else said[0]
        share = float(self._counted[first].sum()) / float(self._counted.sum())
        return f"{percent(share)} of {raising} comes from {told}."

    def fragment(self, subject: str, measure: str) -> str:
        words = f"{measure[:1].upper()}{measure[1:]} of each token to {subject}"
        return _fragment(_coloured(self.tokens, self.map), caption=words, legend=True)

    def glance(self, end: float) -> str:
        return _fragment(_coloured(self.tokens, self.map, end))

    def line(self, label: str) -> str:
        """Return the coloured tokens alone, as a fragment; ``label`` is read out in their place."""
        return _fragment(_coloured(self.tokens, self.map), label=label)

    def figures(self, unit: str) -> Iterator[tuple[str, Figure]]:
        yield "map", _grid_of(self.tokens, {unit: self.map}, "", unit)

    @property
    def first(self) -> str:
        """The token that is lit most; empty if none is."""
        places = self.lit.nonzero().flatten().tolist()
        return self.tokens[max(places, key=lambda p: float(self._counted[p]))] if places else ""

    def to_dict(self) -> dict[str, Any]:
        return {
            "map_total": float(self.map.double().sum()),
            "masked_share": self.lit_share,
            "tokens": self.lit.nonzero().flatten().tolist(),
        }

    @property
    def _counted(self) -> Tensor:
        return (-self.map if self.lowest else self.map).clamp(min=0).double()


@dataclass(frozen=True, eq=False)
class TextDisplay(Display):
    """A text by its tokens; masks keep the tokens above ``percentile`` of the map.

    Example:
        >>> import torch
        >>> text = TextDisplay(("a", "good", "book"))
        >>> text.highlight(torch.tensor([0.0, 3.0, -1.0])).lit.tolist()
        [False, True, False]
    """

    noun: ClassVar[str] = "text"

    tokens: tuple[str, ...]
    percentile: float = 95.0

    @staticmethod
    def of(ids: Tensor, tokenizer: Any = None, percentile: float = 95.0) -> TextDisplay:
        """Return the display of token ids (tokens,), by their texts where there is a tokenizer."""
        numbers, found = ids.tolist(), text_tokenizer(tokenizer)
        texts = map(str, numbers) if found is None else shown(found, numbers)
        return TextDisplay(tuple(texts), percentile)

    def laid(self, attributions: Tensor) -> Tensor:
        """Add up the features of (tokens, features), with their signs."""
        return attributions.sum(dim=-1)

    def highlight(self, values: Tensor, *, lowest: bool = False) -> TextHighlight:
        raising = -values if lowest else values
        count = max(1, round(values.numel() * (1 - self.percentile / 100)))
        threshold = raising.topk(count).values[-1]
        lit = (raising >= threshold) & (raising > 0)
        return TextHighlight(tokens=self.tokens, map=values, lit=lit, lowest=lowest)

    def stage(self, seen: Highlight, words: str) -> str:
        return _fragment(_coloured(self.tokens, seen.map), caption=words.rstrip("."), legend=True)

    def overview(self, rows: Sequence[Row], title: str) -> Figure:
        named = {f"{row.name}, {percent(row.share)}": row.seen.map for row in rows}
        return _grid_of(self.tokens, named, title, "what each token does through the unit")

    def figure(self) -> Figure:
        return _grid_of(self.tokens, {}, "", "")

    def fragment(self) -> str:
        return self._line(f"The text, {len(self.tokens)} tokens.")

    def glance(self) -> str:
        return self._line("")

    def _line(self, caption: str) -> str:
        tokens = [(text, 0.0, False, "") for text in self.tokens]
        return _fragment(tokens, caption=caption)

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.noun, "tokens": list(self.tokens), "percentile": self.percentile}


_Token = tuple[str, float, bool, str]


def _fragment(
    tokens: Sequence[_Token], *, caption: str = "", label: str = "", legend: bool = False
) -> str:
    return fragment(TEMPLATE, tokens=tokens, caption=caption, label=label, map=legend)


def _coloured(tokens: Sequence[str], values: Tensor, end: float | None = None) -> list[_Token]:
    """Return each token with the strength of its colour, its sign and its number."""
    end = limit(values) if end is None else end
    return [
        (text, round(0.75 * min(abs(value) / end, 1.0), 3), value < 0, number(value))
        for text, value in zip(tokens, values.tolist(), strict=True)
    ]


def _grid_of(tokens: Sequence[str], rows: dict[str, Tensor], title: str, unit: str) -> Figure:
    """Draw one line of tokens for each map; without one, the text on grey."""
    values = [rows[name].detach().double().cpu() for name in rows]
    grid = Grid(
        values=torch.stack(values) if values else torch.zeros(1, len(tokens)),
        rows=list(rows) or ["text"],
        columns=tokens,
    )
    return grids_figure([grid], title=title, unit=unit)
