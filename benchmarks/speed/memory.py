"""``python -m benchmarks.speed.memory``: peak memory beyond what one forward pass leaves behind.

Each run has a fresh process. Captum's defaults and its micro-batches beside ours, and 4000 points
beside 40. ``--run WHO NETWORK IMAGES POINTS ROWS`` makes one of them, e.g. ``ours VGG16 1 50 0``;
0 rows: as many at once as they choose.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.provenance import keep
from benchmarks.speed.scenarios import Scenario

_LAYERS = {"VGG16": ("features.14",), "ResNet-50": ("layer4",)}
_RUNS = (  # who, network, images, points, rows at once
    ("captum", "VGG16", 1, 50, 0),
    ("captum", "VGG16", 1, 50, 16),
    ("ours", "VGG16", 1, 50, 0),
    ("captum", "VGG16", 2, 50, 0),
    ("ours", "VGG16", 2, 50, 0),
    ("ours", "ResNet-50", 1, 40, 0),
    ("ours", "ResNet-50", 1, 4000, 0),
)


def main(arguments: list[str] | None = None) -> int:
    """Make every run, or the one that is asked for, and print the MB."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.memory", description=__doc__)
    parser.add_argument("--run", nargs=5, help="make this one, in this process")
    parser.add_argument("--out", type=Path, help="where to write the JSON")
    asked = parser.parse_args(arguments)
    if asked.run:
        print(megabytes(asked.run))
        return 0
    rows = []
    for run in _RUNS:
        names = ("who", "network", "images", "points", "rows")
        rows.append({**dict(zip(names, run, strict=True)), "MB": round(_afresh(run))})
        print(rows[-1], flush=True)
    keep(asked.out, {"rows": rows})
    return 0


def megabytes(run: Sequence[str]) -> float:
    """Return by how many MB one run makes this process grow: who, network, images, points, rows."""
    (who, network), (batch, points, rows) = run[:2], (int(word) for word in run[2:])
    layers = _LAYERS[network]
    scenario = Scenario("memory", network, layers, 0, batch=batch, points=points, rows=rows or None)
    model, x = scenario.build()
    with torch.no_grad():
        model(x)  # loads the libraries' code and makes their caches
    peer, ours = scenario.runs_on(model, x)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (peer if who == "captum" else ours)()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def _afresh(run: Sequence[object]) -> float:
    """Return what one run reports in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.speed.memory", "--run", *map(str, run)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.strip().splitlines()[-1])


if __name__ == "__main__":
    sys.exit(main())
