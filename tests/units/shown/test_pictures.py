"""Pictures: what a map lights, in numbers that can be counted."""

import json

import pytest
import torch

from captum_influence.reports.display import Row
from captum_influence.units.shown.pictures import PictureDisplay
from captum_influence.units.shown.series import SeriesDisplay
from captum_influence.visualization.blur import gaussian_blur

PICTURE = torch.rand(3, 10, 10, generator=torch.Generator().manual_seed(0))
SHARP = PictureDisplay(PICTURE, 95.0, 0.0)  # the five highest of a hundred


def ramp() -> torch.Tensor:
    """Two spots: three pixels of 3 in the upper left, two of 2 in the lower right; one of -9."""
    values = torch.zeros(10, 10)
    values[0, :3] = 3.0
    values[9, 8:] = 2.0
    values[5, 5] = -9.0
    return values


def test_colours_are_added_up_with_their_signs() -> None:
    values = torch.tensor([[[1.0]], [[-3.0]], [[0.5]]])
    assert SHARP.laid(values).tolist() == [[-1.5]]


def test_what_is_highest_is_lit_and_its_first_region_cut_out() -> None:
    seen = SHARP.highlight(ramp())
    assert seen.mask.nonzero().tolist() == [[0, 0], [0, 1], [0, 2], [9, 8], [9, 9]]
    first, second = seen.regions
    assert (first.box, first.share) == ((0, 0, 1, 3), pytest.approx(9 / 13))
    assert (second.box, second.share) == ((9, 8, 10, 10), pytest.approx(4 / 13))
    assert seen.lit_share == pytest.approx(1.0)
    top, left, bottom, right = seen.box
    assert torch.equal(seen.crop, PICTURE[:, top:bottom, left:right])


def test_what_lowers_it_can_be_lit_while_the_map_keeps_its_signs() -> None:
    seen = SHARP.highlight(ramp(), lowest=True)
    assert seen.mask.nonzero().tolist() == [[5, 5]]
    assert seen.regions[0].share == 1.0
    assert torch.equal(seen.map, ramp())


def test_maps_are_smoothed_before_they_are_masked_but_kept_raw() -> None:
    seen = PictureDisplay(PICTURE, 95.0, 1.5).highlight(ramp())
    torch.testing.assert_close(seen.heat, gaussian_blur(ramp(), 1.5))
    assert torch.equal(seen.map, ramp())
    assert not torch.equal(seen.mask, SHARP.highlight(ramp()).mask)


def test_where_it_lies_is_said_unless_it_is_spread_out() -> None:
    seen = SHARP.highlight(ramp())
    assert seen.where("what raises it") == (
        "69\u00a0% of what raises it lies in one region, in the upper left of the picture."
    )
    dots = torch.zeros(10, 10)
    dots[::4, ::4] = 1.0  # nine of equal share
    spread = PictureDisplay(PICTURE, 0.0, 0.0).highlight(dots)
    assert spread.where("what raises it") == (
        "What raises it is spread out: the strongest region, in the upper left of the picture, "
        "holds 11\u00a0%."
    )
    assert SHARP.highlight(-dots).where("what raises it") == ""


def test_smoothing_is_a_thirtysecond_of_the_shorter_side() -> None:
    assert PictureDisplay.of(torch.zeros(3, 64, 96)).sigma == 2.0
    assert PictureDisplay.of(torch.zeros(3, 64, 96), 90.0, 0.0).sigma == 0.0
    with pytest.raises(ValueError, match="from 0 to below the shorter side of 64, got -1"):
        PictureDisplay.of(torch.zeros(3, 64, 96), 90.0, -1)


@pytest.mark.parametrize("empty", [False, True])
def test_it_becomes_a_fragment_figures_and_a_dict(empty: bool) -> None:
    pytest.importorskip("jinja2", reason="fragments are drawn with Jinja")
    seen = SHARP.highlight(-ramp().abs() if empty else ramp())
    part = seen.fragment("score(<a>)", "contribution")
    assert "Contribution of each pixel to score(&lt;a&gt;)" in part
    assert ("No pixel raises it here" in part) == empty
    assert part.count("<img") == (2 if empty else 3)
    names = [name for name, _ in seen.figures("contribution")]
    assert names == ["heat", "mask"] + ([] if empty else ["crop"])
    content = json.loads(json.dumps(seen.to_dict()))
    assert content["map_total"] == pytest.approx(-22.0 if empty else 4.0)
    assert len(content["regions"]) == (0 if empty else 2)


def test_the_input_alone_and_the_overview() -> None:
    assert "10 × 10 pixels" in SHARP.fragment()
    assert SHARP.to_dict() == {
        "kind": "picture",
        "size": [10, 10],
        "percentile": 95.0,
        "sigma": 0.0,
    }
    assert len(SHARP.figure().axes) == 1
    rows = [Row("channel 3", 0.5, SHARP.highlight(ramp()))]
    figure = SHARP.overview(rows, "a title")
    assert figure.get_suptitle() == "a title"
    assert "channel 3\n+50\u00a0%" in [axes.get_title() for axes in figure.axes]
    series = SeriesDisplay(torch.rand(1, 4)).highlight(torch.rand(4))
    with pytest.raises(TypeError, match="maps of a picture, got a SeriesHighlight"):
        SHARP.overview([Row("channel 3", 0.5, series)], "")
