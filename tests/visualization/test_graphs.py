"""Graphs are drawn in rows, edges by what they carry."""

import io

import pytest

from captum_influence.visualization.graphs import graph_figure
from captum_influence.visualization.style import DARK, LIGHT


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_it_draws(theme) -> None:
    rows = [["input"], ["a0.h0", "a0.h1"], ["logits"]]
    edges = [
        ("input", "a0.h0", 2.0, "q"),
        ("input", "a0.h0", -1.0, "v"),
        ("a0.h1", "logits", 0, ""),
    ]
    figure = graph_figure(rows, edges, theme=theme)
    stream = io.BytesIO()
    figure.savefig(stream, format="svg")
    written = stream.getvalue().decode()
    assert written.count("<path") > 6
    (axes,) = figure.axes
    words = [text.get_text() for text in axes.texts]
    assert {"input", "a0.h0", "a0.h1", "logits", "q", "v"} <= set(words)


def test_a_graph_without_edges_draws() -> None:
    assert graph_figure([["logits"]], []).axes
