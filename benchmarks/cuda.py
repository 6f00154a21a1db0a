"""``python -m benchmarks.cuda``: everything about a GPU, in one command and nine minutes.

Needs torch and Captum alone. First the tests that are marked ``cuda``, where pytest is at hand, and
the results on the device against float64 on the CPU; then one layer of four networks against
Captum, in TF32, float32, bfloat16, compiled and with CUDA graphs; 13 layers x 10 classes; a device
that runs out of memory; batches from pinned memory. A row that fails is kept with its error, one
that takes long is stopped, and what the time is up for is kept as left out.
``--device cpu --tiny`` tries the script itself.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from importlib.util import find_spec
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from captum.attr import InternalInfluence
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.networks import images, network
from benchmarks.provenance import keep
from benchmarks.speed.apart import peak
from benchmarks.speed.scenarios import find
from benchmarks.speed.utilization import rates
from benchmarks.timing import in_turn
from captum_influence import ClassScore, DistributionalInfluence, InfluenceProfile, LinearPath
from captum_influence.attr import Execution

OUT = Path("benchmarks/results/cuda.json")
Key = tuple[str, str]
Row = dict[str, Any]
LONGEST, LEFT_OUT = 90.0, "left out: the time was up"
TF32, FLOAT32, HALF = "TF32", "float32", "bfloat16"
LAYERS = {
    "VGG16": "features.14",
    "ResNet-50": "layer3",
    "ViT-B": "blocks.6",
    "GPT-2": "blocks.6",
    "small VGG": "features.14",
    "digits": "conv2",
}
SETTINGS: dict[str, tuple[str, Execution]] = {
    TF32: (TF32, Execution()),
    FLOAT32: (FLOAT32, Execution()),
    HALF: (TF32, Execution(precision="bfloat16")),
    "compiled": (TF32, Execution(compile="default")),
    "CUDA graphs": (TF32, Execution(compile="reduce-overhead")),
}


@dataclass(frozen=True)
class Size:
    """How large the questions are."""

    networks: tuple[str, ...]
    many: str
    images: int
    points: int
    rounds: int
    compiled: bool = True


FULL = Size(("VGG16", "ResNet-50", "ViT-B", "GPT-2"), "VGG16", 8, 50, 3)
TINY = Size(("small VGG", "digits"), "small VGG", 2, 3, 1, compiled=False)


def main(arguments: list[str] | None = None) -> int:
    """Measure what the time allows, print it, and write JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cuda", description=__doc__)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--tiny", action="store_true", help="small networks, few points")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--out", type=Path, default=OUT)
    asked = parser.parse_args(arguments)
    if asked.device == "cuda" and not torch.cuda.is_available():
        parser.error("expected a CUDA device; --device cpu --tiny tries the script without one")
    end = time.monotonic() + 60 * asked.minutes
    worker, rows = _Worker(asked.device, asked.tiny), []
    for key in _measurements(asked.device, asked.tiny):
        seconds = min(end - time.monotonic(), LONGEST)
        row = worker.asked(key, seconds) if seconds > 0 else {"error": LEFT_OUT}
        rows.append({"network": key[0], "name": key[1], **row})
        print(rows[-1], flush=True)
        keep(asked.out, {"rows": rows}, asked.device)
    worker.end()
    speeds = {name: rate / 1e9 for name, rate in rates(asked.device).items()}
    keep(asked.out, {"rates": speeds, "rows": rows}, asked.device)
    return 0


class _Worker:
    """A process that measures; one that is stuck or lost its device makes way for another."""

    def __init__(self, device: str, tiny: bool) -> None:
        self._of = (device, tiny)
        self._process: Any = None

    def asked(self, key: Key, seconds: float) -> Row:
        """Return what it found, or why there is nothing after so many seconds."""
        if self._process is None:
            self._start()
        self._pipe.send(key)
        try:
            if self._pipe.poll(seconds):
                row: Row = self._pipe.recv()
                if "device-side" in row.get("error", "") or "illegal memory" in row.get(
                    "error", ""
                ):
                    self.end()  # nothing works any more in a process that has seen these
                return row
            self.end()
            return {"error": f"stopped after {seconds:.0f} s"}
        except EOFError:
            self.end()
            return {"error": "its process died"}

    def end(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
        self._process = None

    def _start(self) -> None:
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, *self._of), daemon=True)
        self._process.start()
        theirs.close()


def _serve(pipe: Connection, device: str, tiny: bool) -> None:
    measurements = _measurements(device, tiny)
    while True:
        pipe.send(_kept(measurements[pipe.recv()]))


def _kept(measure: Callable[[], Row]) -> Row:
    """Return what a measurement found, or its error."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    start = time.monotonic()
    try:
        found = measure()
    except Exception as error:  # the other rows don't depend on it
        found = {"error": f"{type(error).__name__}: {str(error)[:300]}"}
    return {**found, "took": time.monotonic() - start, "peak_MB": peak()}


def _measurements(device: str, tiny: bool) -> dict[Key, Callable[[], Row]]:
    """Return what measures each network and setting; the most needed first."""
    size = TINY if tiny else FULL
    found: dict[Key, Callable[[], Row]] = {("", "tests"): partial(_tests, device)}
    for name in size.networks:
        found[name, "agrees with float64 on the CPU"] = partial(_agreement, name, size, device)
        for setting in (TF32, FLOAT32, HALF):
            found[name, setting] = partial(_one_layer, name, setting, size, device)
    found[size.many, "13 layers, 10 classes"] = partial(_many, size, device)
    found[size.many, "out of memory, halved"] = partial(_halved, size, device)
    found[size.many, "from pinned memory"] = partial(_streamed, size, device)
    for name in size.networks:
        for setting in ("compiled", "CUDA graphs") if size.compiled else ():
            found[name, setting] = partial(_one_layer, name, setting, size, device)
    return found


def _tests(device: str) -> Row:
    """Run the tests that are marked ``cuda``; on the CPU, those of the same file."""
    if find_spec("pytest") is None:
        return {"error": "left out: pytest isn't installed"}
    marked = ["-m", "cuda"] if device == "cuda" else []
    command = [sys.executable, "-m", "pytest", "-q", "tests/test_devices.py", *marked]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = done.stdout.strip().splitlines()[-1:] or done.stderr.strip().splitlines()[-1:]
    if done.returncode:
        return {"error": f"tests: {' '.join(said)}"}
    return {"said": " ".join(said)}


def _built(name: str, size: Size, device: str) -> tuple[nn.Module, Tensor]:
    return network(name).to(device), images(name, size.images).to(device)


@contextmanager
def _products_in(precision: str) -> Iterator[None]:
    """Multiply in TF32 or in float32, whatever PyTorch is set to."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = precision == TF32
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def _agreement(name: str, size: Size, device: str) -> Row:
    """Compare one image's influence in float32 with that in float64 on the CPU."""
    model, x = _built(name, size, device)
    ask = {"target": 0, "n_steps": 3}
    with _products_in(FLOAT32):
        plain = DistributionalInfluence(model, LAYERS[name], execution=Execution.plain())
        found = plain.attribute(x[:1], **ask)
    exact = DistributionalInfluence(model.double().cpu(), LAYERS[name])
    truth = exact.attribute(x[:1].double().cpu(), **ask)
    return {"difference": float((found.double().cpu() - truth).norm() / truth.norm())}


def _one_layer(name: str, setting: str, size: Size, device: str) -> Row:
    """Time one layer against Captum at 32 rows, with the batch that we choose."""
    precision, execution = SETTINGS[setting]
    model, x = _built(name, size, device)
    layer = LAYERS[name]
    theirs = InternalInfluence(model, dict(model.named_modules())[layer])
    ours = DistributionalInfluence(model, layer, quantity=ClassScore(0), execution=execution)
    with _products_in(precision):
        timing = in_turn(
            lambda: [theirs.attribute(x, target=0, n_steps=size.points, internal_batch_size=32)],
            lambda: [ours.attribute(x, n_steps=size.points)],
            rounds=size.rounds,
        )
    return {**asdict(timing), "chosen": str(ours.chosen)}


def _many(size: Size, device: str) -> Row:
    """Time 13 layers and 10 classes of one image; Captum's run of one class counts ten times."""
    scenario = next(s for s in find([size.many]) if len(s.layers) == 13)
    model, x = _built(size.many, size, device)
    layers, modules = list(scenario.layers), dict(model.named_modules())
    quantity = [ClassScore(k) for k in range(10)]
    ours = DistributionalInfluence(model, layers, quantity=quantity)
    timing = in_turn(
        lambda: [
            InternalInfluence(model, modules[layer]).attribute(
                x[:1], target=0, n_steps=size.points, internal_batch_size=32
            )
            for layer in layers
        ],
        lambda: [found[0] for found in ours.attribute(x[:1], n_steps=size.points)],
        rounds=1,
        share=0.1,
    )
    return {**asdict(timing), "chosen": str(ours.chosen)}


def _halved(size: Size, device: str) -> Row:
    """Ask for more rows at once than an eighth of the device holds."""
    model, x = _built(size.many, size, device)
    influence = DistributionalInfluence(model, LAYERS[size.many], quantity=ClassScore(0))
    expected = influence.attribute(x, n_steps=size.points, internal_batch_size=8)
    rows = size.images * size.points
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction(0.125)
    try:
        found = influence.attribute(x, n_steps=size.points, internal_batch_size=rows)
    finally:
        if device == "cuda":
            torch.cuda.set_per_process_memory_fraction(1.0)
    difference = float((found - expected).norm() / expected.norm())
    fitted = influence.chosen.rows if influence.chosen is not None else 0
    return {"asked": rows, "fitted": fitted, "difference": difference}


def _streamed(size: Size, device: str) -> Row:
    """Time a profile over batches in pinned memory and over batches that aren't."""
    model, _ = _built(size.many, size, device)
    data = TensorDataset(images(size.many, 4 * size.images), torch.zeros(4 * size.images).long())
    path = LinearPath(0.0, 4)
    influence = DistributionalInfluence(
        model, LAYERS[size.many], distribution=path, quantity=ClassScore(0)
    )
    seconds = {}
    for pinned in (False, True):
        loader = DataLoader(data, batch_size=size.images, pin_memory=pinned and device == "cuda")
        start = time.perf_counter()
        InfluenceProfile.over(influence, loader)
        seconds["pinned_s" if pinned else "pageable_s"] = time.perf_counter() - start
    return seconds


if __name__ == "__main__":
    sys.exit(main())
