"""What a unit looks at, ready for a page: its map, what that lights, and the part cut out."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from captum_influence import visualization
from captum_influence.explain import InterpretedUnit, Region
from captum_influence.reports.embedding import data_uri, embedded, is_smooth

__all__ = ["Shown", "shown"]


@dataclass(frozen=True, eq=False)
class Shown:
    """One unit in one picture; pictures are data URIs."""

    heat: str
    limit: float
    mask: str
    crop: str | None
    region: Region | None
    masked_share: float


def shown(
    row: InterpretedUnit, picture: Tensor, *, dpi: int = 120, limit: float | None = None
) -> Shown:
    """Draw a unit's map over a picture (3, height, width), the mask, and the crop.

    Args:
        row: the unit.
        picture: in which it was seen.
        dpi: 120 makes 480 pixels of the longer side.
        limit: where the scale of the map ends; None: where its own does.
    """
    smooth = is_smooth(picture)
    limit = visualization.limit(row.heat) if limit is None else limit
    return Shown(
        data_uri(visualization.heat_map(row.heat, picture, unit=None, end=limit), dpi),
        limit,
        data_uri(visualization.mask_outline(row.mask, picture, box=row.box), dpi),
        None if row.crop is None else embedded(row.crop, dpi, smooth=smooth),
        row.regions[0] if row.regions else None,
        row.masked_share,
    )
