"""``python -m benchmarks.speed.utilization``: how near runs come to what the machine can do.

The single-layer scenarios, their floating-point operations per second as a share of the machine's
own rate of large convolutions and matrix products, and where their time goes.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.provenance import keep
from benchmarks.speed.scenarios import Scenario, find
from benchmarks.timing import synchronize

KINDS = {
    "convolutions": ("convolution",),
    "matrix products": ("mm", "linear", "attention"),
    "normalisations": ("norm",),
    "activations": ("threshold", "clamp", "relu", "gelu", "softmax"),
    "pooling": ("pool", "scatter"),
    "sums and copies": ("add", "copy", "fill", "mul", "index", "cat", "mean"),
}  # in this order, by words in the names of operations


def main(arguments: list[str] | None = None) -> int:
    """Compare, print the shares, and write JSON if asked."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.utilization", description=__doc__
    )
    parser.add_argument("words", nargs="*", help="only networks that contain one of these")
    parser.add_argument("--out", type=Path, help="where to write the JSON")
    asked = parser.parse_args(arguments)
    words = [word.lower() for word in asked.words] or [""]
    single = [s for s in find(["one layer"]) if s.rows is not None]
    rows = compared([s for s in single if any(word in s.network.lower() for word in words)])
    keep(asked.out, {"rows": rows})
    return 0


def rate() -> float:
    """Return the FLOP/s of a large convolution and a large product, the better of the two."""
    return max(rates().values())


def rates(device: str = "cpu") -> dict[str, float]:
    """Return the FLOP/s of a large convolution and of a large matrix product."""
    x = torch.randn(32, 256, 56, 56, device=device).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(256, 256, 3, 3, device=device)
    a, b = torch.randn(2, 2048, 2048, device=device)
    return {
        "convolutions": _rate(
            lambda: F.conv2d(x, weight, padding=1), 2 * 32 * 256 * 256 * 9 * 56 * 56
        ),
        "matrix products": _rate(lambda: a @ b, 2 * 2048**3),
    }


def needed(scenario: Scenario) -> int:
    """Return the FLOPs of the forward passes and of the gradients down to the layer."""
    model, x = scenario.build()
    model.requires_grad_(False)
    kept: list[torch.Tensor] = []

    def root(module: nn.Module, args: object, output: torch.Tensor) -> torch.Tensor:
        kept.append(output.detach().requires_grad_())
        return kept[-1].clone()

    handle = dict(model.named_modules())[scenario.layers[0]].register_forward_hook(root)
    with FlopCounterMode(display=False) as counter:
        score = model(x)[:, 0].sum()
        torch.autograd.grad(score, kept)
    handle.remove()
    return counter.get_total_flops() * scenario.points


def compared(scenarios: Sequence[Scenario]) -> list[dict[str, object]]:
    """Compare single-layer runs with the measured rate."""
    found: list[dict[str, object]] = []
    peak = rate()
    print(f"measured rate {peak / 1e9:.0f} GFLOP/s")
    for scenario in scenarios:
        _, ours = scenario.runs()
        flops, seconds, spent = needed(scenario), _seconds(ours), profile(ours)
        part = flops / seconds / peak
        row = {"network": scenario.network, "name": scenario.name, "GFLOP": flops / 1e9}
        found.append(row | {"seconds": seconds, "share_of_rate": part, "profile": spent})
        print(f"{scenario.network:10} {scenario.name:20} {part:.0%} of it", flush=True)
        print("  " + ", ".join(f"{name} {share:.0%}" for name, share in spent.items()))
    return found


def profile(run: Callable[[], object]) -> dict[str, float]:
    """Return where the time of a run goes: the share of each kind of operation, largest first."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
        run()
    spent: Counter[str] = Counter()
    for event in seen.key_averages():
        kind = next(
            (kind for kind, words in KINDS.items() if any(w in event.key for w in words)), "other"
        )
        spent[kind] += event.self_cpu_time_total
    return {kind: time / spent.total() for kind, time in spent.most_common()}


def _rate(work: Callable[[], object], flops: int) -> float:
    return flops / _seconds(work)


def _seconds(work: Callable[[], object]) -> float:
    work()
    times = []
    for _ in range(3):
        synchronize()
        start = time.perf_counter()
        work()
        synchronize()
        times.append(time.perf_counter() - start)
    return sorted(times)[1]


if __name__ == "__main__":
    sys.exit(main())
