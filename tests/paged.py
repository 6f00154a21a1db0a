"""What tests of pages share: names that mean harm, and a reader of what a page is made of."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import captum_influence.reports

TEMPLATES = Path(captum_influence.reports.__file__).with_name("templates")
SCRIPT = (TEMPLATES / "page.js").read_text("utf-8").strip()  # the only one that a page may have
HOSTILE = [
    "<script>alert(1)</script>",
    "a\"b'c $\\frac$",
    "http://example.org/x.png",
    "{{ 7 * 7 }}",
]
_VOID = {"meta", "img", "br", "link", "source", "hr", "input"}


class Page(HTMLParser):
    """What a page is made of, and whether its tags are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.text = ""
        self.scripts: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append(data.strip())
        else:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]
