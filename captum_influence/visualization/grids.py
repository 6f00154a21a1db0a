"""Maps of many methods as one grid, each on its own scale or all on one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from captum_influence.visualization.labelled import Grid, grids_figure
from captum_influence.visualization.numbers import number
from captum_influence.visualization.style import (
    GRID,
    LIGHT,
    Theme,
    colour_map,
    draw_picture,
    draw_title,
    empty_figure,
    limit,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Scale", "limits_of", "map_grid", "map_rows", "plane_of"]

Scale = Literal["each", "shared"]

_WORDS = {
    "each": "Each map on its own scale, whose end is given: compare where, not how much.",
    "shared": "One scale for all maps: compare how much, among those that share a unit.",
}


def map_grid(
    maps: Mapping[str, Tensor],
    picture: Tensor | None = None,
    scale: Scale = "each",
    theme: Theme = LIGHT,
) -> Figure:
    """Draw maps (height, width) side by side; orange raises, blue lowers, grey is zero.

    Args:
        maps: by what they are called.
        picture: (3, height, width) in [0, 1], drawn first.
        scale: ``"each"`` map has its own end, or one is ``"shared"`` by all; the title says which.
        theme: colours of text and paper.

    Raises:
        ValueError: for another scale.
    """
    ends = limits_of(maps, scale)
    panels = len(maps) + (picture is not None)
    across = max(1, min(5, panels))
    down = max(1, -(-panels // across))
    height, width = next((tuple(m.shape) for m in maps.values()), (1, 1))
    tall = min(max(height / max(width, 1), 0.2), 1.6)
    # A row of features is drawn taller than it is, to be seen.
    aspect: Literal["equal", "auto"] = "equal" if 0.2 <= height / width <= 1.6 else "auto"
    figure = empty_figure(max(2.1 * across, 5.4), (1.9 * tall + 0.5) * down + 0.5, theme)
    grid = figure.add_gridspec(down, across)
    if picture is not None:
        axes = figure.add_subplot(grid[0, 0])
        draw_picture(axes, picture)
        draw_title(axes, "the picture\n", theme)
    for place, (name, values) in enumerate(maps.items(), start=panels - len(maps)):
        axes = figure.add_subplot(grid[divmod(place, across)])
        shown = values.detach().float().cpu().numpy()
        axes.imshow(shown, cmap=colour_map(), vmin=-ends[name], vmax=ends[name], aspect=aspect)
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set(color=GRID, linewidth=0.6)  # a map of zeros has an edge, too
        axes.set_title(
            f"{name}\n±{number(ends[name])}", color=theme.ink, fontsize=9, parse_math=False
        )
    figure.suptitle(_WORDS[scale], color=theme.ink, fontsize=10)
    return figure


def map_rows(
    maps: Mapping[str, Tensor],
    places: Sequence[str],
    scale: Scale = "each",
    theme: Theme = LIGHT,
) -> Figure:
    """Draw maps (places,) one below another, as of the tokens of a text.

    Args:
        maps: by what they are called.
        places: what these are called.
        scale: as of :func:`map_grid`.
        theme: colours of text and paper.

    Raises:
        ValueError: for another scale.
    """
    ends = limits_of(maps, scale)
    rows = [values.detach().double().cpu() / ends[name] for name, values in maps.items()]
    grid = Grid(
        values=torch.stack(rows) if rows else torch.zeros(1, len(places)),
        rows=[f"{name} ±{number(ends[name])}" for name in maps] or ["text"],
        columns=places,
    )
    return grids_figure([grid], title=_WORDS[scale], unit="of its end", theme=theme)


def plane_of(values: Tensor) -> Tensor:
    """Return what one example's units get as a map (height, width): channels are added up.

    Tokens (tokens, features) are one already; flat units become a single line.
    """
    if values.ndim > 2:
        return values.sum(0).flatten(0, -2)
    return values.reshape(1, -1) if values.ndim < 2 else values


def limits_of(maps: Mapping[str, Tensor], scale: Scale = "each") -> dict[str, float]:
    """Return where each map's scale ends.

    Raises:
        ValueError: for another scale.
    """
    if scale not in _WORDS:
        raise ValueError(f'expected scale="each" or scale="shared", got {scale!r}')
    ends = {name: limit(values) for name, values in maps.items()}
    return dict.fromkeys(ends, max(ends.values())) if scale == "shared" and ends else ends
