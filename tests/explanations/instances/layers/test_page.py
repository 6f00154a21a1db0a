"""The page of several layers shows the units of all of them, and each layer's sum."""

import pytest

from captum_influence import ClassScore, LinearPath, Point, explain_layers
from captum_influence.visualization.numbers import number

pytest.importorskip("jinja2", reason="pages are drawn with Jinja")

ASKED = ClassScore(0) - ClassScore(1)


def test_it_shows_every_layer_and_every_named_unit(model, image) -> None:
    path = LinearPath(0.0, 50)
    found = explain_layers(model, image, ["eyes", "relu"], ASKED, distribution=path, top=2)
    page = found.page("captum-influence such").html()
    assert page.count('<details class="card"') == 2
    for i, row in enumerate(found.units, start=1):
        assert f'<a href="#unit-{i}">{row.unit.name}</a>' in page
        assert f'<a href="#unit-{i}" data-unit="unit-{i}">' in page  # its map, above the table
        assert f'id="unit-{i}"' in page
    for name, one in found.layers.items():
        assert f'<td class="name">{name}</td><td class="n">3</td>' in page
        assert number(float(one.values.sum())) in page
    assert "moves along the way, 14.0" in page
    assert "layers=[&#39;eyes&#39;, &#39;relu&#39;]" in page
    assert "captum-influence such" in page


def test_without_a_change_shares_are_of_each_layer(model, image) -> None:
    found = explain_layers(model, image, ["relu"], ASKED, distribution=Point(), top=1)
    page = found.page().html()
    assert "of the sum of the absolute contributions of the unit's own layer" in page
    assert "a layer of few units has large ones" in page


def test_figures_are_those_of_the_input_and_of_each_unit(model, image) -> None:
    found = explain_layers(model, image, ["eyes", "relu"], 0, top=2, by="influence")
    names = [name for name, _ in found.page().figures()]
    assert names[:3] == ["overview", "picture", "units"]
    assert {"unit1_heat", "unit2_heat"} <= set(names)
    assert len(set(names)) == len(names)
    assert "delta" not in found.page().html().lower().partition("</table>")[0].split("<table>")[1]
