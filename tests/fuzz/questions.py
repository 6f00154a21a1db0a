"""The question of a seed: a network, inputs, cuts, a distribution and a quantity."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from captum_influence import (
    Baselines,
    ClassScore,
    Cut,
    Distribution,
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

from .networks import NETWORKS, Company, Given, Pictures, Skips, TimeFirst, Tokens, origin_of


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


def _distribution(
    rng: random.Random,
    model: Any,
    inputs: Tensor,
    sample_at: Cut | None,
    own: Callable[[int], tuple[Any, ...]],
) -> Distribution:
    mode = model.training
    origin = origin_of(model.eval(), inputs, sample_at, own)
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
