"""What each method answers, and how far each can be trusted."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from captum_influence.methods.page import comparison_page
from captum_influence.units.geometry import Geometry
from captum_influence.visualization.grids import Scale, map_grid
from captum_influence.visualization.style import LIGHT, Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Comparison"]


@dataclass(frozen=True, eq=False)
class Comparison:
    """What each method answers.

    Attributes:
        maps: method -> (examples, 1, height, width) at the size of the inputs; entries are summed
            over channels, maps of a layer enlarged to where its places look.
        seconds: method -> wall-clock time, one run, without a warm-up.
        not_applicable: method -> why it has no map.
        notes: method -> the warnings that it gave.
        target: (examples,), the class that was asked about.
        layer: in words.
        output: (examples,), that class's score.
        scores: score -> method -> (examples,), how well the map does.
        chance: score -> (examples,), what a map of noise gets.
        geometry: where the layer's places look; None: taken to divide the inputs evenly.
        settings: ``points`` and ``seed``.
        units: method -> (examples, ...), shaped like the layer: what its units get, of the methods
            that say it, to be ranked by ``rank_units``.
    """

    maps: Mapping[str, Tensor]
    seconds: Mapping[str, float]
    not_applicable: Mapping[str, str]
    notes: Mapping[str, tuple[str, ...]]
    target: Tensor
    layer: str
    output: Tensor
    scores: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)
    chance: Mapping[str, Tensor] = field(default_factory=dict)
    geometry: Geometry | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    units: Mapping[str, Tensor] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return all but the maps' entries as plain values, for JSON; NaN as None."""
        return {
            "layer": self.layer,
            "target": self.target.tolist(),
            "output": self.output.tolist(),
            "settings": dict(self.settings),
            "methods": {
                name: {
                    "seconds": self.seconds[name],
                    "shape": list(values.shape),
                    "sum": values.flatten(1).sum(1).tolist(),
                    "scores": {score: _plain(by[name]) for score, by in self.scores.items()},
                    "notes": list(self.notes.get(name, ())),
                }
                for name, values in self.maps.items()
            },
            "chance": {score: _plain(values) for score, values in self.chance.items()},
            "not_applicable": dict(self.not_applicable),
        }

    def to_frame(self) -> Any:
        """Return a pandas table with one row per method: seconds, and means of the scores.

        Raises:
            ImportError: if pandas isn't installed.
        """
        try:
            pandas = importlib.import_module("pandas")
        except ImportError as error:
            raise ImportError("to_frame() takes pandas: pip install pandas") from error
        rows = {
            name: {
                "seconds": self.seconds[name],
                **{score: float(by[name].nanmean()) for score, by in self.scores.items()},
            }
            for name in self.maps
        }
        return pandas.DataFrame.from_dict(rows, orient="index")

    def plot(
        self,
        picture: Tensor | None = None,
        *,
        example: int = 0,
        scale: Scale = "each",
        theme: Theme = LIGHT,
    ) -> Figure:
        """Draw one example's maps as a grid; orange raises, blue lowers, grey is zero.

        Args:
            picture: (3, height, width) in [0, 1], drawn first.
            example: which one.
            scale: ``"each"``: every map up to its own limit, for where; ``"shared"``: all up to the
                largest, for how much, where methods share a unit. The title says which.
            theme: colours of text and paper.

        Raises:
            ValueError: for another scale.
        """
        shown = {name: values[example, 0] for name, values in self.maps.items()}
        return map_grid(shown, picture, scale, theme)

    def to_html(
        self,
        path: str | PathLike[str],
        picture: Tensor | None = None,
        *,
        example: int = 0,
        class_name: str | None = None,
        command: str | None = None,
    ) -> Path:
        """Write maps, times, scores and reasons as one HTML page that loads nothing.

        Args:
            path: where.
            picture: (3, height, width) in [0, 1].
            example: which one.
            class_name: what to call the class that was asked about.
            command: the shell command that made it.

        Raises:
            ImportError: if Jinja isn't installed: the ``[report]`` extra.
        """
        return comparison_page(self, picture, example, class_name, command).write(path)


def _plain(values: Tensor) -> list[float | None]:
    return [None if value != value else value for value in values.tolist()]
