"""Random questions to random networks, against a slow replica of the definition, in float64.

``python tests/fuzzing.py --cases 5000 --seed 1`` runs many and prints what came of them. The
replica knows hooks and ``autograd.grad`` only: one example, one point and one cut at a time, the
cut's tensor replaced by a leaf.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from captum_influence import (
    Baselines,
    ClassScore,
    Cut,
    Distribution,
    DistributionalInfluence,
    Function,
    LinearPath,
    Mixture,
    Noise,
    Point,
    PredictedClass,
    Quantity,
    Samples,
    StratifiedPath,
)
from captum_influence.attr import GaussLegendre, Midpoint, RightRiemann, Trapezoid
from captum_influence.network.passes import PerExample, Shared

TOLERANCE = 1e-6  # of the largest entry
REFUSED = ("model.eval()", "first dimension", "internal_batch_size", "rows beside it")


class Thrown(Exception):
    """What a network is made to raise."""


# Networks -----------------------------------------------------------------------------------------


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


# Cases --------------------------------------------------------------------------------------------


@dataclass
class Case:
    """A question."""

    model: Any
    inputs: Tensor
    cuts: list[Cut]
    distribution: Distribution
    quantity: Quantity
    sample_at: Cut | None
    multiply: bool
    rows: int | None
    given: tuple[Any, ...] = ()
    own: Callable[[int], tuple[Any, ...]] = lambda i: ()
    may_refuse: bool = False
    words: str = ""
    thrown_at: int | None = None
    settings: dict[str, Any] = field(default_factory=dict)


def _cut(name: str) -> Cut:
    return Cut(name.lstrip(">"), "input" if name.startswith(">") else "output")


def case(seed: int) -> Case:
    """Return the question of a seed."""
    rng = random.Random(seed)
    torch.manual_seed(seed)
    kind = rng.choice(NETWORKS)
    model: Any = kind(rng).double().eval()
    for parameter in model.parameters():
        parameter.data.mul_(rng.choice([1.0, 2.0]))
    odd = kind is Company and model.how in ("norm", "dropout")
    if odd or (rng.random() < 0.3 and kind in (Skips, Pictures)):
        model.train()
    n = rng.choice([1, 1, 2, 3, 4, 5, 17])
    inputs = model.inputs(n, rng)
    at = rng.choice(model.points) if kind is Tokens or rng.random() < 0.5 else None
    sample_at = None if at is None else _cut(at)
    names = list(model.cuts)
    if at is not None:  # at or behind the points
        names = names[names.index(at) :] if at in names else names
        names = [name for name in names if name != f">{at}"]
    count = min(len(names), rng.choice([1, 1, 2, 3]))
    cuts = [_cut(name) for name in rng.sample(names, count)]
    given: tuple[Any, ...] = ()
    own: Callable[[int], tuple[Any, ...]] = lambda i: ()  # noqa: E731  # replaced below
    if kind is Given:
        gain, mix = torch.rand(n, dtype=torch.float64), torch.randn(4, 4, dtype=torch.float64)
        given = (PerExample({"gain": [gain]}) if n == 4 else {"gain": [gain]}, Shared(mix))
        own = lambda i: ({"gain": [gain[i : i + 1]]}, mix)  # noqa: E731
    quiet = all(not isinstance(m, nn.Dropout) or not m.training for m in model.modules())
    loud = kind in (Company, TimeFirst) or not quiet
    return Case(
        model,
        inputs,
        cuts,
        _distribution(rng, model, inputs, sample_at, own),
        _quantity(rng, kind is Tokens and model.form == "tuple"),
        sample_at,
        rng.random() < 0.4,
        rng.choice([None, None, 1, 2, 3, 7]),
        given,
        own,
        may_refuse=loud or (kind is Pictures and model.training),
        words=f"{kind.__name__}, {n} examples, {[str(c) for c in cuts]}, sample_at {at}",
        thrown_at=rng.randrange(8) if rng.random() < 0.15 else None,
    )


def _origin(
    model: Any, inputs: Tensor, sample_at: Cut | None, own: Callable[[int], tuple[Any, ...]]
) -> Tensor:
    if sample_at is None:
        return inputs
    seen: list[Tensor] = []
    module = model.get_submodule(sample_at.module)
    handle = module.register_forward_hook(lambda m, a, out: seen.append(out.detach().clone()))
    for i in range(len(inputs)):
        with torch.no_grad(), _buffers(model):
            model(inputs[i : i + 1], *own(i))
    handle.remove()
    return torch.cat(seen)


def _distribution(
    rng: random.Random,
    model: Any,
    inputs: Tensor,
    sample_at: Cut | None,
    own: Callable[[int], tuple[Any, ...]],
) -> Distribution:
    mode = model.training
    origin = _origin(model.eval(), inputs, sample_at, own)
    model.train(mode)
    rule = rng.choice([Midpoint(), GaussLegendre(), Trapezoid(), RightRiemann()])
    one = torch.randn(1, *origin.shape[1:], dtype=torch.float64)
    options: list[Distribution] = [
        Point(),
        LinearPath(0.0, rng.randrange(2, 6), rule),
        LinearPath(one, rng.randrange(2, 6), rule),
        Noise(0.3, rng.randrange(1, 5), seed=rng.randrange(9)),
        Baselines(torch.cat([one, 2 * one, -one]), 4, seed=1),
        Samples(torch.cat([one, -one])),
        StratifiedPath(0.5, 3),
    ]
    mixed = Mixture([(0.25, options[0]), (0.75, options[1])])
    return rng.choice([*options, mixed])


def _quantity(rng: random.Random, packed: bool) -> Quantity:
    if packed:
        return Function(lambda out: out[0][:, 1] ** 2)
    return rng.choice(
        [
            ClassScore(0),
            ClassScore(2) - 0.5 * ClassScore(1),
            PredictedClass(),
            Function(lambda out: out.softmax(1)[:, 1]),
        ]
    )


# The definition, slowly ---------------------------------------------------------------------------


def replica(asked: Case, cut: Cut) -> Tensor:
    """Return the influences, or contributions, at one cut: an example and a point at a time."""
    model, q = asked.model, asked.quantity
    origin = _origin(model, asked.inputs, asked.sample_at, asked.own)
    points = list(asked.distribution.points((origin,)))
    reference = asked.distribution.reference((origin,))
    rows = []
    for i in range(len(asked.inputs)):
        x, extra, row = asked.inputs[i : i + 1], asked.own(i), slice(i, i + 1)
        fixed = q.resolve(_value(model, x, extra))
        total: Tensor | float = 0.0
        z = _activation(asked, cut, x, extra, origin[row])
        for item in points:
            entry = item.point[0][row]
            gradient = _gradient(asked, cut, x, extra, entry, fixed)
            if asked.multiply:
                start = item.anchor if item.anchor is not None else reference
                begin = 0.0
                if start is not None:
                    begin = _activation(asked, cut, x, extra, start[0][row])
                gradient = gradient * (z - begin)
            total = total + item.weight * gradient
        rows.append(total)
    return torch.cat(rows)  # type: ignore[arg-type]  # tensors, once there is a point


def _value(model: Any, x: Tensor, extra: tuple[Any, ...]) -> Any:
    with torch.no_grad(), _buffers(model):
        return model(x, *extra)


@contextmanager
def _buffers(model: Any) -> Iterator[None]:
    before = {n: b.clone() for n, b in model.named_buffers()}
    yield
    for name, buffer in model.named_buffers():
        buffer.data.copy_(before[name])


@contextmanager
def _entering(asked: Case, entry: Tensor) -> Iterator[None]:
    """Let a point pass ``sample_at``."""
    if asked.sample_at is None:
        yield
        return
    module = asked.model.get_submodule(asked.sample_at.module)
    handle = module.register_forward_hook(lambda m, a, out: entry.clone())
    yield
    handle.remove()


@contextmanager
def _passing(asked: Case, cut: Cut, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Let a change of the tensor pass a cut."""
    module = asked.model.get_submodule(cut.module)
    if cut.side == "output":

        def after(m: nn.Module, args: Any, out: Any) -> Any:
            return (change(out[0]), *out[1:]) if isinstance(out, tuple) else change(out)

        handle = module.register_forward_hook(after)
    else:
        handle = module.register_forward_pre_hook(lambda m, args: (change(args[0]), *args[1:]))
    yield
    handle.remove()


def _activation(asked: Case, cut: Cut, x: Tensor, extra: tuple[Any, ...], entry: Tensor) -> Tensor:
    seen: list[Tensor] = []

    def look(tensor: Tensor) -> Tensor:
        seen.append(tensor.detach().clone())
        return tensor

    given = x if asked.sample_at is not None else entry
    with (
        torch.no_grad(),
        _buffers(asked.model),
        _entering(asked, entry),
        _passing(asked, cut, look),
    ):
        asked.model(given.clone(), *extra)
    return seen[0]


def _gradient(
    asked: Case, cut: Cut, x: Tensor, extra: tuple[Any, ...], entry: Tensor, q: Quantity
) -> Tensor:
    leaf: list[Tensor] = []

    def replace(tensor: Tensor) -> Tensor:
        leaf.append(tensor.detach().clone().requires_grad_())
        return leaf[0].clone()

    given = x if asked.sample_at is not None else entry
    form, asked.model.form = getattr(asked.model, "form", ""), "plain"
    with _buffers(asked.model), _entering(asked, entry), _passing(asked, cut, replace):
        output = asked.model(given.clone(), *extra)
    asked.model.form = form
    output = (output,) if form == "tuple" else output
    value = q.rows(torch.zeros(1, dtype=torch.long))(output) if q.examples else q(output)
    return torch.autograd.grad(value.sum(), leaf[0])[0]


# What comes of it ---------------------------------------------------------------------------------


def _state(model: Any) -> list[Any]:
    hooks = [
        (len(m._forward_hooks), len(m._forward_pre_hooks), m.training, "forward" in vars(m))
        for m in model.modules()
    ]
    grads = [(p.requires_grad, p.grad is None) for p in model.parameters()]
    return [hooks, grads, torch.is_grad_enabled()]


class _Bomb(nn.Module):
    """Raises at one of its calls."""

    def __init__(self, inner: nn.Module, at: int) -> None:
        super().__init__()
        self.inner, self.left = inner, at

    def forward(self, *args: Any) -> Any:
        self.left -= 1
        if self.left < 0:
            raise Thrown("now")
        return self.inner(*args)


def outcome(seed: int) -> tuple[str, str]:
    """Return what came of a seed's question: "right", "refused", "thrown", or what is wrong."""
    asked = case(seed)
    if asked.thrown_at is not None:
        asked.model.head = _Bomb(asked.model.head, asked.thrown_at)
        asked.cuts = [c for c in asked.cuts if c.module != "head"] or [Cut("head.inner")]
    before, random_state = _state(asked.model), torch.get_rng_state()
    buffers = {n: b.clone() for n, b in asked.model.named_buffers()}
    inputs = asked.inputs.clone()
    influence = DistributionalInfluence(
        asked.model,
        asked.cuts,
        distribution=asked.distribution,
        quantity=asked.quantity,
        sample_at=asked.sample_at,
        multiply_by_inputs=asked.multiply,
    )
    kind, found = "", []
    try:
        found = influence.attribute(
            asked.inputs,
            additional_forward_args=asked.given or None,
            internal_batch_size=asked.rows,
        )
    except Thrown:
        kind = "thrown" if asked.thrown_at is not None else "wrong: thrown"
    except (RuntimeError, ValueError) as error:
        allowed = asked.may_refuse and any(word in str(error) for word in REFUSED)
        kind = "refused" if allowed else f"wrong: {type(error).__name__}: {error}"
    left = _state(asked.model) != before or not torch.equal(random_state, torch.get_rng_state())
    left = left or not torch.equal(inputs, asked.inputs)
    left = left or any(not torch.equal(b, buffers[n]) for n, b in asked.model.named_buffers())
    if left:
        return "wrong: state left changed", asked.words
    if kind or asked.thrown_at is not None:
        return kind or "not thrown", asked.words
    for cut, tensor in zip(asked.cuts, found, strict=True):
        first = tensor[0] if isinstance(tensor, tuple) else tensor
        expected = replica(asked, cut)
        if first.shape != expected.shape:
            return f"wrong: shape {tuple(first.shape)} for {tuple(expected.shape)}", asked.words
        gap = float((first - expected).abs().max())
        if gap > TOLERANCE * max(float(expected.abs().max()), 1e-9):
            return f"wrong: {gap:.2g} of {float(expected.abs().max()):.2g} at {cut}", asked.words
    return "right", asked.words


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    counts: Counter[str] = Counter()
    for seed in range(asked.seed, asked.seed + asked.cases):
        kind, words = outcome(seed)
        counts[kind.partition(":")[0]] += 1
        if kind.startswith("wrong"):
            print(f"seed {seed}: {kind[:200]} ({words})")
    print(f"{asked.cases} cases from seed {asked.seed}: {dict(counts)}")


if __name__ == "__main__":
    main()
