"""Small transformers whose parts are known, for the tests that look for them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

WIDTH, HEADS, HIDDEN = 8, 4, 12


class Grouped(nn.Module):
    """Attention with one projection for queries, keys and values, two heads of the latter two."""

    def __init__(self) -> None:
        super().__init__()
        self.joint, self.out = nn.Linear(WIDTH, WIDTH + 8), nn.Linear(WIDTH, WIDTH)

    def heads(self, x: Tensor) -> Tensor:
        """Return what the heads give (examples, heads, positions, 2)."""
        q, k, v = self.joint(x).split([WIDTH, 4, 4], dim=-1)
        q, k, v = (t.unflatten(-1, (-1, 2)).transpose(1, 2) for t in (q, k, v))
        k, v = (t.repeat_interleave(2, dim=1) for t in (k, v))
        return (q @ k.mT / 2**0.5).softmax(-1) @ v

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.heads(x).transpose(1, 2).flatten(2))


class GatedBlock(nn.Module):
    """A block that returns a tuple, with a gated perceptron."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.attention = nn.LayerNorm(WIDTH), Grouped()
        self.second = nn.LayerNorm(WIDTH)
        self.gate, self.up = nn.Linear(WIDTH, HIDDEN), nn.Linear(WIDTH, HIDDEN)
        self.down = nn.Linear(HIDDEN, WIDTH)

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        x = x + self.attention(self.norm(x))
        z = self.second(x)
        return x + self.down(torch.sigmoid(self.gate(z)) * self.up(z)), None


class Reader(nn.Module):
    """Two blocks between an embedding and a table of scores."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(20, WIDTH)
        self.blocks = nn.ModuleList([GatedBlock(), GatedBlock()])
        self.scores = nn.Linear(WIDTH, 20)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.words(ids)
        for block in self.blocks:
            x, _ = block(x)
        return self.scores(x)


def reader() -> Reader:
    """Return the network of grouped heads and gated perceptrons, float64, in eval mode."""
    torch.manual_seed(0)
    return Reader().double().eval()


def encoder(layers: int = 2) -> nn.TransformerEncoder:
    """Return torch's own encoder, (examples, positions, WIDTH), float64, in eval mode."""
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(WIDTH, HEADS, HIDDEN, batch_first=True)
    return nn.TransformerEncoder(layer, layers, enable_nested_tensor=False).double().eval()
