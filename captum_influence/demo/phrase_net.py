"""A small trained transformer that continues phrases which it has read once: the demo of text."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

__all__ = ["WORDS", "PhraseNetwork", "PhraseTokenizer", "load_phrase_network"]

WORDS: tuple[str, ...] = (
    *("<start>", "Anna", "Ben", "Clara", "David", "Emma", "Frank", "Grace", "Henry"),
    *("Ida", "Jack", "Kate", "Leo", "Mary", "John", "Nora", "Oscar", "Paula"),
    *("Ruth", "Simon", "Tina", "Victor", "Wanda", "Yves"),
)
"""All that it knows: names, and the token that every text begins with."""

PLACES = 16
_WIDTH, _HEADS, _NEURONS, _BLOCKS = 64, 4, 64, 2


class PhraseTokenizer:
    """Words by their numbers, as a tokenizer of ``transformers`` is called.

    Example:
        >>> PhraseTokenizer()("Anna Ben")
        {'input_ids': [0, 1, 2]}
    """

    def __call__(self, text: str, *, add_special_tokens: bool = True) -> dict[str, list[int]]:
        """Return the numbers of a text's words, behind that of the start.

        Raises:
            ValueError: if there is a word that it doesn't know.
        """
        words = text.split()
        unknown = [word for word in words if word not in WORDS]
        if unknown:
            raise ValueError(
                f"expected words out of {' '.join(WORDS[1:])}; got {unknown[0]!r}, which the demo "
                "network doesn't know: take one of these, or a network of your own"
            )
        start = [0] if add_special_tokens else []
        return {"input_ids": [*start, *map(WORDS.index, words)]}

    def decode(self, ids: list[int]) -> str:
        """Return the words that numbers stand for."""
        return " ".join(WORDS[int(i)] for i in ids)


class Attention(nn.Module):
    """Causal attention of several heads.

    Not torch's own: that computes queries, keys and values in one, and a circuit tells them apart.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.output = (
            nn.Linear(width, width, bias=False) for _ in range(4)
        )

    def forward(self, stream: Tensor) -> Tensor:
        """Return what the heads add to the stream (examples, positions, width)."""
        query, key, value = (
            module(stream).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for module in (self.query, self.key, self.value)
        )
        mixed = scaled_dot_product_attention(query, key, value, is_causal=True)
        added: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return added


class Block(nn.Module):
    """Attention and a perceptron, each added to the stream."""

    def __init__(self, width: int, heads: int, neurons: int) -> None:
        super().__init__()
        self.before_attention, self.before_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.mlp = nn.Sequential(
            nn.Linear(width, neurons), nn.GELU(), nn.Linear(neurons, width, bias=False)
        )

    def forward(self, stream: Tensor) -> Tensor:
        """Return the stream with what the block adds."""
        stream = stream + self.attention(self.before_attention(stream))
        result: Tensor = stream + self.mlp(self.before_mlp(stream))
        return result


class PhraseNetwork(nn.Module):
    """Two blocks of four heads, trained on names in random order that come twice.

    What follows a name the second time is what followed it the first time: there is nothing else to
    learn, so it is known which token an answer has to come from.

    Shape:
        int64 (examples, positions) -> logits (examples, positions, words).
    """

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(len(WORDS), _WIDTH), nn.Embedding(PLACES, _WIDTH)
        self.blocks = nn.ModuleList(Block(_WIDTH, _HEADS, _NEURONS) for _ in range(_BLOCKS))
        self.norm = nn.LayerNorm(_WIDTH)
        self.unembed = nn.Linear(_WIDTH, len(WORDS), bias=False)

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Return logits (examples, positions, words) of words (examples, positions).

        The mask changes nothing: pads stand on the right, and no position looks there.
        """
        if input_ids.shape[1] > PLACES:
            raise ValueError(
                f"expected at most {PLACES - 1} words, got {input_ids.shape[1] - 1}: the demo "
                "network has learnt no more places"
            )
        places = torch.arange(input_ids.shape[1], device=input_ids.device)
        stream: Tensor = self.words(input_ids) + self.places(places)
        for block in self.blocks:
            stream = block(stream)
        logits: Tensor = self.unembed(self.norm(stream))
        return logits


def load_phrase_network(weights: str | Path | None = None) -> PhraseNetwork:
    """Return the trained network, in eval mode, in single precision.

    Args:
        weights: a file that ``python -m captum_influence.demo.phrase_recipe`` wrote; None: the
            weights that come with the package.

    Raises:
        ValueError: if the file does not exist.

    Example:
        >>> ids = torch.tensor([PhraseTokenizer()("Mary John Anna Ben Mary")["input_ids"]])
        >>> WORDS[int(load_phrase_network()(ids)[0, -1].argmax())]
        'John'
    """
    packaged = files("captum_influence.demo") / "phrase_weights.pt"
    source = packaged if weights is None else Path(weights)
    if not source.is_file():
        raise ValueError(
            f"expected a file of weights; got {str(source)!r}, which is not a file; "
            "write one with `python -m captum_influence.demo.phrase_recipe --out FILE`"
        )
    with source.open("rb") as stream:
        state: dict[str, Any] = torch.load(stream, map_location="cpu", weights_only=True)
    network = PhraseNetwork()
    network.load_state_dict(state)
    return network.eval()
