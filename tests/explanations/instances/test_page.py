"""The page of an explanation: it loads nothing, hides nothing, and says how it came about."""

import base64
import re
import sys
from importlib.metadata import version

import pytest
import torch
from paged import HOSTILE, SCRIPT, Page
from torch import nn

from captum_influence import (
    ClassScore,
    Explanation,
    Function,
    LinearPath,
    Point,
    explain,
)


@pytest.fixture(scope="module")
def explanation() -> Explanation:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 4)
    )
    images = torch.rand(5, 3, 16, 20)
    return explain(
        model.eval(),
        images[0],
        "1",
        quantity=ClassScore(1) - ClassScore(0),
        distribution=LinearPath(0.0, 50),
        top=3,
        loader=[(images[1:], torch.tensor([0, 1, 2, 3]))],
        class_names=HOSTILE,
    )


@pytest.fixture(scope="module")
def page(explanation, tmp_path_factory) -> Page:
    path = explanation.to_html(tmp_path_factory.mktemp("report") / "deep" / "report.html")
    return Page(path.read_text("utf-8"))


def test_nothing_is_fetched(page) -> None:
    assert {"link", "iframe", "object", "base"}.isdisjoint(t for t, _ in page.tags)
    assert page.scripts == [SCRIPT]
    for tag, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "srcset", "data", "action", "poster", "background"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:", "#")), (tag, value)
        assert "url(" not in attributes.get("style", "")


def test_the_style_fetches_nothing_and_knows_the_dark(explanation, tmp_path) -> None:
    text = explanation.to_html(tmp_path / "r.html").read_text("utf-8")
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    assert "url(" not in style
    assert "@import" not in style
    assert "prefers-color-scheme: dark" in style
    assert 'name="viewport"' in text


def test_hostile_names_stay_text(page) -> None:
    assert "<script>alert(1)</script>" in page.text
    assert "{{ 7 * 7 }}" in page.text
    assert "49" not in [word for word in page.text.split() if word == "{{49}}"]


def test_pictures_are_pngs_and_have_words(explanation, page) -> None:
    images = page.all("img")
    # the stage's two, one a unit in the strip, three of where it looks, three a unit, the picture
    examples = [
        e for row in explanation.units for e in {x.number: x for x in row.examples}.values()
    ]
    seen = [e for e in examples if e.crop is not None]
    assert len(images) == 2 + 3 + 3 + 3 * 3 + 1 + len(examples) + len(seen)
    for image in images:
        data = base64.b64decode(image["src"].removeprefix("data:image/png;base64,"), validate=True)
        assert data.startswith(b"\x89PNG")
        assert len(image["alt"]) > 10


def test_links_lead_to_what_is_there(explanation, page) -> None:
    ids = {attributes.get("id") for _, attributes in page.tags}
    links = {a["href"] for a in page.all("a")}
    targets = {link.removeprefix("#") for link in links if link.startswith("#")}
    assert targets == {row.unit.anchor for row in explanation.units}
    assert targets <= ids


def test_it_says_how_it_was_computed(explanation, page) -> None:
    assert explanation.call in page.text
    assert "from captum_influence import ClassScore, LinearPath, explain" in page.text
    assert "model, image, loader: yours." in page.text
    assert "convergence delta" in page.text
    assert f"torch {version('torch')}" in page.text
    assert explanation.facts["distribution"] in page.text


def test_numbers_and_units_are_all_there(explanation, page) -> None:
    for row in explanation.units:
        assert row.unit.name in page.text
    for unit in explanation.against:
        assert unit.name in page.text
    for prediction in explanation.predictions:
        assert prediction.name in page.text


def test_the_command_is_quoted_as_it_was_given(explanation, tmp_path) -> None:
    path = explanation.to_html(tmp_path / "r.html", command="captum-influence explain --x '<y>'")
    assert "captum-influence explain --x '<y>'" in Page(path.read_text("utf-8")).text


def test_figures_are_written_as_png(explanation, tmp_path) -> None:
    explanation.to_html(tmp_path / "r.html", figures=tmp_path / "figures")
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    shown = ("overlay", "unit1", "unit2", "unit3")
    maps = {f"{name}_{kind}.png" for name in shown for kind in ("heat", "mask", "crop")}
    assert names == {"overview.png", "picture.png", "units.png"} | maps
    for path in (tmp_path / "figures").iterdir():
        assert path.read_bytes().startswith(b"\x89PNG")


def test_the_same_report_from_what_was_saved(explanation, tmp_path) -> None:
    explanation.save(tmp_path)
    first = explanation.to_html(tmp_path / "first.html").read_bytes()
    assert Explanation.load(tmp_path).to_html(tmp_path / "again.html").read_bytes() == first


def test_odd_questions_have_a_report_too(tmp_path) -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(72, 1))
    found = explain(
        model.eval(),
        torch.zeros(1, 8, 8),
        "0",
        quantity=Function(lambda output: output[:, 0]),
        distribution=Point(),
        by="influence",
        focus="unit",
        aggregate="max",
        smoothing=0,
    )
    page = Page(found.to_html(tmp_path / "r.html").read_text("utf-8"))
    assert "a function of the output" in page.text
    assert "What the network says" not in page.text
    assert "--target" not in page.text
    assert "convergence delta" not in page.text


def test_without_jinja_the_cure_is_named(explanation, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ImportError, match=r"pip install captum_influence\[report\]"):
        explanation.to_html(tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()
