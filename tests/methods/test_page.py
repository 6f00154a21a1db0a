"""The page of a comparison says what was found, what it is worth, and what couldn't be."""

import html
import re
from dataclasses import replace

import pytest
import torch

from captum_influence import compare
from captum_influence.demo import (
    CLASSES,
    PhraseTokenizer,
    demo_scene,
    load_demo_network,
    load_phrase_network,
)
from captum_influence.metrics import FlippingScore, LocalizationScore
from captum_influence.visualization.numbers import number

pytest.importorskip("jinja2", reason="pages are drawn with Jinja")

NAMES = ["Saliency", "LayerGradCam", "LRP"]


@pytest.fixture(scope="module")
def found():
    scene = demo_scene()
    scores = {
        "ABPC, blur": FlippingScore("blur", steps=4),
        "on the object": LocalizationScore(scene.masks["object"][None]),
    }
    model = load_demo_network()
    asked = {"scores": scores, "picture": scene.image, "class_names": CLASSES}
    return compare(model, scene.image[None], "relu5", "coupe", NAMES, **asked)


def test_it_shows_maps_scores_control_and_remarks(found, tmp_path):
    path = found.to_html(tmp_path / "new" / "page.html", command="captum-influence compare --x")
    page = path.read_text("utf-8")
    assert "Of 3 maps of what speaks for coupe (class 0, score" in page
    assert "captum-influence compare --x" in page
    assert page.count("data:image/png") == 4  # the picture and three maps
    assert not re.search(r'(src|href)="https?:', page)
    for name in (*NAMES, *found.scores, "noise (a control)", "picture (a control)", "absorb relev"):
        assert name in page
    assert "Not applicable" not in page
    text = html.unescape(page)
    assert "from captum_influence.metrics import FlippingScore, LocalizationScore" in text
    assert "model, inputs, 'relu5',\n    target='coupe',\n" in text
    assert "'ABPC, blur': FlippingScore(steps=4)" in text
    value = float(found.scores["on the object"]["Saliency"][0])
    assert f"{value:#.3g}" in page


def test_it_lists_reasons_and_escapes_them(tmp_path):
    model, image = load_demo_network(), demo_scene().image[None]
    found = compare(model, image, "fc", 0, ["CAM", "Saliency"], class_names=["<b>"])
    page = found.to_html(tmp_path / "page.html").read_text("utf-8")
    assert "it weighs channels" in page
    assert "<b>" not in page
    assert "(a control)" not in page  # nothing was scored


def test_a_comparison_in_which_nobody_can_answer(tmp_path):
    model, image = load_demo_network(), torch.rand(1, 3, 64, 64)
    asked = {"ABPC": FlippingScore("mean", steps=2)}
    found = compare(model, image, "fc", 0, ["CAM"], scores=asked)
    page = found.to_html(tmp_path / "page.html").read_text("utf-8")
    assert "No methods say what speaks for class 0 (score" in page
    assert [axes.get_title() for axes in found.plot().axes] == ["the picture\n"]


def test_of_several_examples_one_is_shown(found):
    images = torch.stack([demo_scene().image, demo_scene().image.flip(2)])
    asked = {"class_names": CLASSES, "example": 1}
    both = compare(load_demo_network(), images, "relu5", 5, ["Saliency"], **asked)
    page = both.page().html()
    assert "example 1 of 2" in page
    assert [name for name, _ in both.page().figures()] == ["overview", "picture"]
    torch.testing.assert_close(both.pictures[1], both.pictures[0].flip(2))


def test_maps_that_are_the_same_to_rounding_are_shown_once(found):
    first = found.maps["Saliency"]
    other = {"LRP": first * (1 + 1e-5), "LayerGradCam": first * 1.01}
    page = replace(found, maps={**found.maps, **other}).page().html()
    assert page.count("data:image/png") == 3  # the picture and two maps
    assert 'alt="Map of Saliency, LRP"' in page
    assert 'alt="Map of LayerGradCam"' in page


def test_the_title_is_the_answer_alone(found):
    title, lead = found.page().content["title"], found.page().content["lead"]
    assert title.startswith("Of 3 maps of what speaks for coupe")
    assert title.endswith("stands its test best.")
    assert lead.startswith("By ABPC, blur it gets ")
    assert found.headline == f"{title} {lead}"


@pytest.mark.parametrize("words", ["Anna Ben Clara Anna", " ".join(["Anna Ben Clara"] * 5)])
def test_a_text_is_shown_by_its_tokens_in_the_colours_of_each_map(words):
    phrases, methods = PhraseTokenizer(), ["InputXGradient", "LRP", "LayerGradientXActivation"]
    ids = torch.tensor([phrases(words)["input_ids"]])
    asked = {"tokenizer": phrases}
    found = compare(load_phrase_network(), ids, "blocks.0.mlp.0", "Ben", methods, **asked)
    page = found.page().html()
    assert "data:image/png" not in page
    assert page.count('role="img" aria-label="Map of ') == 3
    assert page.count(">Anna</span>") == 3 * words.split().count("Anna")
    assert "Orange raises the score, blue lowers it" in page
    slopes = found.maps["InputXGradient"][0, 0].sum(-1)
    strongest = int(slopes.argmax())
    assert f"{found.tokens[strongest]} at {strongest}" in html.unescape(page)
    for value in slopes.tolist():
        assert f'title="{number(value)}"' in page
    assert found.plot().axes
