"""``python -m benchmarks.speed.growth``: how the cost grows with what is asked.

CPU seconds of ours and of Captum against the points, layers, quantities, examples and pixels of
one question about a small VGG, and against the tokens of one about a small GPT-2; with the
exponents of the powers that fit them. Captum is asked once per layer and class, each with the
micro-batch that it is given here; where that takes long it is left out.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")

import torch
from captum.attr import InternalInfluence
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from torch import Tensor, nn

from benchmarks.networks import GPT2, convolutions
from benchmarks.provenance import keep
from captum_influence import ClassScore, DistributionalInfluence
from captum_influence.attr import Execution

WIDTHS = (16, 0, 32, 0, 64, 64, 0, 128, 128)
LAYERS = ("0", "3", "6", "8", "11", "13")
CAPTUM_ROWS, LONGEST = 32, 240  # runs of the network that Captum may take: points x layers x ...
BLUE, ORANGE = "#0072b2", "#d55e00"


@dataclass(frozen=True)
class Question:
    """How much is asked at once."""

    points: int = 50
    layers: int = 1
    quantities: int = 1
    examples: int = 1
    pixels: int = 64
    tokens: int = 0

    @property
    def at(self) -> tuple[str, ...]:
        """The layers that are asked about."""
        return ("blocks.1",) if self.tokens else LAYERS[-self.layers :]

    def ours(self) -> Callable[[], object]:
        """Return a run of ours that answers it."""
        model, x = self._subject()
        influence = DistributionalInfluence(
            model,
            list(self.at),
            quantity=[ClassScore(k) for k in range(self.quantities)],
            execution=Execution(),
        )
        return lambda: influence.attribute(x, n_steps=self.points)

    def captum(self) -> Callable[[], object] | None:
        """Return Captum's runs that answer it, None if they take long."""
        if self.layers * self.quantities * self.points * self.examples > LONGEST * 50:
            return None
        model, x = self._subject()
        modules = dict(model.named_modules())

        def run() -> Sequence[Tensor]:
            return [
                InternalInfluence(model, modules[layer]).attribute(
                    x, target=k, n_steps=self.points, internal_batch_size=max(CAPTUM_ROWS, len(x))
                )
                for layer in self.at
                for k in range(self.quantities)
            ]

        return run

    def _subject(self) -> tuple[nn.Module, Tensor]:
        torch.manual_seed(0)
        if self.tokens:
            return GPT2(128, depth=4, heads=4).eval(), torch.randn(self.examples, self.tokens, 128)
        layers, channels = convolutions(WIDTHS, inplace=True)
        head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 20))
        x = torch.randn(self.examples, 3, self.pixels, self.pixels)
        return nn.Sequential(*layers, *head).eval(), x


GROWTH: dict[str, tuple[int, ...]] = {
    "points": (10, 20, 50, 100, 200, 500),
    "layers": (1, 2, 3, 4, 5, 6),
    "quantities": (1, 2, 5, 10, 20),
    "examples": (1, 2, 4, 8, 16, 32),
    "pixels": (32, 64, 128, 192),
    "tokens": (32, 64, 128, 256, 512),
}


def main(arguments: list[str] | None = None) -> int:
    """Measure, write JSON and the figure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.growth", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/growth.json"))
    parser.add_argument("--figure", type=Path, default=Path("docs/_static/growth.png"))
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    rows = []
    for what, values in GROWTH.items():
        for value in values:
            question = replace(Question(), **{what: value})
            ours, theirs = _seconds(question.ours(), question.captum(), asked.rounds)
            rows.append({"what": what, "ours": ours, "captum": theirs, **asdict(question)})
            print(what, value, f"ours {ours:.3f} s", "" if theirs is None else f"{theirs:.3f} s")
    keep(asked.out, {"rows": rows, "exponents": exponents(rows)})
    figure(rows).savefig(asked.figure, dpi=150)
    return 0


def exponents(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the slopes of log seconds against the log of what grows, by least squares.

    Of all its values, and between its two largest, where fixed costs weigh least.
    """
    found = []
    for what in GROWTH:
        for who in ("ours", "captum"):
            at = [(row[what], row[who]) for row in rows if row["what"] == what and row[who]]
            sizes, seconds = np.log(np.array(at, dtype=float)).T
            slopes = [np.polyfit(sizes[-last:], seconds[-last:], 1)[0] for last in (len(at), 2)]
            found.append({"what": what, "who": who, "all": slopes[0], "largest": slopes[1]})
    return found


def figure(rows: Sequence[dict[str, float]]) -> Figure:
    """Draw one panel for each thing of which more is asked, on logarithmic axes."""
    drawn, panels = plt.subplots(
        1, len(GROWTH), figsize=(14.5, 3.2), layout="constrained", sharey=True
    )
    for axes, what in zip(panels, GROWTH, strict=True):
        found = [row for row in rows if row["what"] == what]
        for name, colour, marker in (("captum", ORANGE, "s"), ("ours", BLUE, "o")):
            at = [(row[what], row[name]) for row in found if row[name] is not None]
            label = "Captum" if name == "captum" else "captum_influence"
            axes.loglog(*zip(*at, strict=True), color=colour, marker=marker, ms=4, label=label)
        axes.set_xlabel("side of the image, pixels" if what == "pixels" else what)
        axes.set_xticks([row[what] for row in found], [f"{row[what]}" for row in found])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("CPU seconds")
    panels[0].legend(frameon=False, fontsize=8)
    return drawn


def _seconds(
    ours: Callable[[], object], theirs: Callable[[], object] | None, rounds: int
) -> tuple[float, float | None]:
    """Return the medians of runs in turn; the first round isn't counted."""
    runs = [ours] if theirs is None else [ours, theirs]
    times: list[list[float]] = []
    for _ in range(rounds + 1):
        times.append([])
        for run in runs:
            start = time.process_time()
            run()
            times[-1].append(time.process_time() - start)
    medians = [statistics.median(column) for column in zip(*times[1:], strict=True)]
    return medians[0], medians[1] if theirs is not None else None


if __name__ == "__main__":
    sys.exit(main())
