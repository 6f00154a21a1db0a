"""Series: channels over steps as lines, with the steps that raise or lower it behind them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from captum_influence.reports.display import Display, Highlight, Row
from captum_influence.reports.parts import data_uri
from captum_influence.visualization.numbers import percent
from captum_influence.visualization.series import SeriesRow, series_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["SeriesDisplay", "SeriesHighlight"]


@dataclass(frozen=True, eq=False, kw_only=True)
class SeriesHighlight(Highlight):
    """What a map lights of a series.

    Attributes:
        series: (channels, steps).
        map: (steps,) what each step does, channels added up, signed.
        lit: (steps,) bool: where the map is highest, or lowest.
        lowest: whether what lowers the quantity is lit, not what raises it.
    """

    series: Tensor
    map: Tensor
    lit: Tensor
    lowest: bool = False

    @property
    def lit_share(self) -> float:
        counted = (-self.map if self.lowest else self.map).clamp(min=0).double()
        total = float(counted.sum())
        return float(counted[self.lit].sum()) / total if total else 0.0

    def where(self, raising: str) -> str:
        steps = self.lit.nonzero().flatten().tolist()
        if not steps:
            return ""
        return f"{percent(self.lit_share)} of {raising} lies in {_spans(steps)}."

    def fragment(self, subject: str, measure: str) -> str:
        rows = [SeriesRow(subject, None, self.map)]
        uri, words = data_uri(series_figure(self.series, rows, "")), escape(subject)
        return (
            f'<figure><img src="{uri}" alt="What each step does to {words}; orange raises it, blue '
            f'lowers it"><figcaption>{escape(measure.capitalize())} of each step to {words}.'
            "</figcaption></figure>"
        )

    def figures(self, unit: str) -> Iterator[tuple[str, Figure]]:
        yield "map", series_figure(self.series, [SeriesRow(unit, None, self.map)], "")

    def to_dict(self) -> dict[str, Any]:
        return {
            "map_total": float(self.map.double().sum()),
            "masked_share": self.lit_share,
            "steps": self.lit.nonzero().flatten().tolist(),
        }


@dataclass(frozen=True, eq=False)
class SeriesDisplay(Display):
    """A series (channels, steps); masks keep the steps above ``percentile`` of the map."""

    noun: ClassVar[str] = "series"

    series: Tensor
    percentile: float = 95.0

    def laid(self, attributions: Tensor) -> Tensor:
        """Add up the channels of (channels, steps), with their signs."""
        return attributions.sum(dim=0)

    def highlight(self, values: Tensor, *, lowest: bool = False) -> SeriesHighlight:
        raising = -values if lowest else values
        count = max(1, round(values.numel() * (1 - self.percentile / 100)))
        threshold = raising.topk(count).values[-1]
        lit = (raising >= threshold) & (raising > 0)
        return SeriesHighlight(series=self.series, map=values, lit=lit, lowest=lowest)

    def overview(self, rows: Sequence[Row], title: str) -> Figure:
        drawn = [SeriesRow(row.name, row.share, row.seen.map) for row in rows]
        return series_figure(self.series, drawn, title)

    def figure(self) -> Figure:
        return series_figure(self.series, [], "")

    def fragment(self) -> str:
        channels, steps = self.series.shape
        return (
            f'<figure><img src="{data_uri(self.figure())}" alt="The series that is explained">'
            f"<figcaption>The series, {channels} × {steps}.</figcaption></figure>"
        )

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": self.noun,
            "size": list(self.series.shape),
            "percentile": self.percentile,
        }


def _spans(steps: Sequence[int]) -> str:
    """Return steps as spans: ``step 3``, ``steps 3 to 5 and 9``."""
    places = torch.tensor(steps)
    breaks = (places.diff() > 1).nonzero().flatten() + 1
    parts = torch.tensor_split(places, breaks)
    words = [f"{int(p[0])} to {int(p[-1])}" if len(p) > 1 else str(int(p[0])) for p in parts]
    noun = "step" if len(steps) == 1 else "steps"
    return (
        f"{noun} {', '.join(words[:-1])} and {words[-1]}"
        if len(words) > 1
        else f"{noun} {words[0]}"
    )
