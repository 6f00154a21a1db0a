"""Grids with names: one scale, every name, gaps where there is no value."""

import torch

from captum_influence.visualization.labelled import Grid, grids_figure
from captum_influence.visualization.style import DARK

VALUES = torch.tensor([[1.0, -2.0, 0.0], [0.5, torch.nan, 0.25]])


def test_names_and_one_scale() -> None:
    grids = [
        Grid(values=VALUES, rows=["$a_1$", "b"], columns=["first", "second", "third"], title="one"),
        Grid(values=VALUES[:, :1] / 10, rows=["c", "d"], columns=["0"]),
    ]
    figure = grids_figure(grids, title="above", unit="contribution", theme=DARK)
    first, second, bar = figure.axes
    assert [label.get_text() for label in first.get_yticklabels()] == ["$a_1$", "b"]
    assert [label.get_text() for label in first.get_xticklabels()] == ["first", "second", "third"]
    assert first.images[0].get_clim() == second.images[0].get_clim() == (-2, 2)
    assert bar.get_xlabel() == "contribution"
    assert figure.get_suptitle() == "above"


def test_many_columns_go_without_names() -> None:
    wide = Grid(values=torch.ones(1, 60), rows=["a"], columns=[str(i) for i in range(60)])
    figure = grids_figure([wide])
    assert len(figure.axes[0].get_xticklabels()) < 60
