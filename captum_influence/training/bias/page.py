"""The page of a bias study: one HTML file with its pictures inside."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from captum_influence.reports.page import Page
from captum_influence.reports.parts import Tile
from captum_influence.reports.words import counted
from captum_influence.visualization.maps import unit_bars
from captum_influence.visualization.numbers import number, share
from captum_influence.visualization.style import LIGHT, Theme, colour_map, limit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from captum_influence.training.bias.result import BiasReport

__all__ = ["bias_page", "share_figure"]

TEMPLATE = Path(__file__).with_name("page.html.j2")

_METHOD = (
    "A training image's influence on a test example is the gradient of the one's loss, through the "
    "inverse curvature of the training loss, times the gradient of the other's, layer by layer, in "
    "one pass over the training data. Groups are compared by bootstrap and permutation."
)


def bias_page(report: BiasReport, command: str | None = None) -> Page:
    """Return the page of a bias study."""
    title, _, _ = report.headline.partition(". ")
    content = {
        "window": "Which training images?",
        "eyebrow": f"{len(report.groups)} groups · {len(report.layers)} layers",
        "title": f"{title}.",
        "lead": " ".join(report.notes),
        "first": report.asked_about,
        "tiles": list(_tiles(report)),
        "report": report,
        "confidence": report.settings["confidence"],
        "asked": report.asked,
        "command": command,
        "method": _METHOD,
        "facts": list(_facts(report)),
        "caveats": list(_caveats(report)),
        "keys": ("all layers", *report.layers),
        "pictures": _known({i: _picture(image.picture) for i, image in report.images.items()}),
        "maps": _known({i: _map(image.shapley) for i, image in report.images.items()}),
        "examples": {g.name: [_picture(p) for p in g.pictures] for g in report.groups},
        "strongest": {g.name: max(g.layer_share.values(), default=0) or 1 for g in report.groups},
    }
    return Page(TEMPLATE, content, lambda: iter([("layers", share_figure(report))]))


def _tiles(report: BiasReport) -> Iterator[Tile]:
    """What was estimated, and beside it what retraining did, and did without them."""
    group = report.asked_about
    layer, part = max(group.layer_share.items(), key=lambda item: item[1])
    yield Tile(share(part), f"of the influence on them is by way of {layer or 'the layer'}")
    for result in report.retrainings:
        if group.name not in result.before:
            continue
        gone = result.removed + result.repaired
        done = "left out" if result.removed else "repaired"
        images = counted(gone, "training image")
        yield Tile(
            number(result.changed[group.name].loss),
            f"is the loss on them, retrained with {images} {done}",
        )
        yield Tile(
            number(result.control[group.name].loss), "is the loss on them, retrained with all"
        )


def share_figure(report: BiasReport, theme: Theme = LIGHT) -> Figure:
    """Draw each layer's share of the influence on each group."""
    shares = {
        f"{group.name}: {layer or 'the layer'}": value
        for group in report.groups
        for layer, value in group.layer_share.items()
    }
    unit = "share of the influence on a group"
    return unit_bars(list(shares), list(shares.values()), unit=unit, theme=theme)


def _facts(report: BiasReport) -> Iterator[tuple[str, str]]:
    yield "groups", ", ".join(f"{group.name} ({group.size})" for group in report.groups)
    yield "layers", ", ".join(layer or "the layer" for layer in report.layers)
    yield "ranked by", "influence over √self-influence" if report.normalized else "influence"
    yield "versions", ", ".join(f"{k} {v}" for k, v in report.asked.versions.items())


def _caveats(report: BiasReport) -> Iterator[str]:
    yield (
        "Scores are predictions from the curvature at the present weights. Retraining measures; "
        "where the two disagree, believe the retraining."
    )
    yield (
        "A score per layer is about retraining that layer alone, the others frozen. Scores of all "
        "layers add up to the global one."
    )
    yield (
        "A training image that the network is certain of has no gradient left and so no influence, "
        "however much it shaped the weights on the way there."
    )
    if report.normalized:
        yield (
            "Dividing by self-influence finds groups of similar images better, and predicts "
            "retraining worse."
        )


def _known(found: Mapping[int, str | None]) -> dict[int, str]:
    return {index: value for index, value in found.items() if value is not None}


def _picture(picture: Tensor | None) -> str | None:
    """Return the data URI of a picture (channels, height, width) in [0, 1]."""
    if picture is None:
        return None
    shown = picture[0] if len(picture) == 1 else picture.movedim(0, 2)
    return _png(shown.clamp(0, 1), cmap="gray", vmin=0, vmax=1)


def _map(values: Tensor | None) -> str | None:
    """Return the data URI of a map (height, width); its largest half percent shares the ends."""
    if values is None:
        return None
    end = limit(values)
    return _png(values, cmap=colour_map(), vmin=-end, vmax=end)


def _png(values: Tensor, **options: Any) -> str:
    from matplotlib.image import imsave

    buffer = io.BytesIO()
    imsave(buffer, np.asarray(values.detach().cpu()), format="png", **options)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
