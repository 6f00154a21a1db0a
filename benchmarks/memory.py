"""Peak memory beyond what the network and its inputs take, each run in a fresh process."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.measure import growth_of_memory, peak_memory
from benchmarks.scenarios import Scenario

_MIDDLE = ("features.14",)


def one_run(arguments: Sequence[str]) -> float:
    """Return the MB that one run of Captum or of ours takes: ``who batch points``."""
    who, batch, points = arguments[0], int(arguments[1]), int(arguments[2])
    scenario = Scenario("memory", "VGG16", _MIDDLE, 0, batch=batch, points=points, equal=False)
    peer, ours = scenario.runs()
    return growth_of_memory(peer if who == "captum" else ours)


def rows() -> list[dict[str, object]]:
    """Compare with Captum's defaults at batch 1 and 16, and 4000 points with 40."""
    found: list[dict[str, object]] = []
    for batch, points, who in (
        (1, 50, "captum"),
        (1, 50, "ours"),
        (4, 50, "captum"),
        (4, 50, "ours"),
        (1, 40, "ours"),
        (1, 4000, "ours"),
    ):
        size = peak_memory(["--one-memory-run", who, str(batch), str(points)])
        found.append({"who": who, "batch": batch, "points": points, "MB": round(size)})
        print(found[-1], flush=True)
    return found
