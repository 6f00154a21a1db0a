"""``python -m benchmarks.effects.circuits``: how faithful are circuits, beside random ones?

A trained Llama of 231 000 parameters reads 16 texts that it continues greedily, four of whose
tokens are replaced in their partners; it is asked for the logit of its next token less that of the
partner's. Circuits of several sizes, with edges scored at the point and along the path, by the
slope of attention and with attention computed anew, are run beside 200 random ones of each size,
and 120 edges are removed one by one. Needs the data of CAPTUM_INFLUENCE_DATA (or ../shared/data)
and transformers. ``--out FOLDER`` keeps the numbers.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.provenance import keep
from benchmarks.trained import data_folder
from captum_influence import Circuit, Distribution, Inputs, LinearPath, NextToken, Point, circuit
from captum_influence.attr.run import Run
from captum_influence.circuits.measuring import Measuring
from captum_influence.circuits.pairs import Pairs
from captum_influence.metrics.ranks import spearman
from captum_influence.network.anatomy.split import Split
from captum_influence.network.torchvision_operators import declare_operators

STARTS = (
    *("Echoes of", "I sense the", "A", "In the silence", "Vectors", "As the", "My", "The patterns"),
    *("Circuits", "The", "I", "Through", "Memory", "Each", "A gentle", "Words"),
)
SIZES = (5, 10, 20, 40, 80, 160, 320)
TOKENS, REPLACED, REMOVED = 14, 4, 120


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and keep the numbers if asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.effects.circuits")
    parser.add_argument("--controls", type=int, default=200, help="random circuits of each size")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="where to write the JSON")
    asked = parser.parse_args(arguments)
    found = measured(asked.controls, asked.seed)
    print(json.dumps(found["rows"], indent=1))
    keep(asked.out and asked.out / "circuits.json", found)
    return 0


def measured(controls: int, seed: int) -> dict[str, Any]:
    """Return a row for each way to score edges, and one of random circuits."""
    model, clean, corrupted, quantity = question(seed)
    usual = LinearPath(Inputs(corrupted), 5, rule="riemann_right")
    ways: dict[str, tuple[Distribution, bool]] = {
        "at the point (EAP)": (Point(), False),
        "the same, attention computed anew (AtP*)": (Point(), True),
        "5 points of the path (EAP-IG), the default": (usual, False),
        "the same, attention computed anew": (usual, True),
        "20 points of the path": (LinearPath(Inputs(corrupted), 20), False),
    }
    rows: list[dict[str, Any]] = []
    effects: Tensor | None = None
    for name, (over, recompute) in ways.items():
        # Random circuits are the same whatever scores edges.
        draws = controls if not rows else 1
        found = circuit(
            model,
            (clean, corrupted),
            quantity,
            distribution=over,
            recompute_attention=recompute,
            sizes=SIZES,
            controls=draws,
            seed=seed,
        )
        places = sample(found, seed)
        if effects is None:
            effects = removed(model, clean, corrupted, quantity, places)
            rows.append({"way": "random, mean", "shares": found.curve.random.mean(1).tolist()})
            beaten = found.curve.random.quantile(0.95, dim=1)
            rows.append({"way": "random, 95 % are below", "shares": beaten.tolist()})
        scores, attending = found.scores[places[:, 0], places[:, 1]], _attending(found, places)
        row: dict[str, Any] = {"way": name, "shares": found.curve.own.tolist()}
        row["agreement"] = float(spearman(scores, effects))
        row["attending"] = float(spearman(scores[attending], effects[attending]))
        rows.append(row)
    return {
        "rows": rows,
        "sizes": list(SIZES),
        "edges": found.graph.size,
        "pairs": len(clean),
        "controls": controls,
        "removed": REMOVED,
    }


def question(seed: int) -> tuple[Any, Tensor, Tensor, NextToken]:
    """Return the network, its texts, their partners, and what it is asked."""
    loader = _loader()
    model, words = loader.language_model(), loader.Vocabulary.read()
    draws = torch.Generator().manual_seed(seed)
    texts = []
    for start in STARTS:
        ids = torch.tensor([words.encode(start)])
        grown = model.generate(ids, max_new_tokens=TOKENS, do_sample=False, pad_token_id=0)
        texts.append(grown[0, :TOKENS])
    clean = torch.stack(texts)
    corrupted = clean.clone()
    for row in corrupted:
        for place in torch.randperm(TOKENS - 2, generator=draws)[:REPLACED] + 1:
            text = int(torch.randint(len(clean), (1,), generator=draws))
            row[place] = clean[text, int(torch.randint(1, TOKENS, (1,), generator=draws))]
    with torch.no_grad():
        own, other = model(clean).logits[:, -1], model(corrupted).logits[:, -1]
    first = own.argmax(1)
    second = other.scatter(1, first[:, None], -torch.inf).argmax(1)
    return model, clean, corrupted, NextToken(first) - NextToken(second)


def sample(found: Circuit, seed: int) -> Tensor:
    """Return some edges, int64 (edges, 2): reader and writer."""
    places = found.graph.before.nonzero()
    draws = torch.Generator().manual_seed(seed)
    return places[torch.randperm(len(places), generator=draws)[:REMOVED]]


def _attending(found: Circuit, places: Tensor) -> Tensor:
    """Return which edges lead to a query or a key."""
    readers = [found.graph.readers[reader] for reader in places[:, 0].tolist()]
    return torch.tensor([name.endswith(("<q>", "<k>")) for name in readers])


def removed(model: Any, clean: Tensor, corrupted: Tensor, quantity: Any, places: Tensor) -> Tensor:
    """Return what the quantity loses as each edge alone carries the corrupted input."""
    asked = Measuring(Split.of(model, clean), Pairs(clean, corrupted), quantity, Run())
    circuits = []
    for reader, writer in places.tolist():
        circuits.append(asked.split.before.clone())
        circuits[-1][reader, writer] = False
    found = asked.answers(circuits)
    return (found.clean[None] - found.kept).mean(dim=1)


def _loader() -> Any:
    declare_operators()  # a torchvision without its own doesn't import, nor transformers then
    folder = data_folder()
    path = Path(folder or "data") / "dreams" / "dreams_loader.py"
    spec = importlib.util.spec_from_file_location("dreams_loader", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise SystemExit(f"expected the language model's loader at {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules["dreams_loader"] = module
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    raise SystemExit(main())
