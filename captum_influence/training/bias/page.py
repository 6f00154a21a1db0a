"""The page of a bias study: one HTML file with its pictures inside."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from captum_influence.reports.page import Page
from captum_influence.visualization.style import colour_map, limit

if TYPE_CHECKING:
    from captum_influence.training.bias.result import BiasReport

__all__ = ["bias_page"]

TEMPLATE = Path(__file__).with_name("page.html.j2")


def bias_page(report: BiasReport, command: str | None = None) -> Page:
    """Return the page of a bias study."""
    content = {
        "window": "Which training images?",
        "eyebrow": f"{len(report.groups)} groups · {len(report.layers)} layers",
        "title": "Which training images shape these answers, and through which layer?",
        "lead": " ".join(report.notes),
        "report": report,
        "command": command,
        "keys": ("all layers", *report.layers),
        "pictures": _known({i: _picture(image.picture) for i, image in report.images.items()}),
        "maps": _known({i: _map(image.shapley) for i, image in report.images.items()}),
        "examples": {g.name: [_picture(p) for p in g.pictures] for g in report.groups},
        "strongest": {g.name: max(g.layer_share.values(), default=0) or 1 for g in report.groups},
    }
    return Page(TEMPLATE, content, lambda: iter(()))


def _known(found: Mapping[int, str | None]) -> dict[int, str]:
    return {index: value for index, value in found.items() if value is not None}


def _picture(picture: Tensor | None) -> str | None:
    """The data URI of a picture (channels, height, width) in [0, 1]."""
    if picture is None:
        return None
    shown = picture[0] if len(picture) == 1 else picture.movedim(0, 2)
    return _png(shown.clamp(0, 1), cmap="gray", vmin=0, vmax=1)


def _map(values: Tensor | None) -> str | None:
    """The data URI of a map (height, width); the strongest half percent shares the end colours."""
    if values is None:
        return None
    end = limit(values)
    return _png(values, cmap=colour_map(), vmin=-end, vmax=end)


def _png(values: Tensor, **options: Any) -> str:
    from matplotlib.image import imsave

    buffer = io.BytesIO()
    imsave(buffer, np.asarray(values.detach().cpu()), format="png", **options)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
