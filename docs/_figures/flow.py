"""The picture of how to choose: questions down the left, what to use to the right of each."""

from __future__ import annotations

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

BLUE, ORANGE, PAPER = "#0072b2", "#d55e00", "#ffffff"
ROW = 1.0  # from one question to the next

Ladder = tuple[str, list[tuple[str, str]]]

LADDERS: list[Ladder] = [
    (
        "What is it about?",
        [
            ("one answer, and it was wrong", "counterfactual"),
            ("a text, its tokens and heads", "explain_text"),
            ("how a transformer gets there", "circuit, routes"),
            ("one answer, or those of a folder", "explain"),
            ("a class, or two of them", "essence, pair"),
            ("what a class or a unit looks for", "prototype"),
            ("the network without some units", "Expert"),
            ("concepts rather than channels", "Dictionary"),
            ("a whole data set, in numbers", "InfluenceProfile"),
            ("what it learned from", "LayerInfluence"),
            ("what other methods say", "compare"),
            ("code that uses Captum", "DistributionalInfluence"),
        ],
    ),
    (
        "Which quantity of interest?",
        [
            ("this rather than that", "ClassScore(a) - ClassScore(b)"),
            ("one class", "ClassScore(a)"),
            ("whatever it said", "PredictedClass()"),
            ("the next token of a text", 'NextToken(" Mary")'),
            ("a detection, or a region", "BoxScore, RegionScore"),
            ("a unit inside", "Unit(k), measure_at=layer"),
            ("something else", "Function(...)"),
        ],
    ),
    (
        "Which distribution of interest?",
        [
            ("many pictures, and their mean", "StratifiedPath(baseline)"),
            ("there is a neutral picture", "LinearPath(baseline)"),
            ("there are several", "Baselines(pictures, n, seed)"),
            ("only what is near", "Noise(std, n, seed)"),
            ("only right here", "Point()"),
        ],
    ),
]


def flow() -> Figure:
    """Three ladders: walk down the left side, and stop at the first line that is yours."""
    rows = sum(len(steps) + 1.5 for _, steps in LADDERS)
    figure = plt.figure(figsize=(6.4, 0.46 * rows), facecolor=PAPER)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set(xlim=(0, 10), ylim=(-rows * ROW, 0))
    top = -0.7
    for title, steps in LADDERS:
        _ladder(axes, top, title, steps)
        top -= (len(steps) + 1.5) * ROW
    return figure


def _ladder(axes: Axes, top: float, title: str, steps: list[tuple[str, str]]) -> None:
    axes.text(0.3, top, title, fontsize=13, fontweight="bold", va="center")
    for row, (question, answer) in enumerate(steps):
        y = top - (row + 1) * ROW
        _box(axes, 0.3, y, 4.1, question, BLUE, family="sans-serif")
        _box(axes, 5.2, y, 4.5, answer, ORANGE, family="monospace")
        _arrow(axes, (4.45, y), (5.15, y))
        if row + 1 < len(steps):
            _arrow(axes, (2.35, y - 0.36), (2.35, y - ROW + 0.36))


def _box(axes: Axes, x: float, y: float, width: float, text: str, colour: str, family: str) -> None:
    shape = plt.Rectangle(
        (x, y - 0.36), width, 0.72, facecolor=colour + "18", edgecolor=colour, linewidth=1.2
    )
    axes.add_patch(shape)
    size = 9.5 if family == "sans-serif" else 9
    axes.text(x + width / 2, y, text, ha="center", va="center", fontsize=size, family=family)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    style = {"arrowstyle": "-|>", "color": "0.35", "linewidth": 1, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", end, start, arrowprops=style)
