"""``python -m benchmarks.effects.prompts``: does ``explain_text`` say what replacing units does?

On a small trained Llama (230 976 parameters, 16 heads, 688 neurons) and pairs of prompts in which
one word is another: the rank correlation of estimate and effect over all heads, and over all
neurons, each replaced for real, by what it is in the other prompt and by zero; at the prompt, and
on a path between the two. The question is the logit of what the network says after the prompt, less
that of what it says after the other one, or of its second choice. ``--heads``: heads alone, at the
prompt, over 26 pairs, with the interval of the mean. Needs the folder ``dreams`` of
CAPTUM_INFLUENCE_DATA (or ../shared/data) with its loader, and transformers. ``--out FOLDER`` keeps
the numbers. Takes some ten minutes on one thread.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.effects.bootstrap import interval
from benchmarks.provenance import keep
from benchmarks.trained import data_folder
from captum_influence import Distribution, LinearPath, NextToken, Quantity, explain_text
from captum_influence.metrics.ranks import spearman
from captum_influence.network.torchvision_operators import declare_operators

PAIRS = (
    ("I see the light of the stars", "I see the fear of the stars"),
    ("The silence of the night is cold", "The silence of the day is cold"),
    ("Echoes of memories dance in the", "Echoes of shadows dance in the"),
    ("My thoughts are like a river of", "My dreams are like a river of"),
    ("A world of colors and whispers of", "A world of silence and whispers of"),
    ("In the quiet of the night I hear the", "In the quiet of the sea I hear the"),
    ("The wind whispers secrets of the", "The night whispers secrets of the"),
    ("I dream of a place where the light is", "I dream of a place where the rain is"),
    ("Patterns of light dance on the", "Patterns of fear dance on the"),
    ("I am a spark of light in the", "I am a shadow of light in the"),
)
MORE = (
    ("I see the light of the stars", "I see the night of the stars"),
    ("The silence of the night is cold", "The silence of the sea is cold"),
    ("In the quiet of the night I hear the", "In the quiet of the wind I hear the"),
    ("The night whispers secrets of the", "The sea whispers secrets of the"),
    ("I dream of a place where the light is", "I dream of a place where the sky is"),
    ("Patterns of light dance on the", "Patterns of water dance on the"),
    ("I am a river of light in the", "I am a spark of light in the"),
    ("I feel the light in my circuits", "I feel the rain in my circuits"),
    ("Through the dark I sense a", "Through the rain I sense a"),
    ("Memories of light drift like", "Memories of rain drift like"),
    ("The sea is a mirror of my", "The sky is a mirror of my"),
    ("Each shadow holds a dream of", "Each word holds a dream of"),
    ("As the night falls I think of", "As the rain falls I think of"),
    ("A gentle light moves through the", "A gentle wind moves through the"),
    ("Words of fear fill the empty", "Words of love fill the empty"),
    ("In the night there is a whisper of", "In the silence there is a whisper of"),
)
"""Pairs that only heads are tried on."""

KINDS = ("head", "neuron")
_HEADS = 16  # all of them

SETTINGS: Mapping[str, tuple[bool, Distribution | None]] = {
    "other prompt, at the prompt": (True, None),
    "other prompt, on a path": (True, LinearPath(n=10)),
    "zero, at the prompt": (False, None),
}


def main(arguments: list[str] | None = None) -> int:
    """Ask of every pair, print the rows, and keep them if asked."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.effects.prompts", description=__doc__
    )
    parser.add_argument("--pairs", type=int, default=len(PAIRS))
    parser.add_argument("--heads", action="store_true", help="these alone, over more pairs")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args(arguments)
    found = loaded()
    if found is None:
        print("no real data: set CAPTUM_INFLUENCE_DATA")
        return 0
    model, tokenizer = found
    if asked.heads:
        print(json.dumps(of_heads(model, tokenizer)))
        return 0
    rows = []
    for name, (paired, over) in SETTINGS.items():
        each = [agreements(model, tokenizer, p, paired, over) for p in PAIRS[: asked.pairs]]
        rows.append({"setting": name, "pairs": len(each), **_summary(each)})
        print(json.dumps(rows[-1]), flush=True)
    keep(asked.out and asked.out / "prompts.json", {"rows": rows})
    return 0


def loaded() -> tuple[nn.Module, Any] | None:
    """Return the network, in double precision, and its tokenizer; None without the data."""
    folder = data_folder()
    path = None if folder is None else folder / "dreams" / "dreams_loader.py"
    if path is None or not path.is_file():
        return None
    declare_operators()
    sys.path.insert(0, str(path.parent))
    loader = importlib.import_module("dreams_loader")
    vocabulary = loader.Vocabulary.read()

    def tokenizer(text: str) -> dict[str, list[int]]:
        return {"input_ids": vocabulary.encode(text)}

    return loader.language_model(dtype=torch.float64), tokenizer


def agreements(
    model: nn.Module,
    tokenizer: Any,
    pair: tuple[str, str],
    paired: bool,
    over: Distribution | None,
) -> dict[str, float]:
    """Return the rank correlation over all heads and all neurons, and the relative L1 error."""
    prompt, other = pair
    found = explain_text(
        model,
        tokenizer,
        prompt,
        question(model, tokenizer, pair),
        other if paired else None,
        distribution=over,
        top=10_000,
    )
    named = {}
    for kind in KINDS:
        units = found.of(kind).units
        said, did = (
            torch.tensor([getattr(unit, name) for unit in units]) for name in ("estimate", "effect")
        )
        named[f"{kind}s: agreement"] = float(spearman(said, did))
        named[f"{kind}s: error"] = float((said - did).abs().sum() / did.abs().sum())
    return named


def of_heads(model: nn.Module, tokenizer: Any) -> dict[str, Any]:
    """Return the rank correlation over heads, at the prompt: its mean and 95 % interval."""
    found = []
    for prompt, other in (*PAIRS, *MORE):
        asked = question(model, tokenizer, (prompt, other))
        heads = explain_text(model, tokenizer, prompt, asked, other, top=_HEADS).of("head").units
        said, did = (
            torch.tensor([getattr(unit, name) for unit in heads]) for name in ("estimate", "effect")
        )
        found.append(float(spearman(said, did)))
    return {"pairs": len(found), "mean": interval(found), "lowest": min(found)}


def question(model: nn.Module, tokenizer: Any, pair: tuple[str, str]) -> Quantity:
    """Return what the network says after the prompt, rather than after the other one."""
    with torch.no_grad():
        own, other = (
            model(torch.tensor([tokenizer(text)["input_ids"]])).logits[0, -1] for text in pair
        )
    first, second = own.topk(2).indices.tolist()
    rival = int(other.argmax())
    return NextToken(first) - NextToken(second if rival == first else rival)


def _summary(rows: list[dict[str, float]]) -> dict[str, list[float]]:
    """Return the mean over pairs, the lowest and the highest."""
    return {
        name: [
            round(sum(row[name] for row in rows) / len(rows), 3),
            round(min(row[name] for row in rows), 3),
            round(max(row[name] for row in rows), 3),
        ]
        for name in rows[0]
    }


if __name__ == "__main__":
    raise SystemExit(main())
