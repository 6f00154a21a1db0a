"""The page of a prototype: the picture that a class or a unit answers to most."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from captum_influence.reports.page import Page
from captum_influence.reports.parts import chart, embedded
from captum_influence.visualization import charts, maps
from captum_influence.visualization.numbers import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from captum_influence.explanations.prototypes.result import Prototype

__all__ = ["prototype_page"]

TEMPLATE = Path(__file__).with_name("page.html.j2")


def prototype_page(found: Prototype, command: str | None = None) -> Page:
    """Return the page of a prototype."""
    prior = ", ".join(f"{k} {v}" for k, v in asdict(found.prior).items())
    place = "" if found.layer is None else f" of {found.layer}"
    content = {
        "window": found.quantity,
        "eyebrow": f"{found.network} · {found.quantity}{place}",
        "title": f"{found.headline}.",
        "lead": "It shows what the network answers to most, which needn't look like anything that "
        "it has seen. Before the search, a picture of noise.",
        "p": found,
        "image": embedded(found.image, 120, smooth=True),
        "history": chart(
            lambda theme: charts.history_figure(found.history, found.quantity, theme=theme),
            f"{found.quantity} at each step",
        ),
        "method": "The picture is a sum of waves, coarse ones first, which Adam adjusts to raise "
        f"{found.quantity} while the picture is shifted and scaled a little before every look.",
        "facts": [
            ("raised", f"from {number(found.start)} to {number(found.value)}"),
            ("steps", f"{len(found.history)}, learning rate {found.learning_rate}"),
            ("known of pictures", prior),
            ("seed", str(found.seed)),
            ("versions", ", ".join(f"{k} {v}" for k, v in found.asked.versions.items())),
            ("time", f"{found.seconds:.1f} s"),
        ],
        "asked": found.asked,
        "command": command,
        "caveats": [
            "Another seed gives another picture: look at several before you say what a class or a "
            "unit stands for, and lay real pictures that excite it beside them.",
            "What keeps it a picture is chosen, not found: with other settings it looks different.",
        ],
    }
    return Page(TEMPLATE, content, lambda: _figures(found))


def _figures(found: Prototype) -> Iterator[tuple[str, Figure]]:
    yield "overview", found.plot()
    yield "prototype", maps.picture_figure(found.image, smooth=True)
    yield "history", charts.history_figure(found.history, found.quantity)
