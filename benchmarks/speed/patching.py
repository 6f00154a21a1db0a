"""``python -m benchmarks.speed.patching``: CPU time of estimates of patching in a GPT-2.

A network of the size of GPT-2 small, with random weights, one thread, a path of 8 points:

- EAP-IG at nodes, 24 cuts (what each attention and each perceptron writes), against the loop that
  one writes by hand: a pass forward and one back for each point, with hooks;
- integrated gradients at the embedding against Captum's ``LayerIntegratedGradients``.

Each run has a fresh process, ours and theirs in turn, and counts the CPU time of its second call;
``--run ours nodes`` makes one. Needs transformers.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from captum.attr import LayerIntegratedGradients
from torch import Tensor, nn

from benchmarks.provenance import keep
from captum_influence import DistributionalInfluence, Inputs, LinearPath, NextToken
from captum_influence.network.torchvision_operators import declare_operators

_TOKEN, _POINTS = 11, 8
_EMBEDDING = "transformer.wte"


def main(arguments: list[str] | None = None) -> int:
    """Make every run in turn, or the one that is asked for, and print CPU seconds."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.patching",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--run", nargs=2, help="make this one, in this process")
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="where to write the JSON")
    asked = parser.parse_args(arguments)
    if asked.run:
        print(*measured(*asked.run, tokens=asked.tokens))
        return 0
    rows = [_compared(what, asked.tokens, asked.rounds) for what in ("nodes", "embedding")]
    keep(asked.out, {"rows": rows, "tokens": asked.tokens, "points": _POINTS})
    return 0


def _compared(what: str, tokens: int, rounds: int) -> dict[str, Any]:
    times: dict[str, list[float]] = {"ours": [], "theirs": []}
    norms = {}
    for _ in range(rounds):
        for who in times:
            seconds, norms[who] = _afresh(who, what, tokens)
            times[who].append(seconds)
    ours, theirs = (statistics.median(times[who]) for who in ("ours", "theirs"))
    ratio = statistics.median(a / b for a, b in zip(*times.values(), strict=True))
    difference = abs(norms["ours"] - norms["theirs"]) / norms["theirs"]
    row = {"what": what, "ours s": ours, "theirs s": theirs, "ratio": ratio, "rounds": rounds}
    print({**row, "difference of norms": difference}, flush=True)
    return {**row, "difference": difference}


def _afresh(who: str, what: str, tokens: int) -> tuple[float, float]:
    command = [sys.executable, "-m", "benchmarks.speed.patching", "--run", who, what]
    command += ["--tokens", str(tokens)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return float(said[-2]), float(said[-1])


def measured(who: str, what: str, *, tokens: int) -> tuple[float, float]:
    """Return the CPU seconds of a second call, and the norm of what it found."""
    torch.set_num_threads(1)
    model, clean = _network(), torch.arange(tokens)[None] + 100
    run = _RUNS[who, what]
    run(model, clean, clean + 1)
    began = time.process_time()
    found = run(model, clean, clean + 1)
    seconds = time.process_time() - began
    return seconds, float(torch.stack([z.double().norm() for z in found]).norm())


def _cuts(model: nn.Module) -> list[str]:
    blocks = range(len(model.get_submodule("transformer.h")))  # type: ignore[arg-type]
    return [f"transformer.h.{b}.{part}" for b in blocks for part in ("attn.c_proj", "mlp.c_proj")]


def _ours_at_nodes(model: nn.Module, clean: Tensor, other: Tensor) -> list[Tensor]:
    path = LinearPath(Inputs(other), _POINTS, rule="riemann_right")
    influence = DistributionalInfluence(
        model,
        _cuts(model),
        distribution=path,
        quantity=NextToken(_TOKEN),
        multiply_by_inputs=True,
    )
    found: list[Tensor] = influence.attribute(clean)
    return found


def _theirs_at_nodes(model: nn.Module, clean: Tensor, other: Tensor) -> list[Tensor]:
    cuts, kept, put = _cuts(model), dict[str, Tensor](), list[Tensor]()

    def keep_as(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, output: Tensor) -> None:
            kept[name] = output

        return hook

    def enter(module: nn.Module, args: Any, output: Tensor) -> Tensor | None:
        return put.pop() if put else None

    embed = model.get_submodule(_EMBEDDING)
    handles = [model.get_submodule(name).register_forward_hook(keep_as(name)) for name in cuts]
    with torch.no_grad():
        ends = []
        for ids in (clean, other):
            model(ids)
            ends.append((embed(ids), dict(kept)))
    handles.append(embed.register_forward_hook(enter))
    (here, last), (there, first) = ends
    total = [torch.zeros_like(last[name]) for name in cuts]
    for k in range(1, _POINTS + 1):
        put.append((there + k / _POINTS * (here - there)).requires_grad_())
        score = model(clean).logits[:, -1, _TOKEN].sum()
        slopes = torch.autograd.grad(score, [kept[name] for name in cuts])
        total = [a + b / _POINTS for a, b in zip(total, slopes, strict=True)]
    for handle in handles:
        handle.remove()
    return [a * (last[name] - first[name]) for a, name in zip(total, cuts, strict=True)]


def _ours_at_the_embedding(model: nn.Module, clean: Tensor, other: Tensor) -> list[Tensor]:
    influence = DistributionalInfluence(
        model,
        _EMBEDDING,
        distribution=LinearPath(Inputs(other), _POINTS),
        quantity=NextToken(_TOKEN),
        multiply_by_inputs=True,
    )
    return [influence.attribute(clean)]


def _theirs_at_the_embedding(model: nn.Module, clean: Tensor, other: Tensor) -> list[Tensor]:
    def scores(ids: Tensor) -> Any:
        return model(ids).logits[:, -1]

    gradients = LayerIntegratedGradients(scores, model.get_submodule(_EMBEDDING))
    return [gradients.attribute(clean, other, target=_TOKEN, n_steps=_POINTS)]


_RUNS: dict[tuple[str, str], Callable[[nn.Module, Tensor, Tensor], list[Tensor]]] = {
    ("ours", "nodes"): _ours_at_nodes,
    ("theirs", "nodes"): _theirs_at_nodes,
    ("ours", "embedding"): _ours_at_the_embedding,
    ("theirs", "embedding"): _theirs_at_the_embedding,
}


def _network() -> nn.Module:
    _operators = declare_operators()
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    network: nn.Module = GPT2LMHeadModel(GPT2Config()).eval()
    return network


if __name__ == "__main__":
    raise SystemExit(main())
