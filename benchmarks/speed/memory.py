"""Peak memory beyond what one plain forward pass leaves behind, each run in a fresh process."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from benchmarks.measure import growth_of_memory, peak_memory
from benchmarks.scenarios import Scenario

_LAYERS = {"VGG16": ("features.14",), "ResNet-50": ("layer4",)}
_RUNS = (  # who, network, images, points, rows at once (0: as they choose)
    ("captum", "VGG16", 1, 50, 0),
    ("captum", "VGG16", 1, 50, 16),
    ("ours", "VGG16", 1, 50, 0),
    ("captum", "VGG16", 2, 50, 0),
    ("ours", "VGG16", 2, 50, 0),
    ("ours", "ResNet-50", 1, 40, 0),
    ("ours", "ResNet-50", 1, 4000, 0),
)


def one_run(arguments: Sequence[str]) -> float:
    """Return the MB that one run takes: ``who network images points rows``."""
    (who, network), (batch, points, rows) = arguments[:2], (int(word) for word in arguments[2:])
    layers = _LAYERS[network]
    scenario = Scenario("memory", network, layers, 0, batch=batch, points=points, rows=rows or None)
    model, x = scenario.build()
    with torch.no_grad():
        model(x)  # loads the libraries' code and makes their caches
    peer, ours = scenario.runs_on(model, x)
    return growth_of_memory(peer if who == "captum" else ours)


def rows() -> list[dict[str, object]]:
    """Compare with Captum's defaults and its micro-batches, and 4000 points with 40."""
    found: list[dict[str, object]] = []
    for who, network, batch, points, at_once in _RUNS:
        words = [str(word) for word in (who, network, batch, points, at_once)]
        size = peak_memory(["--one-memory-run", *words])
        found.append(
            {
                "who": who,
                "network": network,
                "images": batch,
                "points": points,
                "rows": at_once,
                "MB": round(size),
            }
        )
        print(found[-1], flush=True)
    return found
