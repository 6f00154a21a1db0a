"""``python -m benchmarks.effects.leaderboard``: methods against ground truth.

Units: rank correlation with exact single-unit ablation, on the hand-wired networks and on trained
ones, with necessity and sufficiency; and whether they find the units of the planted shortcut.
Places: how much of a map lies on the fence that caused a wrong answer, on the object, on the part
that tells a class from its twin; pixel flipping (ABPC, in units of the score), necessity and
sufficiency; a random map and a blob in the middle beside them. The networks stay, and pictures are
drawn anew for each seed; ± is the standard error over the seeds' means. CIFAR-10 and ImageNet where
the data is there.

``--write`` keeps the numbers in benchmarks/results and makes the tables and the figure of the docs;
``--from-results`` makes these from the numbers that were kept.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from benchmarks.effects.leaderboard.maps import on_pictures, on_scenes, on_shortcut
from benchmarks.effects.leaderboard.pages import figure, pages
from benchmarks.effects.leaderboard.units import by_algebra, by_removal, by_shortcut
from benchmarks.provenance import machine, sentence
from benchmarks.tables import PAGES, RESULTS
from benchmarks.trained import Subject, squeezenet, tutorial
from captum_influence import visualization
from captum_influence.demo import SceneDataset, load_demo_network

PICTURE = Path("docs/_static/leaderboard.png")
Scores = dict[str, dict[str, float]]
LAYERS = {"CIFAR-10": "relu2", "SqueezeNet": "features.12"}


def main(arguments: list[str] | None = None) -> int:
    """Run everything, print the tables, and keep them if asked."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.effects.leaderboard", description=__doc__
    )
    parser.add_argument("--seeds", type=int, default=5, help="of the demo and of CIFAR-10")
    parser.add_argument("--scenes", type=int, default=8, help="scenes or pictures for each seed")
    parser.add_argument("--imagenet", type=int, default=3, help="seeds of two pictures; 0: none")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--from-results", action="store_true")
    asked = parser.parse_args(arguments)
    kept = RESULTS / "leaderboard.json"
    found = json.loads(kept.read_text()) if asked.from_results else _measured(asked)
    for name, text in pages(found).items():
        print(f"\n{name}\n\n{text}")
    if asked.write:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(found, indent=1))
    if asked.write or asked.from_results:
        _publish(found)
    return 0


def _measured(asked: argparse.Namespace) -> dict[str, Any]:
    start = time.process_time()
    seeds, count = range(asked.seeds), asked.scenes
    demo = load_demo_network()
    tables = {
        "units: demo, `relu3`": _over(
            seeds, lambda s: by_removal(demo, "relu3", _scenes(s, count), seed=s)
        ),
        "shortcut units": _over(seeds, lambda s: by_shortcut("relu4", seed=s, count=count)),
        "shortcut": _over(seeds, lambda s: on_shortcut("relu4", seed=s, count=count)),
        "scenes": _over(seeds, lambda s: on_scenes(seed=s, count=count)),
    }
    tables |= _real("CIFAR-10", tutorial(), seeds, count, patch=2, steps=16, points=25)
    own = range(asked.imagenet)
    subject = squeezenet(117) if asked.imagenet else None
    tables |= _real("SqueezeNet", subject, own, 2, patch=16, steps=6, points=10)
    tables = dict(sorted(tables.items(), key=lambda item: not item[0].startswith("units")))
    minutes = (time.process_time() - start) / 60
    scope = (
        f"{asked.seeds} seeds of {count} scenes or CIFAR-10 pictures, for SqueezeNet "
        f"{asked.imagenet} of 2 pictures"
    )
    return {
        "algebra": by_algebra(),
        "tables": tables,
        "scope": scope,
        "minutes": round(minutes, 1),
        "machine": machine(),
    }


def _real(
    name: str, subject: Subject | None, seeds: range, count: int, **settings: int
) -> dict[str, dict[str, dict[str, list[float]]]]:
    """Return the tables of a network with real pictures, other ones for each seed."""
    if subject is None or not seeds:
        return {}
    layer, model = LAYERS[name], subject.model

    def drawn(seed: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        return subject.images[torch.randperm(len(subject.images), generator=generator)[:count]]

    return {
        f"units: {name}, `{layer}`": _over(
            seeds, lambda s: by_removal(model, layer, drawn(s), seed=s)
        ),
        f"pictures: {name}": _over(
            seeds, lambda s: on_pictures(model, layer, drawn(s), seed=s, **settings)
        ),
    }


def _over(seeds: range, score: Callable[[int], Scores]) -> dict[str, dict[str, list[float]]]:
    """Return method -> score -> one value for each seed."""
    found = [score(seed) for seed in tqdm(seeds, leave=False)]
    methods = dict.fromkeys(method for each in found for method in each)
    return {
        method: {
            key: [each[method][key] for each in found if method in each]
            for key in next(each[method] for each in found if method in each)
        }
        for method in methods
    }


def _scenes(seed: int, count: int) -> torch.Tensor:
    return SceneDataset(count, seed=600_000 + seed).stacked()[0]


def _publish(found: dict[str, Any]) -> None:
    """Write the tables and the figure that the docs show."""
    PAGES.mkdir(parents=True, exist_ok=True)
    source = sentence(found["machine"], "python -m benchmarks.effects.leaderboard --write")
    said = f"*{found['scope']}; {found['minutes']} minutes of CPU time.* {source}"
    for name, text in {**pages(found), "leaderboard_source": said}.items():
        (PAGES / f"{name}.md").write_text(f"{text}\n", encoding="utf-8")
    PICTURE.write_bytes(visualization.png(figure(found)))


if __name__ == "__main__":
    torch.set_num_threads(1)
    raise SystemExit(main())
