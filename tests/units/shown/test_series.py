"""Series: lit steps by hand, and explain() of a series as it is."""

import json

import pytest
import torch
from paged import Page
from torch import Tensor, nn

from captum_influence import Explanation, explain
from captum_influence.reports.display import Row
from captum_influence.testing import check_finding
from captum_influence.units.shown.series import SeriesDisplay, SeriesHighlight

SERIES = torch.rand(2, 10, generator=torch.Generator().manual_seed(0))
DISPLAY = SeriesDisplay(SERIES, 70.0)  # the three highest of ten


def test_channels_are_added_up_with_their_signs() -> None:
    assert DISPLAY.laid(torch.tensor([[1.0, -1.0], [0.5, -3.0]])).tolist() == [1.5, -4.0]


@pytest.mark.parametrize(
    ("values", "lowest", "lit", "share", "words"),
    [
        ([0, 3, 3, 2, 0, 0, 0, 1, 0, -9], False, [1, 2, 3], 8 / 9, "steps 1 to 3"),
        ([5, 0, 0, 3, 0, 0, 0, 0, 2, 0], False, [0, 3, 8], 1.0, "steps 0, 3 and 8"),
        ([0, 0, 4, 4, 0, 0, 0, 4, 0, 0], False, [2, 3, 7], 1.0, "steps 2 to 3 and 7"),
        ([0, 0, 0, 0, 0, 0, 0, 2, 0, 0], False, [7], 1.0, "step 7"),
        ([0, -2, 0, 0, 3, 0, 0, -6, 0, 0], True, [1, 7], 1.0, "steps 1 and 7"),
        ([0] * 10, False, [], 0.0, ""),
        ([-1] * 10, False, [], 0.0, ""),
    ],
)
def test_the_highest_steps_are_lit(values, lowest, lit, share, words) -> None:
    seen = DISPLAY.highlight(torch.tensor(values).float(), lowest=lowest)
    assert seen.lit.nonzero().flatten().tolist() == lit
    assert seen.lit_share == pytest.approx(share)
    where = seen.where("what raises it")
    assert where.endswith(f"of what raises it lies in {words}." if words else "")


def test_it_becomes_a_fragment_figures_and_a_dict() -> None:
    seen = DISPLAY.highlight(torch.arange(10.0))
    part = seen.fragment("score(<a>)", "contribution")
    assert "Contribution of each step to score(&lt;a&gt;)" in part
    assert part.count("<img") == 1
    assert [name for name, _ in seen.figures("contribution")] == ["map"]
    content = json.loads(json.dumps(seen.to_dict()))
    assert content == {
        "map_total": 45.0,
        "masked_share": pytest.approx(24 / 45),
        "steps": [7, 8, 9],
    }


def test_the_input_alone_and_the_overview() -> None:
    assert "The series, 2 × 10." in DISPLAY.fragment()
    assert DISPLAY.to_dict() == {"kind": "series", "size": [2, 10], "percentile": 70.0}
    rows = [Row("channel 3", 0.5, DISPLAY.highlight(torch.arange(10.0)))]
    figure = DISPLAY.overview(rows, "a title")
    assert len(figure.axes) == 2
    assert figure.get_suptitle() == "a title"


class Detector(nn.Module):
    """Class 0: how much the first channel rises; class 1: how much it falls; by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.change = nn.Conv1d(2, 2, 2, bias=False)
        self.relu = nn.ReLU()
        with torch.no_grad():
            self.change.weight.zero_()
            self.change.weight[0, 0] = torch.tensor([-1.0, 1.0])
            self.change.weight[1, 0] = torch.tensor([1.0, -1.0])

    def forward(self, series: Tensor) -> Tensor:
        return self.relu(self.change(series)).sum(dim=2)


@pytest.fixture(scope="module")
def found() -> Explanation:
    """The first channel jumps by 4 between steps 2 and 3, the second one does anything."""
    series = torch.zeros(1, 2, 10)
    series[0, 0, 3:] = 4.0
    series[0, 1] = torch.rand(10, generator=torch.Generator().manual_seed(0))
    return explain(Detector(), series, "relu", 0, top=1, axis=1)  # channels before steps


def test_a_series_is_explained_by_its_steps(found: Explanation) -> None:
    assert isinstance(found.display, SeriesDisplay)
    (row,) = found.units
    assert isinstance(row.seen, SeriesHighlight)
    assert (row.unit.name, row.unit.value) == ("unit 0", pytest.approx(4.0))
    expected = torch.zeros(10)
    expected[3] = 4.0  # step 2 is zero, so that it contributes nothing
    torch.testing.assert_close(row.map, expected)
    assert found.headline.endswith("100\u00a0% of what raises this through it lies in step 3.")
    assert not hasattr(found, "picture")


def test_its_page_speaks_of_a_series(found: Explanation) -> None:
    pytest.importorskip("jinja2", reason="pages are drawn with Jinja")
    page = found.page().html()
    assert "The series, 2 × 10." in page
    assert "which is 4.00 on this series" in page
    assert "picture" not in Page(page).text.partition("The series")[2]


def test_it_is_a_finding_as_others_are(found: Explanation) -> None:
    series = found.display.series[None]
    check_finding(found, {"model": Detector(), "image": series})
