"""The page of a bias study: one HTML file with its pictures inside."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from captum_influence.canvas import GRADIENT, colour_map, limit

if TYPE_CHECKING:
    from captum_influence.training.bias import BiasReport

__all__ = ["render"]


def render(report: BiasReport, *, command: str | None = None) -> str:
    """The page's text.

    Args:
        report: what to show.
        command: the shell command that made it.

    Raises:
        ImportError: without jinja2.
    """
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError as error:
        raise ImportError(
            "expected jinja2 for the HTML page, but it isn't installed; "
            "pip install captum-influence[report]"
        ) from error
    environment = Environment(
        loader=PackageLoader("captum_influence"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": _number, "percent": _percent}
    page: str = environment.get_template("bias.html.j2").render(
        gradient=GRADIENT,
        report=report,
        command=command,
        keys=("all layers", *report.layers),
        pictures=_known({i: _picture(image.picture) for i, image in report.images.items()}),
        maps=_known({i: _map(image.shapley) for i, image in report.images.items()}),
        examples={g.name: [_picture(p) for p in g.pictures] for g in report.groups},
        strongest={g.name: max(g.layer_share.values(), default=0) or 1 for g in report.groups},
    )
    return page


def _known(found: Mapping[int, str | None]) -> dict[int, str]:
    return {index: value for index, value in found.items() if value is not None}


def _number(value: float | None) -> str:
    """A number to three figures, with a true minus sign."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.3g}".replace("-", "−")


def _percent(value: float) -> str:
    return f"{100 * value:.0f}\u00a0%" if value >= 0.1 else f"{100 * value:.1f}\u00a0%"


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
