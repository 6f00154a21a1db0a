"""``python -m benchmarks.effects.routes``: what does the best route carry, beside random ones?

Pairs of prompts, each by itself: phrases of the demo's network, sequences for the hand-wired
induction network, and texts of a trained Llama of 231 000 parameters, which needs the data of
CAPTUM_INFLUENCE_DATA (or ../shared/data) and transformers. Of each pair's route that carries most:
its share of what all tokens do, signs left out, and what the answer loses as its nodes carry the
corrupted input, beside random routes of the same token and length. ``--out FOLDER`` keeps the
numbers.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.effects.bootstrap import interval
from benchmarks.effects.circuits import question
from benchmarks.provenance import keep
from captum_influence import LinearPath, NextToken, Quantity
from captum_influence.circuits.pairs import Pairs
from captum_influence.circuits.patterns.keeping import Nodes, answers
from captum_influence.circuits.patterns.refining import Refined, at_random, greedy, refined
from captum_influence.circuits.patterns.study import Study
from captum_influence.demo import induction_network, load_phrase_network

_ROWS = 64  # in forward mode, at once
Asked = tuple[Tensor, Tensor, Quantity]
"""Clean and corrupted ids (1, tokens), and what is asked."""


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and keep the numbers if asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.effects.routes")
    parser.add_argument("--controls", type=int, default=20, help="random routes of each token")
    parser.add_argument("--pairs", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="where to write the JSON")
    asked = parser.parse_args(arguments)
    found = measured(asked.controls, asked.pairs, asked.seed)
    print(json.dumps(found["rows"], indent=1))
    keep(asked.out and asked.out / "routes.json", found)
    return 0


def measured(controls: int, pairs: int, seed: int) -> dict[str, Any]:
    """Return a row for each network: means over pairs, with their 95 % intervals."""
    networks: dict[str, tuple[nn.Module, list[Asked]]] = {
        "hand-wired induction": (induction_network(), list(repeated(10, 3, pairs, seed))),
        "the demo's phrases": (load_phrase_network(), list(repeated(14, 3, pairs, seed))),
        "a small trained Llama": dreams(pairs, seed),
    }
    rows = []
    for name, (model, asked) in networks.items():
        found = [_of_pair(model, one, controls, seed) for one in asked]
        row: dict[str, Any] = {"network": name, "pairs": len(found)}
        row |= {key: interval([one[key] for one in found]) for key in found[0]}
        rows.append(row)
    return {"rows": rows, "controls": controls}


def repeated(names: int, between: int, pairs: int, seed: int) -> Iterator[Asked]:
    """Yield sequences that end with a token seen before, and partners with another behind it.

    Token 0 begins them; the answer is what stood behind the first, of the partner the other.
    """
    draws = torch.Generator().manual_seed(seed)
    for _ in range(pairs):
        first, own, other, *rest = (torch.randperm(names - 1, generator=draws) + 1).tolist()
        clean = torch.tensor([[0, first, own, *rest[:between], first]])
        corrupted = clean.clone()
        corrupted[0, 2] = other
        yield clean, corrupted, NextToken(own) - NextToken(other)


def dreams(pairs: int, seed: int) -> tuple[nn.Module, list[Asked]]:
    """Return the trained network and its texts, each with its own answers."""
    model, clean, corrupted, _ = question(seed)
    with torch.no_grad():
        own, other = model(clean).logits[:, -1], model(corrupted).logits[:, -1]
    first = own.argmax(1)
    second = other.scatter(1, first[:, None], -torch.inf).argmax(1)
    return model, [
        (clean[i : i + 1], corrupted[i : i + 1], NextToken(int(a)) - NextToken(int(b)))
        for i, (a, b) in enumerate(zip(first[:pairs], second[:pairs], strict=True))
    ]


def _of_pair(model: nn.Module, asked: Asked, controls: int, seed: int) -> dict[str, float]:
    """Return what the best route of a pair carries, and what goes without it."""
    clean, corrupted, quantity = asked
    study = Study.of(model, Pairs(clean, corrupted), quantity)
    where = study.field(LinearPath(n=8))
    totals = where.totals
    starts = (totals.abs() > 1e-9 * totals.abs().max()).nonzero()[:, 0]
    best = refined(where, starts, greedy, _ROWS)
    row = int(best.values[:, -1].abs().argmax())
    # One token's own influence may be next to nothing where its ways cancel: shares are of all.
    start, total = starts[row : row + 1], float(totals[starts].abs().sum())
    draws = torch.Generator().manual_seed(seed)
    random = refined(where, start.repeat(controls), at_random(draws), _ROWS)
    lost = _lost(study, start, best, [row])
    chance = _lost(study, start, random, range(controls))
    return {
        "share": float(best.values[row, -1].abs()) / total,
        "random share": float(random.values[:, -1].abs().mean()) / total,
        "all routes": float(best.values[:, -1].abs().sum()) / total,
        "lost": float(lost[0]),
        "random lost": float(chance.mean()),
        "loses more than": float((lost[0] > chance).double().mean()),
    }


def _lost(study: Study, start: Tensor, found: Refined, rows: Any) -> Tensor:
    """Return what goes as a route's nodes carry the corrupted input: shares, (routes,)."""
    length, each = study.clean.entry.shape[1], [level.count for level in study.course.levels]
    without = []
    for row in rows:
        one = found.positions[row : row + 1], found.heads[row : row + 1]
        nodes = Nodes.of(start, *one, length, each)
        # The token itself stays: without it, all of its routes would go.
        everyone = torch.ones_like(nodes.tokens)
        without.append(Nodes(tokens=everyone, heads=~nodes.heads, skips=~nodes.skips))
    values = answers(study.course, study.pairs, study.quantity, study.corrupted, without)
    return 1 - study.shares(values)


if __name__ == "__main__":
    raise SystemExit(main())
