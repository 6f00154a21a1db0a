"""The closed forms of the tiny networks, against central differences along a fine path."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from captum_influence.testing import (
    AnalyticModel,
    bilinear_model,
    gru_model,
    linear_model,
    relu_model,
)

Tensors = tuple[Tensor, ...]


@pytest.mark.parametrize("make", [linear_model, relu_model, bilinear_model, gru_model])
def test_the_closed_forms_against_a_fine_path(make: Any) -> None:
    """By central differences of what follows the layer, at 500 midpoints."""
    known: AnalyticModel = make()
    target: Any = (2, 1) if make is gru_model else 1
    start = tuple(0.5 * x.flip(0) - 0.1 for x in known.inputs)
    n, step = (500 if make is relu_model else 20), 1e-6
    total: Any = 0.0
    with torch.no_grad():
        for k in range(n):
            points = tuple(
                b + (k + 0.5) / n * (x - b) for x, b in zip(known.inputs, start, strict=True)
            )
            total = total + _differences(known, points, target, step) / n
    exact = known.on_path(known.inputs, start, target)
    assert torch.allclose(total, exact, atol=5e-3 if make is relu_model else 1e-7)


def _differences(known: AnalyticModel, points: Tensors, target: Any, step: float) -> Tensor:
    """Shift one unit at a time, through a hook."""
    layer = known.model.get_submodule(known.layer)
    seen: list[Tensor] = []
    shift: Any = 0.0
    handle = layer.register_forward_hook(
        lambda module, args, out: seen.append(out.clone()) or out + shift
    )
    try:
        known.model(*points)
        slopes = torch.zeros(seen[0].shape, dtype=torch.float64)
        for unit in range(slopes[0].numel()):
            values = []
            for sign in (1, -1):
                flat = torch.zeros(slopes[0].numel(), dtype=torch.float64)
                flat[unit] = sign * step
                shift = flat.reshape(slopes[0].shape)
                scores = known.model(*points)
                entry = target if isinstance(target, tuple) else (target,)
                values.append(scores[(slice(None), *entry)])
            slopes.reshape(len(slopes), -1)[:, unit] = (values[0] - values[1]) / (2 * step)
    finally:
        handle.remove()
    return slopes


@pytest.mark.parametrize("make", [linear_model, relu_model, bilinear_model, gru_model])
def test_the_networks_are_the_same_each_time(make: Any) -> None:
    one, other = make(), make()
    torch.manual_seed(1)
    third = make()
    for network in (other, third, copy.deepcopy(one)):
        for a, b in zip(one.model.parameters(), network.model.parameters(), strict=True):
            assert torch.equal(a, b)
