"""A page in a browser: what it does when it is touched, without a script, and without a network."""

import os
import re
import shutil
from collections.abc import Iterator

import pytest
from examples import EXAMPLES
from torch.utils.data import DataLoader

from captum_influence import explain
from captum_influence.demo import CLASSES, SceneDataset, demo_scene, load_demo_network

playwright = pytest.importorskip("playwright.sync_api", reason="a browser is driven by Playwright")

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
CHROMIUM = next((path for path in map(shutil.which, BROWSERS) if path), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the path")


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> str:
    found = explain(
        load_demo_network(),
        demo_scene().image,
        "relu4",
        "coupe",
        top=3,
        loader=DataLoader(SceneDataset(8, seed=0), batch_size=4),
        class_names=CLASSES,
    )
    return found.to_html(tmp_path_factory.mktemp("page") / "page.html").as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator:
    sandbox = [] if getattr(os, "geteuid", lambda: 1)() else ["--no-sandbox"]  # root has none
    with playwright.sync_playwright() as driver:
        try:
            opened = driver.chromium.launch(executable_path=CHROMIUM, args=sandbox)
        except playwright.Error as error:  # a stub of a package, or a machine without its libraries
            pytest.skip(f"{CHROMIUM} doesn't start: {error}")
        yield opened
        opened.close()


@pytest.fixture
def page(browser, address) -> Iterator:
    """The page, opened; whatever it asks for or stumbles over fails the test."""
    asked, errors = [], []
    opened = browser.new_page()
    opened.set_default_timeout(10_000)
    opened.on("request", lambda request: asked.append(request.url))
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.goto(address)
    opened.wait_for_selector(".stage canvas.heat")
    yield opened
    opened.close()
    assert not errors
    asked = [url for url in asked if not url.startswith(("data:", "about:"))]
    assert [url.partition("#")[0] for url in asked] == [address] * len(asked)


NOW = "document.querySelector('.stage canvas.heat').toDataURL()"
OPAQUE = """canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
    .data.filter((_, i) => i % 4 === 3).reduce((sum, alpha) => sum + (alpha > 0), 0)"""


def drawn(page) -> str:
    return page.evaluate(NOW)


def slide(page, name: str, value: int) -> None:
    page.locator(f".stage input.{name}").fill(str(value))


def anchors(page) -> list[str]:
    return page.eval_on_selector_all(".strip a", "all => all.map(one => one.dataset.unit)")


def test_a_hovered_unit_is_lit_and_shown_on_the_picture(page) -> None:
    own, words = drawn(page), page.inner_text("[data-shown]")
    unit = page.locator(".strip a").nth(1)
    unit.hover()
    page.wait_for_function(f"was => {NOW} !== was", arg=own)
    assert page.inner_text("[data-shown]") == unit.get_attribute("data-words") != words
    lit = page.eval_on_selector_all(".lit", "all => all.map(one => one.dataset.unit)")
    assert len(lit) >= 2  # in the strip, and in the table or its card
    assert set(lit) == {unit.get_attribute("data-unit")}
    page.locator("h1").hover()
    page.wait_for_function(f"was => {NOW} === was", arg=own)
    assert page.inner_text("[data-shown]") == words
    assert page.locator(".lit").count() == 0


def test_sliders_clear_the_map(page) -> None:
    slide(page, "opacity", 100)
    slide(page, "percentile", 0)
    everywhere = page.eval_on_selector("canvas.heat", OPAQUE)
    slide(page, "percentile", 90)
    strongest = page.eval_on_selector("canvas.heat", OPAQUE)
    pixels = page.eval_on_selector("canvas.heat", "canvas => canvas.width * canvas.height")
    assert 0 < strongest < everywhere
    assert strongest <= 0.12 * pixels  # 90 % of the pixels are cleared, but for ties
    assert "90 %" in page.inner_text(".stage .sliders")
    slide(page, "opacity", 0)
    assert page.eval_on_selector("canvas.heat", OPAQUE) == 0


def test_a_header_sorts_its_table_and_turns_it_round(page) -> None:
    table = page.locator("#units table")
    header = table.locator("th").nth(1)
    number = "Number(row.cells[1].textContent.replace('−', '-').replace(/,/g, ''))"
    column = f"rows => rows.map(row => {number})"

    def numbers() -> list[float]:
        return table.locator("tbody tr").evaluate_all(column)

    header.locator("button").click()
    assert header.get_attribute("aria-sort") == "descending"
    assert numbers() == sorted(numbers(), reverse=True)
    header.locator("button").press("Enter")
    assert header.get_attribute("aria-sort") == "ascending"
    assert numbers() == sorted(numbers())
    assert len(set(numbers())) > 1


def test_a_link_opens_the_unit_that_it_names(page, address) -> None:
    anchor = anchors(page)[2]
    card = page.locator(f"#{anchor}")
    assert card.get_attribute("open") is None
    page.goto(f"{address}#{anchor}")
    page.wait_for_selector(f"#{anchor}[open].marked")
    assert card.bounding_box()["y"] < page.viewport_size["height"]
    page.locator(".strip a").first.click()
    page.wait_for_selector(f"#{anchors(page)[0]}[open].marked")
    assert page.locator(".marked").count() == 1


def test_a_page_follows_the_link_that_it_is_opened_by(page, address) -> None:
    anchor = anchors(page)[1]
    page.goto("about:blank")
    page.goto(f"{address}#{anchor}")
    page.wait_for_selector(f"#{anchor}[open].marked")


def test_arrows_move_along_the_units_and_escape_leaves(page) -> None:
    units = page.locator(".strip a")
    units.first.focus()
    page.keyboard.press("ArrowRight")
    focused = "() => document.activeElement.dataset.unit"
    assert page.evaluate(focused) == anchors(page)[1]
    assert page.locator(".strip a.lit").get_attribute("data-unit") == anchors(page)[1]
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")  # there is none before the first
    assert page.evaluate(focused) == anchors(page)[0]
    page.keyboard.press("Escape")
    assert page.locator(".lit").count() == 0


def test_without_a_script_it_shows_the_same_and_stands_still(browser, address) -> None:
    context = browser.new_context(java_script_enabled=False)
    still = context.new_page()
    still.goto(address)
    heat = still.locator(".stage img.heat")
    assert heat.is_visible()
    assert heat.bounding_box()["width"] > 100
    assert not still.locator(".stage .sliders").is_visible()
    assert still.locator("#units tbody tr").first.is_visible()
    link = still.locator(".strip a").first
    link.click()
    anchor = link.get_attribute("href")
    assert still.url.endswith(anchor)
    card = still.locator(anchor)
    card.locator("summary").click()
    assert card.locator("img").first.is_visible()
    context.close()


def test_a_narrow_screen_needs_no_scrolling_sideways(page) -> None:
    page.set_viewport_size({"width": 420, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 420


OPENED = "document.querySelectorAll('details').forEach(one => { one.open = true })"
WIDTH = "document.documentElement.scrollWidth"
# Captions that end right of the screen, or of what is left of their table without scrolling it.
CUT = """() => [...document.querySelectorAll('caption')].filter(one => {
    const room = one.closest('.scroll') ?? document.body, box = one.getBoundingClientRect();
    return box.right > room.getBoundingClientRect().right + 1;
}).map(one => one.textContent)"""
ACRONYM = re.compile(r"\b(F1|AUC|AOPC|ABPC|CPR|CMD|MIB|LRP|TPN|TPS)\b")


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_finding_answers_on_its_first_screen(browser, tmp_path, name: str) -> None:
    page = EXAMPLES[name].make().to_html(tmp_path / "page.html").as_uri()
    context = browser.new_context(viewport={"width": 420, "height": 900}, java_script_enabled=False)
    asked: list[str] = []
    still = context.new_page()
    still.on("request", lambda request: asked.append(request.url))
    still.goto(page)
    title = still.locator("h1")
    assert title.is_visible()
    assert title.bounding_box()["y"] < 200
    assert not title.inner_text().endswith("?")  # an answer, not the question again
    assert not ACRONYM.search(title.inner_text())
    assert still.evaluate(WIDTH) <= 420
    still.evaluate(OPENED)
    assert still.evaluate(WIDTH) <= 420  # what is wider scrolls by itself
    assert still.evaluate(CUT) == []
    context.close()
    assert [url for url in asked if not url.startswith("data:")] == [page]


@pytest.mark.parametrize(
    "name",
    ["Circuit", "ExpertCurves", "Prototype", "TextExplanation", "BiasReport", "Essence", "Pair"],
)
def test_all_but_the_first_screen_is_folded(browser, tmp_path, name: str) -> None:
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    opened.goto(EXAMPLES[name].make().to_html(tmp_path / "page.html").as_uri())
    first = opened.locator("details").first
    assert 0 < first.bounding_box()["y"] < 900
    seen = len(opened.inner_text("body").split())
    opened.evaluate(OPENED)
    assert len(opened.inner_text("body").split()) > seen
    opened.close()
