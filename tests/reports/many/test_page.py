"""The index: a row for each input, in order, with its address; names that mean harm are text."""

from dataclasses import replace

from examples import EXAMPLES
from paged import HOSTILE, SCRIPT, Page

from captum_influence.reports.many.result import LeftOut


def test_rows_stand_in_order_and_lead_to_pages() -> None:
    found = EXAMPLES["Findings"].make()
    entries = [replace(e, page=f"pages/{n} ü.html") for n, e in enumerate(found.entries)]
    page = Page(replace(found, entries=tuple(entries)).page().html())
    links = [told["href"] for tag, told in page.tags if tag == "a" and "tabindex" not in told]
    sizes = {f"pages/{n}%20%C3%BC.html": e.size for n, e in enumerate(entries)}
    assert [sizes[link] for link in links] == sorted(sizes.values(), reverse=True)
    pictures = [told["src"] for tag, told in page.tags if tag == "img"]
    assert all(source.startswith("data:image/jpeg;base64,") for source in pictures)


def test_names_that_mean_harm_are_text() -> None:
    found = EXAMPLES["Findings"].make()
    entries = tuple(replace(e, name=n) for n, e in zip(HOSTILE, found.entries, strict=False))
    left_out = (LeftOut(name=HOSTILE[0], why=HOSTILE[1]),)
    page = Page(replace(found, entries=entries, left_out=left_out).page().html())
    assert [script.strip() for script in page.scripts] == [SCRIPT]
    assert all(name in page.text for name in HOSTILE[:2])
