"""Series as lines, with what each step does behind them."""

import pytest
import torch

from captum_influence import visualization
from captum_influence.visualization.series import SeriesRow, series_figure
from captum_influence.visualization.style import DARK

SERIES = torch.tensor([[0.0, 1.0, 2.0, 1.0], [3.0, 3.0, 2.0, 2.0]])
VALUES = torch.tensor([0.0, -1.0, 4.0, 0.5])


def test_lines_are_drawn_alone_and_once_for_each_map() -> None:
    rows = [SeriesRow("channel 0", 0.75, VALUES), SeriesRow("all", None, -VALUES)]
    figure = series_figure(SERIES, rows, "a $title", DARK)
    assert len(figure.axes) == 3
    for axes in figure.axes:
        drawn = [line.get_ydata().tolist() for line in axes.lines]
        assert drawn == SERIES.tolist()
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "",
        "channel 0, 75\u00a0%",
        "all",
    ]
    assert figure.get_suptitle() == "a $title"


def test_maps_lie_behind_their_steps_on_a_scale_that_is_centred() -> None:
    axes = series_figure(SERIES, [SeriesRow("unit", None, VALUES)], "").axes[1]
    (band,) = axes.images
    assert band.get_array().tolist() == [VALUES.tolist()]
    assert band.get_clim() == (-4.0, 4.0)
    left, right, low, high = band.get_extent()
    assert (left, right) == (-0.5, 3.5)  # a step is as wide as its place
    assert (low, high) == (0.0, 3.0)


@pytest.mark.parametrize("series", [torch.zeros(1, 1), torch.full((2, 5), 3.0)])
def test_flat_series_are_drawn(series) -> None:
    rows = [SeriesRow("unit", 0.0, torch.zeros(series.shape[1]))]
    assert visualization.png(series_figure(series, rows, ""), 30).startswith(b"\x89PNG")
