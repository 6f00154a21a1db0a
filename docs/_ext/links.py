"""Follow every link that needs no network: ``links.py docs/_build/html [a.md ...]``.

In a built site: pages, anchors, pictures, scripts and styles. In Markdown files such as README:
files beside them, and headings. Addresses elsewhere aren't called, only looked at.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ELSEWHERE = re.compile(r"(https?://[\w.-]+\.[a-z]+(:\d+)?(/\S*)?|mailto:\S+@\S+)", re.IGNORECASE)
MARKDOWN = re.compile(r"!?\[[^]]*\]\(([^)\s]+)\)")
UNCHECKED = {"genindex.html", "search.html"}  # written by Sphinx for all sites alike


class Page(HTMLParser):
    """What a page links to, and what in it can be linked to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.problems: list[str] = []
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.anchors |= {found[name] for name in ("id", "name") if name in found}
        self.links += [found[name] for name in ("href", "src") if name in found]
        if tag == "img" and not found.get("alt"):
            self.problems.append(f"{found.get('src')}: a picture without a description")


def main(arguments: list[str]) -> int:
    """Print what is broken; return 1 if anything is."""
    site, *files = map(Path, arguments)
    pages = sorted(site.rglob("*.html"))
    broken = [problem for page in pages for problem in _page(page)]
    broken += [problem for file in files for problem in _markdown(file)]
    print("\n".join([*broken, f"{len(pages)} pages, {len(files)} files: {len(broken)} problems"]))
    return int(bool(broken))


def _page(path: Path) -> Iterator[str]:
    page = _read(path)
    yield from (f"{path.name}: {problem}" for problem in page.problems)
    for link in page.links if path.name not in UNCHECKED else ():
        problem = _problem(path, link)
        if problem:
            yield f"{path.name}: {link}: {problem}"


def _markdown(path: Path) -> Iterator[str]:
    for link in MARKDOWN.findall(path.read_text("utf-8")):
        problem = _problem(path, link)
        if problem:
            yield f"{path.name}: {link}: {problem}"


def _problem(path: Path, link: str) -> str:
    """Say what is wrong with a link on a page, "" if nothing is."""
    parts = urlsplit(link)
    if parts.scheme == "data":
        return ""
    if parts.scheme or parts.netloc:
        return "" if ELSEWHERE.fullmatch(link) else "not an address"
    target = path.parent / unquote(parts.path) if parts.path else path
    if not target.exists():
        return "no such file"
    if parts.fragment and unquote(parts.fragment) not in _anchors(target):
        return "no such place in the file"
    return ""


def _anchors(path: Path) -> set[str]:
    if path.suffix == ".html":
        return _read(path).anchors
    headings = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@cache
def _read(path: Path) -> Page:
    return Page(path.resolve())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
