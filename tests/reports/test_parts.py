"""Pictures and charts as data URIs, and bars on one scale."""

import base64
import io

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from captum_influence.reports.parts import (
    Bar,
    bars,
    chart,
    data_uri,
    embedded,
    is_smooth,
    jpeg_uri,
)
from captum_influence.visualization.style import DARK, LIGHT, Theme, empty_figure

Image = pytest.importorskip("PIL.Image")


def pixels(uri: str) -> np.ndarray:
    data = base64.b64decode(uri.removeprefix("data:image/png;base64,"), validate=True)
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def test_a_picture_is_embedded_in_its_colours() -> None:
    picture = torch.zeros(3, 2, 2)
    picture[0, 0, 0] = picture[2, 1, 1] = 1.0
    shown = pixels(embedded(picture))
    height, width = shown.shape[:2]
    assert shown[height // 4, width // 4].tolist() == [255, 0, 0]
    assert shown[-height // 4, -width // 4].tolist() == [0, 0, 255]
    assert shown[height // 4, -width // 4].tolist() == [0, 0, 0]


def test_figures_are_as_large_as_their_inches_and_dots() -> None:
    assert pixels(data_uri(empty_figure(2, 1, LIGHT), 50)).shape == (50, 100, 3)


def test_a_chart_is_drawn_on_both_papers() -> None:
    drawn = []

    def draw(theme: Theme) -> Figure:
        drawn.append(theme)
        return empty_figure(1, 1, theme)

    found = chart(draw, "what it shows", dpi=20)
    assert drawn == [LIGHT, DARK]
    assert found.alt == "what it shows"
    light, dark = (pixels(uri).mean() for uri in (found.light, found.dark))
    assert light > 250 > 60 > dark


@pytest.mark.parametrize(("size", "smooth"), [(127, False), (128, True)])
def test_photographs_are_smoothed_and_small_pictures_are_not(size: int, smooth: bool) -> None:
    assert is_smooth(torch.zeros(3, 9, size)) is smooth


def test_bars_share_one_scale_that_holds_zero() -> None:
    # From -1 to 3: zero at a quarter.
    assert bars([3.0, -1.0, 1.0]) == [
        Bar(zero=25.0, left=25.0, width=75.0, minus=False),
        Bar(zero=25.0, left=0.0, width=25.0, minus=True),
        Bar(zero=25.0, left=25.0, width=25.0, minus=False),
    ]


@pytest.mark.parametrize("values", [[2.0, 4.0], [-2.0, -4.0]])
def test_bars_of_one_sign_begin_at_an_end(values: list[float]) -> None:
    minus = values[0] < 0
    half, whole = bars(values)
    assert (half.width, whole.width) == (50.0, 100.0)
    assert half.zero == (100.0 if minus else 0.0)


def test_what_is_unknown_or_nothing_has_no_bar() -> None:
    assert [bar.width for bar in bars([float("nan"), 1.0])] == [0.0, 100.0]
    assert [bar.width for bar in bars([0.0, 0.0])] == [0.0, 0.0]
    assert bars([]) == []


def test_a_small_picture_is_a_jpeg_that_shows_it() -> None:
    colours = torch.tensor([200, 40, 90], dtype=torch.uint8)[:, None, None].expand(3, 16, 24)
    content = jpeg_uri(colours).removeprefix("data:image/jpeg;base64,")
    shown = Image.open(io.BytesIO(base64.b64decode(content)))
    assert shown.size == (24, 16)
    assert torch.tensor(shown.getpixel((3, 3))).sub(torch.tensor([200, 40, 90])).abs().max() <= 4
