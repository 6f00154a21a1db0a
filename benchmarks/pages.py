"""``python -m benchmarks.pages``: how long the page of each finding is, on the demo.

Runs every command that writes a page and needs no model, as a newcomer would, and opens the
page at the widths of a desk and of a telephone: its height in pixels, folded as it opens, and its
words, all and those that are seen then. Needs Playwright (the extra ``browser``) and a
chromium on the path. ``--only explain pair`` measures these; ``--out FOLDER`` keeps the pages.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.markdown import table
from captum_influence.cli.program import main as run

# Settings that make a command quick, and change little of what its page shows.
COMMANDS: dict[str, str] = {
    "explain": "--points 5",
    "explain-text": "",
    "circuit": "",
    "counterfactual": "--controls 3",
    "compare": "--points 5",
    "essence": "--prototype-steps 0",
    "pair": "",
    "expert": "",
    "profile": "",
    "prototype": "--steps 8",
    "train-influence": "",
}
WIDTHS = (1280, 420)
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pages, open them, and print a row for each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pages", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=COMMANDS, default=list(COMMANDS))
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args(arguments)
    chromium = next((path for path in map(shutil.which, BROWSERS) if path), None)
    if chromium is None:
        print("no chromium on the path")
        return 0
    with tempfile.TemporaryDirectory() as kept:
        rows = list(_measured(_pages(asked.only, asked.out or Path(kept)), chromium))
    heads = ["page", *(f"px at {width}" for width in WIDTHS), "words", "seen when opened"]
    print(table(heads, rows))
    return 0


def _pages(commands: Sequence[str], folder: Path) -> Iterator[tuple[str, Path]]:
    for command in commands:
        out = folder / command
        run([command, *COMMANDS[command].split(), "--quiet", "--force", "--out", str(out)])
        for page in sorted(out.glob("*.html")):
            yield command, page


def _measured(pages: Iterator[tuple[str, Path]], chromium: str) -> Iterator[list[object]]:
    from playwright.sync_api import sync_playwright

    sandbox = [] if getattr(os, "geteuid", lambda: 1)() else ["--no-sandbox"]  # root has none
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=sandbox)
        tab = browser.new_page()
        for command, path in pages:
            tab.goto(path.resolve().as_uri())
            heights = []
            for width in WIDTHS:
                tab.set_viewport_size({"width": width, "height": 900})
                heights.append(tab.evaluate("document.documentElement.scrollHeight"))
            seen = len(tab.inner_text("body").split())
            tab.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
            yield [command, *heights, len(tab.inner_text("body").split()), seen]
        browser.close()


if __name__ == "__main__":
    raise SystemExit(main())
