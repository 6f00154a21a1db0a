"""What comes of the question of a seed."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from captum_influence import Cut, DistributionalInfluence

from .questions import case
from .replica import replica

TOLERANCE = 1e-6  # of the largest entry
REFUSED = ("model.eval()", "first dimension", "internal_batch_size", "rows beside it")


class Thrown(Exception):
    """What a network is made to raise."""


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
