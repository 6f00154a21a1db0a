"""Pages: names that mean harm stay text, nothing is loaded, and figures are files."""

import base64
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from paged import HOSTILE, SCRIPT
from paged import Page as Read
from torch import nn

from captum_influence import (
    ClassScore,
    compare,
    counterfactual,
    explain,
    explain_layers,
    prototype,
    relevance,
)
from captum_influence.reports.finding import Finding
from captum_influence.reports.page import Page, fragment
from captum_influence.visualization.style import LIGHT, empty_figure

jinja2 = pytest.importorskip("jinja2", reason="pages are drawn with Jinja")

PLAIN = {
    "window": "a window",
    "eyebrow": "above",
    "title": "A <title>.",
    "lead": "",
    "method": "By thought.",
    "facts": [("how", "so")],
    "caveats": ["Not far."],
    "command": None,
}


class Printed:
    """What the base template asks of the call."""

    imports = ("from captum_influence import explain",)
    call = "explain(model, image, '<layer>')"
    names = ("model", "image")


def figures():
    for name in ("one", "two"):
        yield name, empty_figure(1, 1, LIGHT)


@pytest.fixture
def page(tmp_path: Path) -> Page:
    template = tmp_path / "page.html.j2"
    body = "{% block body %}<p>{{ 0.5 | share }}</p>{% endblock %}"
    template.write_text(f'{{% extends "base.html.j2" %}}{body}')
    return Page(template, {**PLAIN, "asked": Printed()}, figures)


def test_a_page_has_the_python_and_says_what_is_the_reader_s(page: Page) -> None:
    read = Read(page.html())
    assert "from captum_influence import explain\n\nexplain(model, image, '<layer>')" in read.text
    assert "model, image: yours." in read.text
    assert "A <title>." in read.text
    assert "50\u00a0%" in read.text
    assert "From the shell" not in read.text


def test_a_command_is_shown_as_it_was_given(page: Page) -> None:
    told = replace(page, content={**page.content, "command": "such --x '<y>'"})
    assert "such --x '<y>'" in Read(told.html()).text


def test_what_a_template_lacks_is_an_error(page: Page) -> None:
    lacking = replace(page, content={k: v for k, v in page.content.items() if k != "title"})
    with pytest.raises(jinja2.UndefinedError, match="title"):
        lacking.html()


def test_files_are_written_into_new_folders(page: Page, tmp_path: Path) -> None:
    written = page.write(tmp_path / "deep" / "page.html")
    assert written.read_text("utf-8") == page.html()
    paths = page.write_figures(tmp_path / "figures")
    assert [path.name for path in paths] == ["one.png", "two.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


def test_a_notebook_sees_the_first_screen(page: Page) -> None:
    shown = page.first_screen(empty_figure(1, 1, LIGHT))
    assert "A &lt;title&gt;." in shown
    assert shown.count("<img") == 1
    assert "<html" not in shown


def test_its_script_is_small_and_asks_for_nothing() -> None:
    assert len(SCRIPT) < 15_000
    assert not re.search(r"fetch|XMLHttp|import|eval|innerHTML|http", SCRIPT)


def test_a_fragment_is_filled_in_and_escaped(tmp_path: Path) -> None:
    template = tmp_path / "part.html.j2"
    template.write_text("<b>{{ word }}</b> {{ 0.001 | number }}")
    assert fragment(template, word="<i>") == "<b>&lt;i&gt;</b> 0.00100"


def test_without_jinja_the_cure_is_named(page: Page, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ImportError, match=r"pip install captum_influence\[report\]"):
        page.html()


# The pages of findings, asked with names that mean harm

IMAGES = torch.rand(12, 3, 16, 20, generator=torch.Generator().manual_seed(1))
LABELS = torch.arange(12) % 4
ASKED = {"class_names": HOSTILE}


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 4)
    ).eval()


def wrong() -> Finding:
    said = network()(IMAGES).argmax(dim=1)
    i = int((said != LABELS).nonzero()[0])
    asked = {"true": int(LABELS[i]), "max_units": 2, "loader": [(IMAGES, LABELS)], **ASKED}
    return counterfactual(network(), IMAGES[i], "1", **asked)


FINDINGS: dict[str, Callable[[], Finding]] = {
    "explanation": lambda: explain(
        network(), IMAGES[0], "1", ClassScore(0) - ClassScore(1), loader=[IMAGES], top=2, **ASKED
    ),
    "layers": lambda: explain_layers(network(), IMAGES[0], ["0", "1"], 0, top=2, **ASKED),
    "counterfactual": wrong,
    "prototype": lambda: prototype(network(), 0, size=16, steps=3, **ASKED),
    "comparison": lambda: compare(
        network(), IMAGES[:1], "1", HOSTILE[0], ["Saliency", "influence", "CAM"], points=2, **ASKED
    ),
    "relevance": lambda: relevance(
        network(), IMAGES[:1], HOSTILE[0], layers="1", tolerance=9.0, **ASKED
    ),
}


@pytest.fixture(scope="module", params=FINDINGS)
def finding(request) -> Finding:
    return FINDINGS[request.param]()


def test_hostile_names_stay_text_and_nothing_is_fetched(finding: Finding) -> None:
    read = Read(finding.page().html())
    assert {"link", "iframe", "object", "base"}.isdisjoint(t for t, _ in read.tags)
    assert read.scripts == [SCRIPT]
    ids = {attributes.get("id") for _, attributes in read.tags}
    for tag, attributes in read.tags:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "srcset", "data", "action", "poster", "background"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:image/png;base64,", "#")), (tag, value)
            assert value is None or value[0] != "#" or value[1:] in ids
    assert "{{" not in read.text.replace(HOSTILE[3], "").replace(f"'{HOSTILE[3]}'", "")
    assert "nan" not in read.text.lower().split()


def test_pictures_are_pngs_and_have_words(finding: Finding) -> None:
    images = Read(finding.page().html()).all("img")
    assert images
    for image in images:
        data = base64.b64decode(image["src"].removeprefix("data:image/png;base64,"), validate=True)
        assert data.startswith(b"\x89PNG")
        assert len(image["alt"]) > 8


def test_it_begins_with_the_finding_and_ends_with_doubts(finding: Finding) -> None:
    text = Read(finding.page("captum-influence such").html()).text
    assert finding.headline.partition(". ")[0] in text
    assert text.count("How this was computed") == text.count("How far to trust it") == 1
    assert finding.call in text
    assert "captum-influence such" in text


def test_it_knows_the_dark(finding: Finding) -> None:
    page = finding.page().html()
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    assert "url(" not in style
    assert "prefers-color-scheme: dark" in style
    assert page.count("<source media=") == page.count("<picture>")


def test_its_figures_are_pngs(finding: Finding, tmp_path: Path) -> None:
    paths = finding.page().write_figures(tmp_path)
    assert tmp_path / "overview.png" in paths
    assert len(set(paths)) == len(paths)
    for path in paths:
        assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_pictures_of_one_pixel_and_of_nothing(size: int, value: float) -> None:
    head = nn.Linear(2 * size**2, 2)
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(), nn.Flatten(), head).eval()
    image = torch.full((1, 1, size, size), value)
    said = int(model(image).argmax())
    found = explain(model, image, "0", 0, smoothing=0, top=2)
    assert "What each unit looks at" in Read(found.page().html()).text
    flipped = counterfactual(model, image, "0", true=1 - said, smoothing=0, controls=1)
    assert "Would any units do?" in Read(flipped.page().html()).text


def test_a_map_with_nan_is_drawn() -> None:
    found = wrong()
    row = found.seen[0]
    holed = row.map.clone()
    holed[0, 0] = torch.nan
    broken = replace(found, seen=(replace(row, seen=replace(row.seen, map=holed, sigma=0.0)),))
    assert "Heat map" in broken.page().html()
