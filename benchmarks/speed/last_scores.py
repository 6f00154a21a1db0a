"""``python -m benchmarks.speed.last_scores``: memory of a question about the last token.

A network of the size of GPT-2 small, with random weights; a path of 8 points to the middle layer.
The same question by ``NextToken``, for which the last position alone is scored, and by a function
of all logits; with as many rows at once as the default chooses, or ``--rows``. Each run has a fresh
process: ``--run NextToken 256``, by tokens. Needs transformers.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks.provenance import keep
from captum_influence import DistributionalInfluence, Function, Inputs, LinearPath, NextToken
from captum_influence.network.torchvision_operators import declare_operators

_ASKED = {"NextToken": NextToken(11), "all logits": Function(lambda o: o.logits[:, -1, 11])}


def main(arguments: list[str] | None = None) -> int:
    """Make every run, or the one that is asked for, and print the MB."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.last_scores", description=__doc__
    )
    parser.add_argument("--run", nargs=2, help="make this one, in this process")
    parser.add_argument("--tokens", type=int, nargs="+", default=[32, 256])
    parser.add_argument("--rows", type=int, help="at once")
    parser.add_argument("--out", type=Path, help="where to write the JSON")
    asked = parser.parse_args(arguments)
    if asked.run:
        megabytes, found = measured(asked.run[0], int(asked.run[1]), asked.rows)
        print(megabytes, found)
        return 0
    rows = []
    for tokens in asked.tokens:
        both = {who: _afresh(who, tokens, asked.rows) for who in _ASKED}
        (short, a), (whole, b) = both["NextToken"], both["all logits"]
        rows.append({"tokens": tokens, "MB": short, "all MB": whole, "difference": abs(a - b) / b})
        print(rows[-1], flush=True)
    keep(asked.out, {"rows": rows})
    return 0


def measured(who: str, tokens: int, rows: int | None) -> tuple[float, float]:
    """Return by how many MB one run makes this process grow, and the norm of what it found."""
    model, ids = _network(), torch.arange(tokens)[None] + 100
    with torch.no_grad():
        model(ids[:, :8])  # loads the libraries' code and makes their caches
    path = LinearPath(Inputs(ids + 1), n=8)
    influence = DistributionalInfluence(
        model, "transformer.h.5", distribution=path, quantity=_ASKED[who]
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = influence.attribute({"input_ids": ids}, internal_batch_size=rows)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return (after - before) / 1024, float(found.norm())


def _network() -> Any:
    declare_operators()  # a torchvision without its own doesn't import, nor transformers then
    transformers = __import__("transformers")
    torch.manual_seed(0)
    return transformers.GPT2LMHeadModel(transformers.GPT2Config()).eval()


def _afresh(who: str, tokens: int, rows: int | None) -> tuple[float, float]:
    """Return what one run reports in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.speed.last_scores", "--run", who, str(tokens)]
    command += [] if rows is None else ["--rows", str(rows)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    megabytes, found = done.stdout.strip().splitlines()[-1].split()
    return round(float(megabytes)), float(found)


if __name__ == "__main__":
    sys.exit(main())
