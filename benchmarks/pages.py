"""``python -m benchmarks.pages``: how long the page of each finding is, on the demo.

Runs every command that writes a page and needs no model, as a newcomer would, asks in Python for
the findings that have no command, and opens each page at the widths of a desk and of a telephone:
its height in pixels, folded as it opens; the largest width, all unfolded, beside that of the
window; and its words, all and those that are seen when it opens. Needs Playwright (the extra
``browser``) and a chromium on the path. ``--only explain pair`` measures these; ``--out FOLDER``
keeps the pages; ``--pages FILE ...`` measures pages that are there.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from benchmarks.markdown import table
from captum_influence import (
    LayerInfluence,
    NextToken,
    class_rankings,
    combine,
    explain,
    explain_layers,
    find_label_errors,
    rank_layers,
    relevance,
    routes,
)
from captum_influence.cli.program import main as run
from captum_influence.demo import (
    CLASSES,
    SceneDataset,
    demo_scene,
    induction_network,
    load_demo_network,
)
from captum_influence.metrics import ablate_units, flip_pixels
from captum_influence.reports.finding import Finding

# Settings that make a command quick, and change little of what its page shows.
COMMANDS: dict[str, str] = {
    "explain": "--points 5",
    "explain-text": "",
    "circuit": "",
    "counterfactual": "--controls 3",
    "compare": "--points 5",
    "essence": "--prototype-steps 8",
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
    names = [*COMMANDS, *FINDINGS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pages", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--pages", nargs="+", type=Path)
    asked = parser.parse_args(arguments)
    chromium = next((path for path in map(shutil.which, BROWSERS) if path), None)
    if chromium is None:
        print("no chromium on the path")
        return 0
    with tempfile.TemporaryDirectory() as kept:
        there = [(f"{path.parent.name}/{path.name}", path) for path in asked.pages or ()]
        pages = iter(there) if there else _pages(asked.only, asked.out or Path(kept))
        rows = list(_measured(pages, chromium))
    heights = (f"px at {width}" for width in WIDTHS)
    widths = (f"widest at {width}" for width in WIDTHS)
    print(table(["page", *heights, *widths, "words", "seen when opened"], rows))
    return 0


def _pages(names: Iterable[str], folder: Path) -> Iterator[tuple[str, Path]]:
    for name in names:
        out = folder / name.replace(" ", "_")
        if name in FINDINGS:
            yield name, FINDINGS[name]().to_html(out / "report.html")
            continue
        run([name, *COMMANDS[name].split(), "--quiet", "--force", "--out", str(out)])
        for page in sorted(out.glob("*.html")):
            yield name, page


def _of_network(ask: Callable[..., Finding], *question: Any, **settings: Any) -> Finding:
    """Ask about the demo's scene, of its network."""
    return ask(load_demo_network(), demo_scene().image[None], *question, **settings)


def _of_scenes(ask: Callable[..., Any], *question: Any, **settings: Any) -> Any:
    """Ask about many scenes, of the demo's network."""
    loader = DataLoader(SceneDataset(40, seed=0), batch_size=8)
    return ask(load_demo_network(), loader, *question, class_names=CLASSES, **settings)


def _of_prompts(ask: Callable[..., Finding]) -> Finding:
    """Ask about a pair of prompts, of the network that only goes by what came before."""
    prompts = torch.tensor([[0, 3, 1, 4, 5, 3]]), torch.tensor([[0, 9, 2, 6, 8, 4]])
    return ask(induction_network(), prompts, NextToken(1), controls=2)


def _of_training(ask: Callable[[LayerInfluence], Finding]) -> Finding:
    """Ask about scenes as if the demo's network had been trained on them."""
    influence = LayerInfluence(
        load_demo_network(),
        SceneDataset(64, seed=0),
        loss_fn=torch.nn.CrossEntropyLoss(),
        layers=["conv5", "fc"],
    )
    return ask(influence)


def _scores(influence: LayerInfluence) -> Finding:
    scenes = SceneDataset(5, seed=1)
    images, labels = zip(*(scenes[i] for i in range(len(scenes))), strict=True)
    return influence.scores((torch.stack(images), torch.tensor(labels)))


def _shown(image: torch.Tensor) -> torch.Tensor:
    return image.sum(0, keepdim=True) - image.sum(0).mean()


# What has no command of its own, by the name of its kind.
FINDINGS: dict[str, Callable[[], Finding]] = {
    "explain, several layers": lambda: _of_network(
        explain_layers, ["relu3", "relu4"], "coupe", class_names=CLASSES
    ),
    "explain, several pictures": lambda: explain(
        load_demo_network(),
        [SceneDataset(6, seed=0)[i][0] for i in range(6)],
        "relu4",
        overlay=False,
        class_names=CLASSES,
    ),
    "ranking": lambda: _of_scenes(class_rankings, "relu4", "coupe", by=["contribution"])[
        "contribution"
    ],
    "ranking of layers": lambda: _of_network(
        rank_layers, ["relu3", "relu4"], "coupe", class_names=CLASSES
    ),
    "combination": lambda: _of_network(
        combine,
        {"relu3": [0, 2, 5], "relu4": [1, 3]},
        "coupe",
        versus="convertible",
        class_names=CLASSES,
    ),
    "relevance": lambda: _of_network(relevance, "coupe", tolerance=1.0, class_names=CLASSES),
    "routes": lambda: _of_prompts(routes),
    "training scores": lambda: _of_training(_scores),
    "label errors": lambda: _of_training(
        lambda influence: find_label_errors(influence, neighbours=5, class_names=CLASSES)
    ),
    "metric: pixel flipping": lambda: _of_network(
        flip_pixels, _shown(demo_scene().image), CLASSES.index("coupe"), steps=8
    ),
    "metric: unit removal": lambda: _of_network(ablate_units, "relu5", CLASSES.index("coupe")),
}


def _measured(pages: Iterator[tuple[str, Path]], chromium: str) -> Iterator[list[object]]:
    from playwright.sync_api import sync_playwright

    sandbox = [] if getattr(os, "geteuid", lambda: 1)() else ["--no-sandbox"]  # root has none
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=sandbox)
        tab = browser.new_page()
        for name, path in pages:
            tab.goto(path.resolve().as_uri())
            heights = [_edge(tab, width, "Height") for width in WIDTHS]
            seen = len(tab.inner_text("body").split())
            tab.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
            widths = [_edge(tab, width, "Width") for width in WIDTHS]
            yield [name, *heights, *widths, len(tab.inner_text("body").split()), seen]
        browser.close()


def _edge(tab: Any, width: int, side: str) -> int:
    """Return how high or wide a page is in a window of a width."""
    tab.set_viewport_size({"width": width, "height": 900})
    size: int = tab.evaluate(f"document.documentElement.scroll{side}")
    return size


if __name__ == "__main__":
    raise SystemExit(main())
