import pytest
import torch

from captum_influence import visualization
from captum_influence.visualization import DARK, strips
from captum_influence.visualization.strips import Strip

NAN = float("nan")
PICTURE = torch.rand(3, 6, 8, generator=torch.Generator().manual_seed(0))
MAPS = {
    "zero": torch.zeros(6, 8),
    "nan": torch.full((6, 8), NAN),
    "signed": torch.linspace(-1, 1, 48).view(6, 8),
}


def drawn(figure) -> bool:
    return visualization.png(figure, dpi=40).startswith(b"\x89PNG")


@pytest.mark.parametrize("heat", MAPS.values(), ids=MAPS.keys())
def test_units_are_drawn_with_whatever_they_look_at(heat) -> None:
    rows = [Strip("channel $1$", 1.0, 0.1, [(heat, PICTURE)] * 2), Strip("channel 2", -2.0, NAN)]
    figure = strips.strips_figure(rows, PICTURE, title="a title of $ _ ^", theme=DARK)
    assert drawn(figure)
    assert drawn(strips.error_bars(rows))


def test_one_pixel() -> None:
    one = Strip("channel 0", NAN, NAN, [(torch.ones(1, 1), torch.rand(3, 1, 1))])
    assert drawn(strips.strips_figure([one]))


def test_nothing() -> None:
    assert drawn(strips.strips_figure([]))
    assert drawn(strips.error_bars([]))


def test_all_maps_have_one_scale() -> None:
    small, large = MAPS["signed"] * 1e-3, MAPS["signed"]
    rows = [Strip("a", 1.0, 0.0, [(small, PICTURE)]), Strip("b", 1.0, 0.0, [(large, PICTURE)])]
    figure = strips.strips_figure(rows)
    maps = [axes.images[-1].get_array() for axes in figure.axes if len(axes.images) == 2]
    faint, strong = (array[..., 3].max() for array in maps)
    assert faint < 0.01 < 0.9 < strong
    bar = next(axes for axes in figure.axes if axes.get_label() == "<colorbar>")
    low, high = bar.get_xlim()
    assert (low, high) == pytest.approx((-1, 1))


def test_errors_are_where_they_are_said_to_be() -> None:
    figure = strips.error_bars([Strip("a", 2.0, 0.5), Strip("b", -1.0, 0.25)])
    (container,) = [c for c in figure.axes[0].containers if hasattr(c, "has_xerr")]
    segments = container[2][0].get_segments()
    assert [sorted(segment[:, 0]) for segment in segments] == [[1.5, 2.5], [-1.25, -0.75]]
