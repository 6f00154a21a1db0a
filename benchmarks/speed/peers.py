"""``python -m benchmarks.speed.peers``: other comparisons of one layer and 50 points.

- Captum on a network that the user has converted to channels last already, which we then read in
  that layout too; and Captum on the network as it is against ours with BatchNorms folded in.
- TruLens, where it is installed (``pip install --no-deps trulens==0.13.4``), on the points that it
  takes: a closed grid, equally weighted, in its own batches of 32 rows. In-place modules give it
  wrong gradients, so these networks have none.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.networks import images, network
from benchmarks.provenance import keep
from benchmarks.speed.scenarios import find
from benchmarks.timing import Run, in_turn
from captum_influence import ClassScore, DistributionalInfluence, LinearPath
from captum_influence.attr import Execution, Rule
from captum_influence.network import fold_batchnorm

POINTS, ROWS = 50, 32
VISION = (("VGG16", "features.14"), ("ResNet-50", "layer3.5.relu3"))


@dataclass(frozen=True)
class ClosedGrid(Rule):
    """Both ends and what lies evenly between them, all of one weight: TruLens' points."""

    def nodes_and_weights(self, n: int) -> tuple[Tensor, Tensor]:
        weights = torch.full((n,), 1 / n, dtype=torch.float64)
        return torch.linspace(0, 1, n, dtype=torch.float64), weights


@dataclass(frozen=True)
class Duel:
    """Two runs that answer one question, and what the other one is called."""

    peer: str
    network: str
    name: str
    runs: tuple[Run, Run]


def main(arguments: list[str] | None = None) -> int:
    """Run what can be run, print a table, and write JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.peers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/peers.json"))
    asked = parser.parse_args(arguments)
    rows = []
    for duel in (*converted(), *folded(), *trulens()):
        timing = in_turn(*duel.runs, rounds=asked.rounds)
        rows.append({"peer": duel.peer, "network": duel.network, "name": duel.name})
        rows[-1] |= asdict(timing)
        print(
            f"{duel.peer:24} {duel.network:10} {duel.name:22} {timing.peer_cpu:7.2f} s, ours "
            f"{timing.ours_cpu:7.2f} s, ratio {timing.ratio:5.2f}, wall {timing.ratio_wall:5.2f}, "
            f"difference {timing.difference:.1e}",
            flush=True,
        )
    keep(asked.out, {"rows": rows})
    return 0


def converted() -> Iterator[Duel]:
    """Yield single layers of networks that are in channels last before anyone asks."""
    for scenario in find(["one layer"])[:4]:
        model, x = scenario.build()
        model, x = (value.to(memory_format=torch.channels_last) for value in (model, x))
        runs = scenario.runs_on(model, x)
        yield Duel("Captum, channels last", scenario.network, scenario.name, runs)


def folded() -> Iterator[Duel]:
    """Yield a residual network whose BatchNorms we fold into its convolutions."""
    scenario = find(["ResNet-50: one layer"])[0]
    model, x = scenario.build()
    peer, _ = scenario.runs_on(model, x)
    _, ours = scenario.runs_on(fold_batchnorm(model), x)
    yield Duel("Captum, ours folded", scenario.network, scenario.name, (peer, ours))


def trulens() -> Iterator[Duel]:
    """Yield single layers against TruLens."""
    try:
        with _hashable_dataclasses():
            importlib.import_module("trulens.utils.typing")
        attribution = importlib.import_module("trulens.nn.attribution")
    except ImportError:
        print("TruLens isn't installed: left out")
        return
    for name, layer in VISION:
        model, x = network(name, inplace=False), images(name, 1)
        ours = DistributionalInfluence(
            model,
            [layer],
            quantity=ClassScore(0),
            distribution=LinearPath(0.0, POINTS, rule=ClosedGrid()),
            execution=Execution(),
        )
        runs = _trulens_run(attribution, model, x, layer), lambda o=ours, x=x: o.attribute(x)
        yield Duel("TruLens", name, f"one layer, {layer}", runs)


def _trulens_run(attribution: Any, model: nn.Module, x: Tensor, layer: str) -> Run:
    models, slices = (importlib.import_module(f"trulens.nn.{n}") for n in ("models", "slices"))
    quantities, distributions = (
        importlib.import_module(f"trulens.nn.{n}") for n in ("quantities", "distributions")
    )
    wrapper = models.get_model_wrapper(model, device="cpu", backend="pytorch")
    influence = attribution.InternalInfluence(
        wrapper,
        slices.Slice(slices.Cut(layer.replace(".", "_")), slices.OutputCut()),
        quantities.ClassQoI(0),
        distributions.LinearDoi(torch.zeros_like(x).numpy(), POINTS, cut=slices.InputCut()),
        multiply_activation=False,
        rebatch_size=ROWS,
    )

    def run() -> Sequence[Tensor]:
        return [torch.as_tensor(influence.attributions(x.numpy()))]

    return run


@contextmanager
def _hashable_dataclasses() -> Iterator[None]:
    """TruLens makes mutable dataclasses the defaults of fields, which Python 3.11 refuses."""
    original: Callable[..., Any] = dataclasses.dataclass
    dataclasses.dataclass = lambda *args, **kwargs: original(  # type: ignore[assignment]
        *args, **{"unsafe_hash": True, **kwargs}
    )
    try:
        yield
    finally:
        dataclasses.dataclass = original  # type: ignore[assignment]


if __name__ == "__main__":
    sys.exit(main())
