import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from captum_influence import visualization
from captum_influence.visualization import DARK, UnitRow, maps

PICTURE = torch.rand(3, 12, 16, generator=torch.Generator().manual_seed(0))
RAMP = torch.linspace(-1, 2, 192).view(12, 16)
WITH_NAN = RAMP.clone()
WITH_NAN[3, 4] = torch.nan
WITH_INF = RAMP.clone()
WITH_INF[0, 0] = torch.inf
MAPS = {
    "signed": RAMP,
    "zero": torch.zeros(12, 16),
    "nan": WITH_NAN,
    "all nan": torch.full((12, 16), torch.nan),
    "inf": WITH_INF,
    "tiny": RAMP * 1e-30,
    "one pixel": torch.nn.functional.pad(torch.ones(1, 1), (4, 11, 4, 7)),
}


def pixels(figure: Figure, dpi: int = 50) -> np.ndarray:
    data = visualization.png(figure, dpi)
    assert data.startswith(b"\x89PNG")
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


@pytest.mark.parametrize("values", MAPS.values(), ids=MAPS.keys())
@pytest.mark.parametrize("picture", [PICTURE, None], ids=["picture", "bare"])
@pytest.mark.parametrize("unit", ["influence", None])
def test_every_map_is_drawn(values, picture, unit) -> None:
    assert pixels(visualization.heat_map(values, picture, unit=unit)).size


def test_a_map_of_one_pixel_over_a_picture_of_one_pixel() -> None:
    one = torch.ones(1, 1)
    assert pixels(visualization.heat_map(one, torch.rand(3, 1, 1))).size
    assert pixels(visualization.mask_outline(one > 0, torch.rand(3, 1, 1))).size


def test_zero_leaves_the_picture_grey_and_signs_have_their_colours() -> None:
    values = torch.zeros(4, 4)
    values[:2, :2], values[2:, 2:] = 1.0, -1.0
    drawn = pixels(visualization.heat_map(values, torch.full((3, 4, 4), 0.5), unit=None))
    height, width = drawn.shape[:2]
    red, _, blue = drawn[height // 8, width // 8]
    assert red > blue + 60
    red, _, blue = drawn[-height // 8, -width // 8]
    assert blue > red + 60
    assert np.ptp(drawn[height // 8, -width // 8]) <= 1


def test_the_scale_is_centred_and_one_pixel_can_t_rule_it() -> None:
    assert visualization.limit(torch.zeros(3, 3)) == 1.0
    values = torch.ones(100, 100)
    values[0, 0] = -1e6
    assert visualization.limit(values) == pytest.approx(1.0)
    assert visualization.limit(MAPS["one pixel"]) == 1.0


def lightness(hexadecimal: str) -> float:
    red, green, blue = (int(hexadecimal[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2


def test_the_gradient_darkens_from_the_middle_to_either_end() -> None:
    light = [lightness(colour) for colour in visualization.GRADIENT]
    middle = len(light) // 2
    assert len(light) % 2 == 1
    assert light[: middle + 1] == sorted(light[: middle + 1])
    assert light[middle:] == sorted(light[middle:], reverse=True)


def test_the_two_halves_differ_for_readers_without_red_or_green() -> None:
    """Blue against orange differs in the blue-yellow direction, which they see."""
    low, high = visualization.GRADIENT[1], visualization.GRADIENT[-2]
    for colour, sign in ((low, 1), (high, -1)):
        red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
        assert sign * (blue - (red + green) / 2) > 60


@pytest.mark.parametrize("mask", [torch.zeros(12, 16), torch.ones(12, 16), RAMP > 0])
def test_masks_are_lit(mask) -> None:
    drawn = pixels(visualization.mask_outline(mask, torch.ones(3, 12, 16), box=(2, 2, 6, 9)))
    centre = drawn[-20, 60]
    assert (centre.min() > 200) == bool(mask[-2, 7])


def test_bars_crops_and_overview_take_hostile_names_and_no_units() -> None:
    names, values = ["$x_{^", "<b>&", "channel 2"], [1.0, -2.0, float("nan")]
    assert pixels(
        visualization.unit_bars(names, values, [0.2, -0.8, 0.0], unit="$", theme=DARK)
    ).size
    assert pixels(visualization.unit_bars([], [])).size
    assert pixels(visualization.crop_grid([PICTURE] * 7, names, columns=3)).size
    assert pixels(visualization.crop_grid([])).size
    rows = [
        UnitRow(names[0], 0.5, RAMP, RAMP > 0, PICTURE[:, :3, :3], (0, 0, 3, 3)),
        UnitRow(names[1], 0.0, torch.zeros(12, 16), RAMP > 9),
    ]
    assert pixels(visualization.overview(PICTURE, rows, title="$^ " * 40)).size
    assert pixels(visualization.overview(PICTURE, [])).size


def test_every_map_with_a_colour_bar_names_its_unit() -> None:
    figure = visualization.heat_map(RAMP, PICTURE, unit="influence on a $score")
    labels = [axes.get_xlabel() for axes in figure.axes]
    assert "influence on a $score" in labels
    assert pixels(figure).size
    low, high = figure.axes[labels.index("influence on a $score")].get_xlim()
    assert low == -high


def test_bare_figures_are_filled_to_the_edge() -> None:
    white = torch.ones(3, 12, 16)
    for figure in (
        visualization.picture_figure(white),
        visualization.picture_figure(white, smooth=True),
        visualization.mask_outline(RAMP > -9, white),
    ):
        assert pixels(figure)[2:-2, 2:-2].min() > 250 or figure.axes[0].collections


def test_svg_is_the_same_twice_and_keeps_no_time() -> None:
    first, again = (maps.svg(visualization.heat_map(RAMP, PICTURE)) for _ in range(2))
    assert first == again
    assert b"<svg" in first


def test_png_is_the_same_twice() -> None:
    first, again = (visualization.png(visualization.heat_map(RAMP, PICTURE)) for _ in range(2))
    assert first == again


def test_pyplot_is_never_fetched() -> None:
    code = """
import sys, types, torch  # without the package's own imports: captum has pyplot
package = sys.modules["captum_influence"] = types.ModuleType("captum_influence")
package.__path__ = [sys.argv[1]]
from captum_influence import visualization
from captum_influence.visualization import charts
visualization.png(visualization.overview(torch.rand(3, 4, 4), []))
print("matplotlib.pyplot" in sys.modules)
"""
    command = [sys.executable, "-c", code, str(Path(visualization.__file__).parents[1])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
