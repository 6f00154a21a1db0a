"""Figures of disturbances."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from captum_influence.training.bias.disturbances import Disturbance, all_disturbances
from captum_influence.visualization.style import LIGHT, empty_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["gallery"]


def gallery(
    images: Tensor, masks: Tensor, disturbances: Mapping[str, Disturbance] | None = None
) -> Figure:
    """Draw images (rows) under disturbances (columns), the originals first.

    Args:
        images: (batch, 1 or 3, height, width), values in [0, 1]; at least two.
        masks: 1 on the object.
        disturbances: name -> disturbance; None: all of them.
    """
    chosen = all_disturbances() if disturbances is None else disturbances
    columns = {"original": images} | {name: d(images, masks) for name, d in chosen.items()}
    figure = empty_figure(1.3 * len(columns), 1.4 * len(images) + 0.4, LIGHT)
    axes = figure.subplots(len(images), len(columns), squeeze=False)
    for column, (name, batch) in enumerate(columns.items()):
        for row, image in enumerate(batch.detach().float().cpu()):
            axes[row, column].imshow(_displayable(image), cmap="gray", vmin=0, vmax=1)
            axes[row, column].set_axis_off()
        kind = chosen[name].kind if name in chosen else ""
        axes[0, column].set_title(f"{kind}\n{name}", fontsize=8)
    return figure


def _displayable(image: Tensor) -> np.ndarray[Any, Any]:
    """Return (height, width) for one channel, else (height, width, channels), for Matplotlib."""
    shown = image[0] if len(image) == 1 else image.movedim(0, 2)
    pixels: np.ndarray[Any, Any] = shown.numpy()
    return pixels
