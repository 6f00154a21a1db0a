"""Lines and bars: what is drawn, in which colours, and how it is named."""

import math

import pytest
import torch
from matplotlib.colors import to_hex

from captum_influence.visualization.lines import bar_figure, line_figure
from captum_influence.visualization.style import DARK, GRID, LIGHT

VALUES = torch.tensor([1.0, 3.0, 2.0])


def test_lines_hold_the_numbers_and_their_names():
    lines = {"most": VALUES, "random, mean": -VALUES}
    (axes,) = line_figure([0, 1, 2], lines, xlabel="steps", ylabel="q").axes
    assert [axes.get_xlabel(), axes.get_ylabel()] == ["steps", "q"]
    for line, (name, values) in zip(axes.lines, lines.items(), strict=True):
        assert line.get_label() == name
        assert line.get_xdata().tolist() == [0, 1, 2]
        assert line.get_ydata().tolist() == values.tolist()
    most, random = axes.lines
    assert random.get_color() == GRID
    assert most.get_color() != GRID


def test_a_single_line_needs_no_legend():
    for names, legends in ((["one"], 0), (["one", "two"], 1)):
        figure = line_figure([0, 1, 2], dict.fromkeys(names, VALUES), xlabel="x", ylabel="y")
        assert len(figure.legends) == legends


def test_many_lines_differ_in_colour_or_in_style():
    lines = {str(i): VALUES for i in range(12)}
    (axes,) = line_figure([0, 1, 2], lines, xlabel="x", ylabel="y").axes
    assert len({(line.get_color(), line.get_linestyle()) for line in axes.lines}) == 12


def test_bars_hold_the_numbers_and_nan_is_an_empty_one():
    (axes,) = bar_figure({"a": 0.5, "b": math.nan, "$c$": -1.0}, title="shares").axes
    assert [bar.get_width() for bar in axes.patches] == [0.5, 0.0, -1.0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "$c$"]
    assert axes.yaxis_inverted()  # the first on top


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_ink_and_paper_are_the_themes(theme):
    lines = {"one": VALUES, "two": VALUES}
    figure = line_figure([0, 1, 2], lines, xlabel="x", ylabel="y", theme=theme)
    assert figure.axes[0].xaxis.label.get_color() == theme.ink
    assert {to_hex(t.get_color()) for t in figure.legends[0].get_texts()} == {theme.ink}
    for drawn in (figure, bar_figure({"a": 1.0}, title="t", theme=theme)):
        assert to_hex(drawn.get_facecolor()) == theme.paper
