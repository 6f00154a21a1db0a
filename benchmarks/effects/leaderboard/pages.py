"""The leaderboard's tables and its figure, from its numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from captum_influence.visualization.style import (
    BLUE,
    GRID,
    LIGHT,
    ORANGE,
    draw_title,
    empty_figure,
    plain_axes,
)

Values = Mapping[str, Mapping[str, Sequence[float]]]  # method -> score -> one value for each seed

LOWER = {"N-Ord", "TPN", "TPS"}  # the smaller, the better
CONTROLS = ("random", "centre prior", "the experiment itself")
PANELS = (
    ("shortcut", "fence: mass", "planted shortcut:\nmass on the fence"),
    ("scenes", "object: mass", "demo scenes:\nmass on the object"),
    ("scenes", "part: rank", "demo scenes: rank\non the telling part"),
    ("scenes", "ABPC blur", "demo scenes: ABPC,\nblurred"),
    ("pictures: CIFAR-10", "ABPC mean", "CIFAR-10 network:\nABPC, mean"),
    ("pictures: SqueezeNet", "ABPC mean", "SqueezeNet:\nABPC, mean"),
)


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean over seeds and its standard error; both NaN if there is no value."""
    own = [value for value in values if not math.isnan(value)]
    if not own:
        return math.nan, math.nan
    mean = sum(own) / len(own)
    if len(own) < 2:
        return mean, math.nan
    spread = sum((value - mean) ** 2 for value in own) / (len(own) - 1)
    return mean, math.sqrt(spread / len(own))


def table(found: Values) -> str:
    """Return a Markdown table: mean ± standard error, the best mean of a column in bold."""
    columns = list(dict.fromkeys(score for row in found.values() for score in row))
    best = {score: _best(found, score) for score in columns}
    lines = [["method", *columns], ["---", *["---:"] * len(columns)]]
    for method in sorted(found, key=_place):
        row = found[method]
        cells = [_cell(row.get(score, ()), method in best[score]) for score in columns]
        lines.append([method, *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _place(method: str) -> int:
    """Put influence first, and what isn't a method last."""
    return 2 if method in CONTROLS else int(not method.startswith("influence"))


def units_by_algebra(found: Mapping[str, Any]) -> str:
    """Return the table of the hand-wired networks: nothing is drawn there, so no error."""
    rows = found["algebra"]
    columns = list(next(iter(rows.values())))
    heads = [column.replace("_", " ") for column in columns]  # which may break
    lines = [["method", *heads], ["---", *["---:"] * len(columns)]]
    lines += [[name, *(_number(row[c]) for c in columns)] for name, row in rows.items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def pages(found: Mapping[str, Any]) -> dict[str, str]:
    """Return the tables by the name of their page."""
    tables = {key: table(values) for key, values in found["tables"].items()}
    made = {"leaderboard_units": units_by_algebra(found)}
    made["leaderboard_units_trained"] = _joined(tables, "units")
    made["leaderboard_shortcut_units"] = tables["shortcut units"]
    made["leaderboard_shortcut"] = tables["shortcut"]
    made["leaderboard_places"] = tables["scenes"]
    made["leaderboard_pictures"] = _joined(tables, "pictures") or (
        "*Needs real data: `CAPTUM_INFLUENCE_DATA`.*"
    )
    return made


def figure(found: Mapping[str, Any]) -> Figure:
    """Draw one panel for each score, three in a row, all methods in one order."""
    panels = [p for p in PANELS if p[0] in found["tables"]]
    methods, down = _methods(found["tables"]), -(-len(panels) // 3)
    drawn = empty_figure(8.4, 0.4 + down * (0.6 + 0.235 * len(methods)), LIGHT)
    grid = drawn.subplots(down, 3, sharey=True, squeeze=False)
    for own in grid.flat[len(panels) :]:
        own.set_axis_off()
    for own, (key, score, title) in zip(grid.flat, panels, strict=False):
        _draw(own, found["tables"][key], score, methods)
        draw_title(own, title, LIGHT)
    for first in grid[:, 0]:
        _name(first, methods)
    said = (
        "higher is better; grey lines: a random map, dashed a blob in the middle; "
        "bars are standard errors over seeds"
    )
    drawn.supxlabel(said, fontsize=9, color=LIGHT.ink)
    return drawn


def _name(axes: Axes, methods: Sequence[str]) -> None:
    axes.set_yticks(range(len(methods)), methods, parse_math=False)
    axes.set_ylim(len(methods) - 0.4, -0.6)
    for label in axes.get_yticklabels():
        if label.get_text().startswith("influence"):
            label.set_color(ORANGE)
            label.set_fontweight("bold")


def _draw(axes: Axes, values: Values, score: str, methods: Sequence[str]) -> None:
    for control, style in (("random", "-"), ("centre prior", "--")):
        line = mean_and_error(values.get(control, {}).get(score, ()))[0]
        axes.axvline(line, color=GRID, linewidth=2, linestyle=style, zorder=0)
    for place, method in enumerate(methods):
        mean, error = mean_and_error(values.get(method, {}).get(score, ()))
        colour = ORANGE if method.startswith("influence") else BLUE
        bar = 0.0 if math.isnan(error) else error
        axes.errorbar(mean, place, xerr=bar, fmt="o", color=colour, markersize=4.5, capsize=2)
    plain_axes(axes, LIGHT)
    axes.grid(axis="y", color=GRID, linewidth=0.5, alpha=0.5)


def _methods(tables: Mapping[str, Values]) -> list[str]:
    """Return the methods of the maps: influence first, then by mass on the fence."""
    keys = dict.fromkeys(key for key, _, _ in PANELS if key in tables)
    names = dict.fromkeys(m for key in keys for m in tables[key] if m not in CONTROLS)

    def order(name: str) -> tuple[int, float]:
        mass = tables["shortcut"].get(name, {}).get("fence: mass", ())
        return _place(name), -mean_and_error(mass)[0] if mass else 0.0

    return sorted(names, key=order)


def _joined(tables: Mapping[str, str], kind: str) -> str:
    parts = [
        f"**{key.partition(': ')[2]}**\n\n{text}"
        for key, text in tables.items()
        if key.startswith(f"{kind}: ")
    ]
    return "\n\n".join(parts)


def _best(found: Values, score: str) -> set[str]:
    """Return the methods whose mean is the best, as far as it is shown."""
    sign = -1 if score in LOWER else 1
    means = {m: mean_and_error(r.get(score, ()))[0] for m, r in found.items() if m not in CONTROLS}
    shown = {m: round(sign * mean, 2) for m, mean in means.items() if not math.isnan(mean)}
    return {m for m, mean in shown.items() if mean == max(shown.values())}


def _cell(values: Sequence[float], best: bool) -> str:
    mean, error = mean_and_error(values)
    if math.isnan(mean):
        return "–"
    text = _number(mean) if math.isnan(error) else f"{_number(mean)}\u00a0±\u00a0{error:.2f}"
    return f"**{text}**" if best else text


def _number(value: float) -> str:
    return "nan" if math.isnan(value) else f"{value + 0.0:.2f}".replace("-0.00", "0.00")
