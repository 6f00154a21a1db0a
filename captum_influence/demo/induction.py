"""A transformer that is wired by hand to continue what it has read once: its circuit is known."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

__all__ = ["InductionNetwork", "induction_network"]

_SHARP = 6.0  # of attention: some of it stays elsewhere, so that gradients don't vanish
_LOUD = 5.0  # of what is said


class Heads(nn.Module):
    """Causal attention with a module for queries, keys, values and outputs each."""

    def __init__(self, width: int, heads: int) -> None:
        """Build it; its weights are zero until they are wired."""
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width * heads, bias=False)
        self.key = nn.Linear(width, width * heads, bias=False)
        self.value = nn.Linear(width, width * heads, bias=False)
        self.output = nn.Linear(width * heads, width, bias=False)
        for module in (self.query, self.key, self.value, self.output):
            nn.init.zeros_(module.weight)

    def forward(self, stream: Tensor) -> Tensor:
        """Return what the heads add to the stream (examples, positions, width)."""
        query, key, value = (
            torch.unflatten(module(stream), -1, (self.heads, -1)).transpose(1, 2)
            for module in (self.query, self.key, self.value)
        )
        length = stream.shape[1]
        later = torch.ones(length, length, dtype=torch.bool, device=stream.device).triu(1)
        pattern = (query @ key.mT).masked_fill(later, -1e9).softmax(-1)
        mixed: Tensor = self.output((pattern @ value).transpose(1, 2).flatten(2))
        return mixed


class Block(nn.Module):
    """A block of attention alone."""

    def __init__(self, width: int, heads: int) -> None:
        """Build its attention."""
        super().__init__()
        self.attention = Heads(width, heads)

    def forward(self, stream: Tensor) -> Tensor:
        """Return the stream with what the heads add."""
        added: Tensor = self.attention(stream)
        return stream + added


class InductionNetwork(nn.Module):
    """Two blocks of two heads, of which one each is wired (Olsson et al., 2022).

    The stream of a position holds four parts: its token, its place, the token before, and what is
    to be said. Head 0 of block 0 looks one place back and writes down the token there. Head 0 of
    block 1 looks for a place whose token before is the present token, and says the token there:
    after ``3 1 4 ... 3`` it says 1. The other heads write nothing. Texts begin with token 0, which
    is the token before at the first place, where there is no other to look at.

    Attributes:
        tokens: how many there are.
        places: how long a text may be.

    Shape:
        int64 (examples, positions) -> logits (examples, positions, tokens).
    """

    def __init__(self, tokens: int = 10, places: int = 16) -> None:
        """Build and wire it."""
        super().__init__()
        self.tokens, self.places = tokens, places
        width = 3 * tokens + places
        self.words = nn.Embedding(tokens, width)
        self.positions = nn.Embedding(places, width)
        self.blocks = nn.ModuleList(Block(width, heads=2) for _ in range(2))
        self.unembed = nn.Linear(width, tokens, bias=False)
        with torch.no_grad():
            self._wire()

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits (examples, positions, tokens) of tokens (examples, positions)."""
        places = torch.arange(tokens.shape[1], device=tokens.device)
        stream: Tensor = self.words(tokens) + self.positions(places)
        for block in self.blocks:
            stream = block(stream)
        logits: Tensor = self.unembed(stream)
        return logits

    def _wire(self) -> None:
        tokens, places = self.tokens, self.places
        word, place = slice(0, tokens), slice(tokens, tokens + places)
        before = slice(tokens + places, 2 * tokens + places)
        said = slice(2 * tokens + places, 3 * tokens + places)
        every = torch.eye(tokens)
        for module, part, size in ((self.words, word, tokens), (self.positions, place, places)):
            module.weight.zero_()
            module.weight[:, part] = torch.eye(size)
        self.unembed.weight.zero_()
        self.unembed.weight[:, said] = _LOUD * every

        # Head 0 of each comes first.
        first, second = (cast(Block, block).attention for block in self.blocks)
        first.query.weight[place, place] = _SHARP * torch.eye(places).roll(-1, 0)
        first.query.weight[place.stop - 1, place.start] = 0  # before the first place there is none
        first.key.weight[place, place] = torch.eye(places)
        first.value.weight[word, word] = every
        first.output.weight[before, word] = every
        second.query.weight[word, word] = _SHARP * every
        second.key.weight[word, before] = every
        second.value.weight[word, word] = every
        second.output.weight[said, word] = every


def induction_network(tokens: int = 10, places: int = 16) -> InductionNetwork:
    """Return the hand-wired network, in eval mode.

    Example:
        >>> logits = induction_network()(torch.tensor([[0, 3, 1, 4, 5, 3]]))
        >>> int(logits[0, -1].argmax())
        1
    """
    return InductionNetwork(tokens, places).eval()
