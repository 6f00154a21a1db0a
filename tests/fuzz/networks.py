"""Random networks, each with what one kind of network has that others haven't."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from captum_influence import Cut


class Skips(nn.Module):
    """A tensor with several readers: a skip, an identity or a dropout, and two more."""

    cuts = ("a", "mid", "q", "k", ">q", ">k", ">mid", ">head", "act")
    points = ("a", "act", "mid")

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self.a, self.act = nn.Linear(3, 4), rng.choice([nn.Tanh(), nn.GELU(), nn.Softplus()])
        self.mid = rng.choice([nn.Identity(), nn.Dropout(), nn.Sequential(), nn.Tanh()])
        self.q, self.k, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.act(self.a(x))
        return self.head(torch.tanh(h + self.q(self.mid(h)) * self.k(h)))

    def inputs(self, n: int, rng: random.Random) -> Tensor:
        return torch.randn(n, 3, dtype=torch.float64)


class Pictures(nn.Module):
    """Convolutions with in-place modules, a norm, and a shortcut."""

    cuts = ("conv", "relu", ">relu", "norm", "last", ">last", "pool")
    points = ("conv", "relu", "norm")

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self.conv, self.relu = nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(inplace=rng.random() < 0.5)
        self.norm = rng.choice(
            [nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nn.InstanceNorm2d(4, track_running_stats=True)]
        )
        self.last, self.pool = nn.Conv2d(4, 4, 3, padding=1), nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.relu(self.conv(x))
        h = h + torch.tanh(self.last(self.norm(h)))
        return self.head(self.pool(h).flatten(1))

    def inputs(self, n: int, rng: random.Random) -> Tensor:
        return torch.randn(n, 2, 5, 5, dtype=torch.float64)


class Tokens(nn.Module):
    """Embedded tokens plus a table of positions, attention, and a squeezed or packed output."""

    cuts = ("embed", "norm", "mix", ">mix", "block", "head")
    points = ("embed", "norm", "block")

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self.length = rng.choice([3, 4, 5])
        self.embed, self.places = nn.Embedding(9, 4), nn.Embedding(self.length, 4)
        self.norm, self.mix = nn.LayerNorm(4), nn.Linear(4, 4)
        self.block = nn.TransformerEncoderLayer(4, 2, 6, dropout=0.0, batch_first=True)
        self.head, self.form = nn.Linear(4, 3), rng.choice(["tensor", "tuple", "checkpoint"])
        self.reentrant = rng.random() < 0.5

    def forward(self, ids: Tensor) -> Any:
        h = self.embed(ids) + self.places(torch.arange(ids.shape[1]))
        h = h + torch.tanh(self.mix(self.norm(h)))
        if self.form == "checkpoint":
            h = checkpoint(self.block, h, use_reentrant=self.reentrant)
        else:
            h = self.block(h)
        scores = self.head(h).mean(1)
        return (scores,) if self.form == "tuple" else scores

    def inputs(self, n: int, rng: random.Random) -> Tensor:
        return torch.randint(0, 9, (n, self.length))


class TimeFirst(nn.Module):
    """A recurrent network with time in the first dimension inside."""

    cuts = ("rnn", "act", "head", "first")
    points = ("first",)

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self.first, self.rnn = nn.Linear(2, 3), nn.GRU(3, 3)
        self.act, self.head = nn.Tanh(), nn.Linear(3, 3)
        self.steps = rng.choice([2, 3, 5])

    def forward(self, x: Tensor) -> Tensor:
        h = self.rnn(self.first(x).transpose(0, 1))[0]
        return self.head(self.act(h)[-1])

    def inputs(self, n: int, rng: random.Random) -> Tensor:
        return torch.randn(n, self.steps, 2, dtype=torch.float64)


class Company(Skips):
    """Rows that see one another."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__(rng)
        self.how = rng.choice(["centre", "softmax", "norm", "dropout"])
        self.norm, self.drop = nn.BatchNorm1d(4), nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        h = self.act(self.a(x))
        h = {
            "centre": lambda: h - h.mean(0),
            "softmax": lambda: h.softmax(0),
            "norm": lambda: self.norm(h),
            "dropout": lambda: self.drop(h),
        }[self.how]()
        return self.head(torch.tanh(h + self.q(self.mid(h)) * self.k(h)))


class Given(Skips):
    """Further arguments: a gain for each example, and a matrix for all, marked where it must be."""

    def forward(self, x: Tensor, more: Any, mix: Tensor) -> Tensor:
        h = self.act(self.a(x)) * more["gain"][0][:, None]
        return self.head(torch.tanh(h + self.q(self.mid(h)) * (self.k(h) @ mix)))


NETWORKS: tuple[type[nn.Module], ...] = (Skips, Pictures, Tokens, TimeFirst, Company, Given)


@contextmanager
def buffers_kept(model: Any) -> Iterator[None]:
    before = {n: b.clone() for n, b in model.named_buffers()}
    yield
    for name, buffer in model.named_buffers():
        buffer.data.copy_(before[name])


def origin_of(
    model: Any, inputs: Tensor, sample_at: Cut | None, own: Callable[[int], tuple[Any, ...]]
) -> Tensor:
    if sample_at is None:
        return inputs
    seen: list[Tensor] = []
    module = model.get_submodule(sample_at.module)
    handle = module.register_forward_hook(lambda m, a, out: seen.append(out.detach().clone()))
    for i in range(len(inputs)):
        with torch.no_grad(), buffers_kept(model):
            model(inputs[i : i + 1], *own(i))
    handle.remove()
    return torch.cat(seen)
