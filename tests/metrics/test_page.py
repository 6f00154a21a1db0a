"""The page that metrics share."""

import html
import re

import torch
from torch import nn

from captum_influence.demo import handwired_networks
from captum_influence.metrics import ablate_units, agreement, localize

WIRED = handwired_networks()["shortcut_unit"]
EFFECTS = ablate_units(WIRED.model, WIRED.inputs, "units", 0)


def cells(page):
    """The table's body, row by row."""
    body = page.partition("<tbody>")[2].partition("</tbody>")[0]
    rows = re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)
    return [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in rows]


def test_it_says_figure_table_method_and_trust():
    page = html.unescape(EFFECTS.page().html())
    first, rest = EFFECTS.headline.split(". ", 1)
    assert f"<h1>{first}.</h1>" in page
    assert rest in page
    assert EFFECTS.method in page
    assert all(caveat in page for caveat in EFFECTS.caveats)
    assert "ablate_units(model, inputs, 'units', target=0)" in page
    assert "layer units" in page
    assert "<dt>replaced by</dt><dd>0</dd>" in page
    assert page.count("data:image/png;base64,") == 2  # on light and on dark paper
    assert "captum-influence " not in page.partition("<dt>versions</dt>")[0]


def test_the_table_is_that_of_the_frame():
    expected = [
        [str(example), str(unit)] for example in range(len(WIRED.inputs)) for unit in range(3)
    ]
    found = cells(EFFECTS.page().html())
    assert [row[:2] for row in found] == expected
    effects = [float(row[2].replace("−", "-")) for row in found]
    assert torch.allclose(torch.tensor(effects), WIRED.contribution.flatten().float())
    assert "to_frame() has all" not in EFFECTS.page().html()


def test_a_long_table_is_cut_and_says_so():
    model = nn.Sequential(nn.Identity(), nn.Linear(101, 2))
    page = ablate_units(model, torch.ones(1, 101), "0", 0).page().html()
    assert len(cells(page)) == 100
    assert "The first 100 of 101 rows: to_frame() has all." in page


def test_what_is_not_known_is_a_dash():
    mask = torch.tensor([[[True, False]]])
    (row,) = cells(localize(torch.zeros(1, 1, 2), mask).page().html())
    assert row == ["–", "–", "0.500", "0.500"]


def test_names_are_escaped():
    maps = torch.arange(4.0)[None]
    page = agreement({"<b>": maps, "a & b": maps}).page().html()
    assert "<b>" not in page
    assert ["&lt;b&gt;", "a &amp; b", "1.00", "1.00"] in cells(page)


def test_the_figure_has_the_name_of_the_result(tmp_path):
    EFFECTS.to_html(tmp_path / "page.html", command="a command", figures=tmp_path)
    assert [path.name for path in tmp_path.glob("*.png")] == ["unit_effects.png"]
    assert "<pre>a command</pre>" in (tmp_path / "page.html").read_text("utf-8")
