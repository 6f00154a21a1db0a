"""``python -m benchmarks.speed.choices``: what we choose, against every choice by hand.

Memory layout, pooled allocation and rows at once, in all combinations, and what torch.compile and
folded BatchNorms make of the defaults, each in a process of its own and in turn with a process of
the defaults: one layer of each network. 1 is as fast as the defaults, below it the hand was better.
With words, only the networks that contain one of them; the first round, which also chooses and
compiles, isn't counted.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from benchmarks.provenance import keep
from benchmarks.speed.apart import apart
from benchmarks.speed.scenarios import Scenario, find
from benchmarks.timing import Run
from captum_influence import ClassScore, DistributionalInfluence
from captum_influence.attr import Execution
from captum_influence.network import fold_batchnorm

NETWORKS = ("middle", "ResNet-50: one layer", "ViT-S: one layer", "small VGG: one layer")
LAYOUTS: tuple[Literal["preserve", "channels_last"], ...] = ("preserve", "channels_last")


def main(arguments: list[str] | None = None) -> int:
    """Measure, print the best by hand of each network, and write JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.choices", description=__doc__)
    parser.add_argument("words", nargs="*", default=NETWORKS)
    parser.add_argument("--points", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--rows", type=int, nargs="+", default=[4, 8, 16, 32])
    parser.add_argument("--by-hand", nargs="+", help="only these, as the lines name them")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, help="where to write the JSON")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(asked.threads)
    rows: list[dict[str, Any]] = []
    for scenario in find(asked.words):
        if scenario.execution != Execution() or scenario.rows is None:
            continue
        found = [
            {
                "network": scenario.network,
                "points": asked.points,
                "by hand": name,
                "of the defaults": ratio,
            }
            for name, ratio in _ratios(scenario, asked)
        ]
        print("best by hand:", min(found, key=lambda row: row["of the defaults"]), flush=True)
        rows += found
        keep(asked.out, {"rows": rows})
    return 0


def _ratios(scenario: Scenario, asked: argparse.Namespace) -> Iterator[tuple[str, float]]:
    """Yield what was chosen by hand, and its CPU time over that of the defaults."""
    run = partial(_run, layer=scenario.layers[0], points=asked.points)
    ours = partial(run, scenario.build)
    hands = {
        name: partial(ours, execution=execution, rows=rows)
        for name, execution, rows in _by_hand(asked.rows)
    }
    if any(isinstance(module, nn.BatchNorm2d) for module in scenario.build()[0].modules()):
        hands["folded"] = partial(run, partial(_folded, scenario))
    for name, hand in hands.items():
        if not asked.by_hand or name in asked.by_hand:
            ratio = float(apart(hand, ours, rounds=asked.rounds)["ratio"])
            print(f"{scenario.network:10} {name:40} {ratio:.2f}", flush=True)
            yield name, ratio


def _by_hand(rows: Sequence[int]) -> Iterator[tuple[str, Execution, int | None]]:
    for layout, pooled, count in itertools.product(LAYOUTS, (False, True), rows):
        name = f"{layout}, {count} rows{', pooled' if pooled else ''}"
        yield name, Execution(memory_format=layout, pooled=pooled), count
    yield "compiled", Execution(compile="default"), None


def _folded(scenario: Scenario) -> tuple[nn.Module, Tensor]:
    model, x = scenario.build()
    return fold_batchnorm(model), x


def _run(
    build: Callable[[], tuple[nn.Module, Tensor]],
    layer: str,
    points: int,
    execution: Execution | None = None,
    rows: int | None = None,
) -> Run:
    model, x = build()
    influence = DistributionalInfluence(model, layer, quantity=ClassScore(0), execution=execution)
    return lambda: [influence.attribute(x, n_steps=points, internal_batch_size=rows)]


if __name__ == "__main__":
    sys.exit(main())
