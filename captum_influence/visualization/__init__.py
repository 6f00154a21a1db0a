"""Tensors in, figures out."""

from captum_influence.visualization.charts import (
    Flip,
    curve_panels,
    flip_figure,
    history_figure,
    margin_figure,
    prototype_figure,
)
from captum_influence.visualization.maps import (
    UnitRow,
    crop_grid,
    heat_map,
    mask_outline,
    overview,
    picture_figure,
    png,
    unit_bars,
)
from captum_influence.visualization.strips import Strip, error_bars, strips_figure
from captum_influence.visualization.style import DARK, GRADIENT, LIGHT, Theme, limit

__all__ = [
    "DARK",
    "GRADIENT",
    "LIGHT",
    "Flip",
    "Strip",
    "Theme",
    "UnitRow",
    "crop_grid",
    "curve_panels",
    "error_bars",
    "flip_figure",
    "heat_map",
    "history_figure",
    "limit",
    "margin_figure",
    "mask_outline",
    "overview",
    "picture_figure",
    "png",
    "prototype_figure",
    "strips_figure",
    "unit_bars",
]
