"""The page of a comparison says what was found, what it is worth, and what couldn't be."""

import html
import re

import pytest
import torch

pytest.importorskip("jinja2", reason="pages are drawn with Jinja")

from captum_influence import compare
from captum_influence.demo import demo_scene, load_demo_network
from captum_influence.metrics import FlippingScore, LocalizationScore

NAMES = ["Saliency", "LayerGradCam", "LRP"]


@pytest.fixture(scope="module")
def found():
    scene = demo_scene()
    scores = {
        "ABPC, blur": FlippingScore("blur", steps=4),
        "on the object": LocalizationScore(scene.masks["object"][None]),
    }
    model = load_demo_network()
    return compare(model, scene.image[None], "relu5", 0, NAMES, scores=scores)


def test_it_shows_maps_scores_control_and_remarks(found, tmp_path):
    path = found.to_html(tmp_path / "new" / "page.html", demo_scene().image, class_name="coupe")
    page = path.read_text("utf-8")
    assert "What 3 methods say about coupe" in page
    assert page.count("data:image/png") == 4  # the picture and three maps
    assert not re.search(r'(src|href)="https?:', page)
    for name in (*NAMES, *found.scores, "noise (the control)", "absorb relevance"):
        assert name in page
    assert "Not applicable" not in page
    asked = '"relu5", 0, ["Saliency", "LayerGradCam", "LRP"], points=25, scores=scores)'
    assert f"compare(model, inputs, {asked}" in html.unescape(page)
    value = float(found.scores["on the object"]["Saliency"][0])
    assert f"{value:#.3g}" in page


def test_it_lists_reasons_and_escapes_them(tmp_path):
    model, image = load_demo_network(), demo_scene().image[None]
    found = compare(model, image, "fc", 0, ["CAM", "Saliency"])
    page = found.to_html(tmp_path / "page.html", class_name="<b>").read_text("utf-8")
    assert "it weighs channels" in page
    assert "<b>" not in page
    assert "noise (the control)" not in page  # nothing was scored


def test_a_comparison_in_which_nobody_can_answer(tmp_path):
    model, image = load_demo_network(), torch.rand(1, 3, 64, 64)
    asked = {"ABPC": FlippingScore("mean", steps=2)}
    found = compare(model, image, "fc", 0, ["CAM"], scores=asked)
    assert "What 0 methods" in found.to_html(tmp_path / "page.html").read_text("utf-8")
    assert len(found.plot().axes) == 0
