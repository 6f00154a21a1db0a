"""The page of a profile has a chart and a table for each layer and quantity."""

import re
from pathlib import Path

import profiled
import pytest

from captum_influence import ClassScore, DistributionalInfluence, InfluenceProfile, Point


@pytest.fixture(scope="module")
def profile() -> InfluenceProfile:
    quantities = [ClassScore(0), ClassScore(1)]
    influence = DistributionalInfluence(
        profiled.model(), ["1", "3"], distribution=Point(), quantity=quantities
    )
    return InfluenceProfile.over(influence, profiled.loader(), group_by="label")


def test_every_layer_and_quantity_has_a_section(profile: InfluenceProfile, tmp_path: Path) -> None:
    pytest.importorskip("jinja2", reason="pages need the extra [report]")
    figures = tmp_path / "figures"
    page = profile.to_html(tmp_path / "a.html", command="a command", figures=figures).read_text()
    assert profile.headline in page
    assert page.count("<table>") == 5
    assert "<h2>3: score(class 1)</h2>" in page
    best = profile.top(1, 2, layer="3", quantity=1)[0]
    assert f"<strong>{best.index}</strong>" in page
    assert "a command" in page
    assert {file.stem for file in figures.iterdir()} == {
        f"layer{i}_quantity{j}" for i in (1, 2) for j in (1, 2)
    }


def test_it_opens_with_each_groups_first_unit_where_the_headline_is(
    profile: InfluenceProfile,
) -> None:
    pytest.importorskip("jinja2", reason="pages need the extra [report]")
    page = profile.page().html()
    first = page.partition('<details class="fold"')[0]
    table = profile.to_dict()["units"]
    best = max(table, key=lambda cell: cell["highest"][0]["mean"])
    same = [c for c in table if (c["layer"], c["quantity"]) == (best["layer"], best["quantity"])]
    assert re.findall(r"<strong>(\d+)</strong>", first) == [
        str(cell["highest"][0]["index"]) for cell in same
    ]
    assert f"of {best['layer']} with the largest mean influence on {best['quantity']}" in first
    assert "<img" not in first
    assert 'class="fold" open' not in page


def test_of_one_group_the_first_units_are_shown() -> None:
    pytest.importorskip("jinja2", reason="pages need the extra [report]")
    influence = DistributionalInfluence(
        profiled.model(), "3", distribution=Point(), quantity=ClassScore(0)
    )
    whole = InfluenceProfile.over(influence, profiled.loader())
    first = whole.page().html().partition('<details class="fold"')[0]
    top = whole.top(5, whole.groups[0])
    assert re.findall(r"<strong>(\d+)</strong>", first) == [str(unit.index) for unit in top]
    widths = [float(w) for w in re.findall(r"width:([\d.]+)%", first)]
    assert len(widths) == len(top)
    assert widths == sorted(widths, reverse=True) or min(unit.mean for unit in top) < 0


def test_the_figure_draws_the_top_units_of_each_group(profile: InfluenceProfile) -> None:
    figure = profile.plot(3, layer="3", quantity=1)
    assert [axes.get_title() for axes in figure.axes] == [
        f"{group} (n = {profile.count(group)})" for group in (0, 1, 2)
    ]
    for group, axes in zip(profile.groups, figure.axes, strict=True):
        top = profile.top(3, group, layer="3", quantity=1)
        assert [label.get_text() for label in axes.get_yticklabels()] == [
            str(unit.index) for unit in top
        ]
        assert [bar.get_width() for bar in axes.patches] == [unit.mean for unit in top]


def test_of_many_groups_a_dozen_is_drawn() -> None:
    influence = DistributionalInfluence(
        profiled.model(), "3", distribution=Point(), quantity=ClassScore(0)
    )
    single = InfluenceProfile.over(
        influence, profiled.loader(1), group_by=lambda inputs, labels: [f"{inputs[0].sum():.6f}"]
    )
    assert len(single.groups) == profiled.COUNT
    assert len(single.plot().axes) == 12
    assert len(single.plot(groups=single.groups[:2]).axes) == 2
