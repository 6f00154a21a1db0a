"""The page of a combination: what units do together, and what each does alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from captum_influence.reports.page import Page
from captum_influence.reports.parts import Bar, bars
from captum_influence.reports.words import counted
from captum_influence.visualization import strips
from captum_influence.visualization.numbers import number
from captum_influence.visualization.style import LIGHT, Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from captum_influence.experts.combinations.result import Combination

__all__ = ["combination_figure", "combination_page"]

TEMPLATE = Path(__file__).with_name("page.html.j2")

_DRAWN = 16  # single units of a figure


@dataclass(frozen=True)
class _Row:
    name: str
    mean: float
    error: float
    bar: Bar


def combination_page(found: Combination, command: str | None = None) -> Page:
    """Return the page of a combination."""
    single = [(name, found.alone[:, i]) for i, name in enumerate(found.units)]
    content = {
        "window": f"{counted(len(found.units), 'unit')} together",
        "eyebrow": f"{found.network} · {', '.join(found.layers)} · {found.quantity}",
        "title": found.headline,
        "lead": _lead(found),
        "c": found,
        "examples": len(found.value),
        "together": _rows(list(_together(found))),
        "alone": _rows(single),
        "method": f"The network was run without the units, {found.replaced_by} in their place: "
        "without all of them at once, and without each alone. Units of a later layer are replaced "
        "whatever the earlier ones do to them.",
        "facts": list(_facts(found)),
        "asked": found.asked,
        "command": command,
        "caveats": list(_caveats(found)),
    }
    return Page(TEMPLATE, content, lambda: _figures(found))


def combination_figure(found: Combination, theme: Theme = LIGHT) -> Figure:
    """Draw how far the quantity falls without all units, added up, and without the first few."""
    single = [(name, found.alone[:, i]) for i, name in enumerate(found.units[:_DRAWN])]
    rows = [strips.Strip(name, *_mean(values)) for name, values in (*_together(found), *single)]
    return strips.error_bars(rows, unit=_measure(found), theme=theme)


def _figures(found: Combination) -> Iterator[tuple[str, Figure]]:
    yield "effects", found.plot()


def _measure(found: Combination) -> str:
    return f"how far {found.quantity} falls without"


def _together(found: Combination) -> Iterator[tuple[str, Tensor]]:
    yield "all at once", found.joint
    yield "each alone, added up", found.added
    yield "interaction", found.interaction
    yield "estimate", found.estimate


def _mean(values: Tensor) -> tuple[float, float]:
    """Return the mean over examples and its standard error; NaN of a single one."""
    exact = values.double()
    error = float(exact.std()) / math.sqrt(len(exact)) if len(exact) > 1 else math.nan
    return float(exact.mean()), error


def _rows(named: list[tuple[str, Tensor]]) -> list[_Row]:
    means = [_mean(values) for _, values in named]
    drawn = bars([mean for mean, _ in means])
    both = zip(named, means, drawn, strict=True)
    return [_Row(name, mean, error, bar) for (name, _), (mean, error), bar in both]


def _lead(found: Combination) -> str:
    joint, gap = float(found.joint.mean()), float(found.interaction.mean())
    if abs(gap) <= 1e-6 * max(abs(joint), abs(float(found.added.mean()))):
        return "Together they do what each does alone, added up."
    if gap > 0:
        return "Together they do more than one by one: for each, there is a stand-in among them."
    return "Together they do less than one by one: some of them act through others, or need them."


def _facts(found: Combination) -> Iterator[tuple[str, str]]:
    yield "network, layers", f"{found.network}, {', '.join(found.layers)}"
    yield "quantity", f"{found.quantity}, {number(float(found.value.double().mean()))}"
    yield "examples", str(len(found.value))
    yield "replaced by", found.replaced_by
    if found.distribution is not None:
        yield "contributions", f"over {found.distribution}"
    yield "versions", ", ".join(f"{k} {v}" for k, v in found.asked.versions.items())
    yield "time", f"{found.seconds:.1f} s"


def _caveats(found: Combination) -> Iterator[str]:
    yield "A removed unit takes a value that it may never have taken in training."
    yield (
        "An interaction of zero doesn't mean that the units do little: two large effects that "
        "cancel add up to nothing, together as one by one."
    )
    if len(found.units) > 2:
        yield "The interaction is that of the whole set: it doesn't say which of them act together."
    if len(found.value) < 10:
        yield "There are few examples: another may tell otherwise."
    if found.distribution is not None:
        yield (
            "Contributions count from where the distribution starts: compare them with the removal "
            "only where that is what took the units' place."
        )
