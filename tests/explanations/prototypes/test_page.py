"""The page of a prototype: the picture, how it came about, and what it isn't."""

import pytest

from captum_influence import prototype
from captum_influence.demo import CLASSES, load_demo_network
from captum_influence.visualization.numbers import beside, number

pytest.importorskip("jinja2", reason="pages are drawn with Jinja")


def test_it_shows_the_picture_and_how_the_quantity_rose() -> None:
    asked = {"size": (32, 48), "steps": 3, "seed": 4, "class_names": CLASSES}
    found = prototype(load_demo_network(), "tree", **asked)
    page = found.page("captum-influence prototype").html()
    assert 'alt="A picture made to raise score(tree)"' in page
    assert "48 × 32 pixels, made from noise in 3 steps." in page
    assert f"from {beside(found.start, found.value)} to {number(found.value)}" in page
    assert "3, learning rate 0.02" in page
    assert "decay 1.0, jitter 4, scale 0.1, total_variation 0.3" in page
    assert "target=&#39;tree&#39;" in page
    assert "captum-influence prototype" in page
    assert "Another seed gives another picture" in page
    names = [name for name, _ in found.page().figures()]
    assert names == ["overview", "prototype", "history"]


def test_a_unit_is_named_with_its_layer() -> None:
    found = prototype(load_demo_network(), layer="relu3", unit=5, size=16, steps=1)
    assert "SceneNet · unit 5 of relu3" in found.page().html()
