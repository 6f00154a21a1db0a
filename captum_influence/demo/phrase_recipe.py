"""Train the demo of text: ``python -m captum_influence.demo.phrase_recipe --out weights.pt``.

Reproducible on a CPU from its seed; takes about a minute.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from captum_influence.demo.phrase_net import PLACES, WORDS, PhraseNetwork

__all__ = ["accuracy", "phrases", "train"]

_SHORTEST = 3  # names of a phrase
_BATCH, _RATE, _DECAY = 128, 2e-3, 0.01


def phrases(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return texts in which a phrase comes twice, and where the second time can be known.

    Returns:
        Words (count, places), the first of which is the start; and of each place whether the next
        word follows from the text, (count, places - 1).
    """
    length = PLACES - 1
    names = torch.rand(count, len(WORDS) - 1, generator=generator).argsort(dim=1) + 1
    sizes = torch.randint(_SHORTEST, length // 2 + 2, (count, 1), generator=generator)
    place = torch.arange(length)
    texts = names.gather(1, (place % sizes).expand(count, length))
    words = functional.pad(texts, (1, 0))
    return words, (place >= sizes)[:, 1:] & (place[1:] > sizes)


def train(steps: int = 1500, seed: int = 0) -> PhraseNetwork:
    """Train a network; the global random state is left as found."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = PhraseNetwork()
    optimizer = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=steps)
    for step in range(steps):
        words, known = phrases(_BATCH, generator)
        logits = network(words[:, :-1])
        loss = functional.cross_entropy(logits[:, 1:][known], words[:, 2:][known])
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
        if step % 500 == 0:
            print(f"step {step} of {steps}: loss {loss.item():.3f}", flush=True)
    return network.eval()


@torch.no_grad()
def accuracy(network: PhraseNetwork, count: int = 1000, seed: int = 1_000_003) -> float:
    """Return how often the next word is right, where it follows from the text."""
    words, known = phrases(count, torch.Generator().manual_seed(seed))
    right = network(words[:, :-1]).argmax(dim=-1)[:, 1:] == words[:, 2:]
    return float(right[known].double().mean())


def main(arguments: list[str] | None = None) -> int:
    """Train, say how good it is, and write the weights."""
    parser = argparse.ArgumentParser(
        prog="python -m captum_influence.demo.phrase_recipe", description=__doc__
    )
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args(arguments)
    network = train(asked.steps, asked.seed)
    print(f"right in {accuracy(network):.4f} of what follows from the text")
    torch.save(network.state_dict(), asked.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
