"""``python -m benchmarks.speed.versions BEFORE``: another version of this package.

``git worktree add ../before COMMIT`` makes the folder BEFORE. Each question is put with the
defaults that users get to two processes in turn, before, after, before, after, ..., on one thread;
the first round of each pair of processes isn't counted. A ratio is after / before, so above 1 means
slower; its spread is that of the middle half of the rounds.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import torch
from torch import nn

from benchmarks.networks import DigitsNet, SmallVGG
from benchmarks.provenance import keep

HERE = Path(__file__).resolve().parents[2]
CPU, WALL = 0, 1
Seconds = tuple[float, float]


def main(arguments: list[str] | None = None) -> int:
    """Compare both checkouts, print the ratios, and keep the seconds if asked."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.versions", description=__doc__
    )
    parser.add_argument(
        "before", type=Path, help="the folder that the other captum_influence is in"
    )
    parser.add_argument("--after", type=Path, default=HERE, help="default: this checkout")
    parser.add_argument("--only", nargs="+", default=list(ASKED), choices=list(ASKED))
    parser.add_argument("--rounds", type=int, default=10, help="of each pair of processes")
    parser.add_argument("--pairs", type=int, default=3, help="pairs of fresh processes")
    parser.add_argument("--out", type=Path, help="where to write the JSON")
    parser.add_argument("--answer", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.rounds * asked.pairs < 2:
        parser.error("expected at least two rounds: a spread takes two")
    if asked.answer:
        return _answer(asked.before)
    rows = []
    for name in asked.only:
        rows.append({"question": name, **compared(name, asked)})
        print(_shown(rows[-1]), flush=True)
    keep(asked.out, {"rows": rows})
    return 0


def compared(name: str, asked: argparse.Namespace) -> dict[str, Any]:
    """Return the seconds of both checkouts in turn: "before" and "after", (CPU, wall) each."""
    found: dict[str, list[Seconds]] = {"before": [], "after": []}
    for _ in range(asked.pairs):
        runs = {"before": Process(asked.before), "after": Process(asked.after)}
        for i in range(asked.rounds + 1):
            for side, process in runs.items():
                seconds = process.seconds(name)
                if i:
                    found[side].append(seconds)
        for process in runs.values():
            process.close()
    return found


class Process:
    """A Python that imports the package of one checkout, and answers when it is asked."""

    def __init__(self, checkout: Path) -> None:
        command = [sys.executable, "-m", "benchmarks.speed.versions", str(checkout), "--answer"]
        self._process = subprocess.Popen(
            command, cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def seconds(self, name: str) -> Seconds:
        """Put a question once and return its CPU and wall seconds."""
        self._pipe(self._process.stdin).write(f"{name}\n")
        self._pipe(self._process.stdin).flush()
        cpu, wall = json.loads(self._pipe(self._process.stdout).readline())
        return cpu, wall

    def close(self) -> None:
        """End it."""
        self._pipe(self._process.stdin).close()
        self._process.wait()

    @staticmethod
    def _pipe(pipe: IO[str] | None) -> IO[str]:
        if pipe is None:
            raise RuntimeError("expected a process that was opened with pipes")
        return pipe


def _answer(checkout: Path) -> int:
    """Answer the questions that come on standard input, with the package of a checkout."""
    sys.path.insert(0, str(checkout.resolve()))
    import captum_influence  # of the checkout, so not before its path stands first

    if checkout.resolve() not in Path(captum_influence.__file__).parents:
        raise SystemExit(f"expected captum_influence in {checkout}")
    torch.set_num_threads(1)
    made: dict[str, Callable[[], object]] = {}
    for line in sys.stdin:
        name = line.strip()
        if name not in made:
            made[name] = ASKED[name](captum_influence, checkout)
        print(json.dumps(_clocked(made[name])), flush=True)
    return 0


def _clocked(run: Callable[[], object]) -> Seconds:
    """Return CPU seconds, those of processes that were waited for included, and wall seconds."""
    cpu, wall = _cpu(), time.perf_counter()
    run()
    return _cpu() - cpu, time.perf_counter() - wall


def _cpu() -> float:
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def _question(
    build: Callable[[], nn.Module],
    shape: tuple[int, ...],
    layers: Callable[[Any], Any],
    *,
    quantities: int = 1,
    times: int = 1,
) -> Callable[[Any, Path], Callable[[], object]]:
    """Return what makes a run: the influence on classes at layers, asked so many times."""

    def make(package: Any, checkout: Path) -> Callable[[], object]:
        torch.manual_seed(0)
        model, x = build().eval(), torch.randn(shape)
        layer = layers(model)
        scores = [package.ClassScore(k) for k in range(quantities)]

        def run() -> None:
            for _ in range(times):
                quantity = scores if quantities > 1 else scores[0]
                package.DistributionalInfluence(model, layer, quantity=quantity).attribute(x)

        return run

    return make


def _command(name: str) -> Callable[[Any, Path], Callable[[], object]]:
    """Return what makes a run: a subcommand without options, in a process of its own."""

    def make(package: Any, checkout: Path) -> Callable[[], object]:
        start = (
            f"import sys, torch; torch.set_num_threads(1); sys.path.insert(0, {str(checkout)!r})"
        )
        ask = "from captum_influence.cli import main; raise SystemExit(main())"
        command = [sys.executable, "-c", f"{start}; {ask}", name, "--quiet"]

        def run() -> None:
            with tempfile.TemporaryDirectory() as folder:
                subprocess.run([*command, "--out", f"{folder}/out"], cwd=folder, check=True)

        return run

    return make


def _perceptron() -> nn.Module:
    return nn.Sequential(
        nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4)
    )


def _middle(model: SmallVGG) -> str:
    return model.convolutions[6]


ASKED: dict[str, Callable[[Any, Path], Callable[[], object]]] = {
    "one layer": _question(SmallVGG, (1, 3, 224, 224), _middle),
    "one layer, digits": _question(DigitsNet, (1, 1, 8, 8), lambda _: "conv2", times=20),
    "one layer, perceptron": _question(_perceptron, (1, 8), lambda _: "1", times=50),
    "13 layers": _question(SmallVGG, (1, 3, 224, 224), lambda model: model.convolutions),
    "10 classes": _question(SmallVGG, (1, 3, 112, 112), _middle, quantities=10),
    **{f"command {name}": _command(name) for name in ("explain", "pair", "expert")},
}


def _shown(row: dict[str, Any]) -> str:
    """Return medians of the seconds, and of the ratios with the middle half of them."""
    words = [f"{row['question']:22}"]
    for name, clock in (("CPU", CPU), ("wall", WALL)):
        before, after = ([pair[clock] for pair in row[side]] for side in ("before", "after"))
        ratios = [b / a for a, b in zip(before, after, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
        words.append(
            f"{name} {statistics.median(before):.4g} s before, {statistics.median(after):.4g} s "
            f"after, ratio {middle:.3f} ({low:.3f} to {high:.3f}, {len(ratios)} rounds)"
        )
    return "; ".join(words)


if __name__ == "__main__":
    sys.exit(main())
