"""Tiny networks whose influences are known in closed form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from captum_influence.network.modes import without_graph
from captum_influence.testing.values import numbers

__all__ = ["AnalyticModel", "bilinear_model", "gru_model", "linear_model", "relu_model"]

Tensors = tuple[Tensor, ...]


@dataclass(frozen=True, eq=False)
class AnalyticModel:
    """A tiny float64 network whose influences are known in closed form.

    Attributes:
        model: the network, in eval mode, with fixed weights.
        layer: the name of the layer whose influence is known.
        inputs: instances to ask about.
        on_path: (inputs, baselines, target) -> the exact influence of the layer's output, the
            average over the straight path from the baselines to the inputs.
    """

    model: Module
    layer: str
    inputs: Tensors
    on_path: Callable[[Tensors, Tensors, Any], Tensor]


def linear_model() -> AnalyticModel:
    """Return a network of two linear layers: a unit's influence is its outgoing weight.

    That holds under every distribution (linear agreement).
    """
    first, last = _linear(3, 4), _linear(4, 2)

    def on_path(inputs: Tensors, baselines: Tensors, target: int) -> Tensor:
        return last.weight.detach()[target].expand(len(inputs[0]), -1)

    return AnalyticModel(torch.nn.Sequential(first, last).eval(), "0", (numbers(5, 3),), on_path)


def relu_model() -> AnalyticModel:
    """Return a network with in-place ReLUs: outgoing weight times the share of the path it is on.

    A unit is affine along the path, so it is on for all of it, for none, or to one side of a zero.
    """
    first, last = _linear(3, 6), _linear(6, 2)

    def on_path(inputs: Tensors, baselines: Tensors, target: int) -> Tensor:
        with without_graph():
            start, end = first(baselines[0]), first(inputs[0])
            crossing = start / (start - end)
            share = torch.where(end > 0, 1 - crossing, crossing)
            share = torch.where((start > 0) == (end > 0), (end > 0).double(), share)
            return share * last.weight[target]

    model = torch.nn.Sequential(first, torch.nn.ReLU(inplace=True), last).eval()
    return AnalyticModel(model, "0", (numbers(5, 3),), on_path)


class _Bilinear(Module):
    """Scores that are linear in the product of two linear layers, one of each input."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.scores = _linear(3, 4), _linear(2, 4), _linear(4, 2)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        scores: Tensor = self.scores(self.left(x) * self.right(y))
        return scores


def bilinear_model() -> AnalyticModel:
    """Return a network of two inputs: a unit of the left is weighed by the right's path average.

    The integrand is linear along the path, so the average is the value in the middle of it.
    """
    model = _Bilinear().eval()

    def on_path(inputs: Tensors, baselines: Tensors, target: int) -> Tensor:
        with without_graph():
            middle: Tensor = model.right((inputs[1] + baselines[1]) / 2)
            return model.scores.weight[target] * middle

    return AnalyticModel(model, "left", (numbers(5, 3), numbers(5, 2)), on_path)


class _ScoreEveryStep(Module):
    """A GRU and scores of what it says at each time step, (examples, steps, classes)."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = torch.nn.GRU(3, 4, batch_first=True).double()
        with without_graph():
            for number, parameter in enumerate(self.gru.parameters()):
                parameter.copy_(numbers(*parameter.shape) / (2 + number))
        self.states = torch.nn.Identity()
        self.scores = _linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.scores(self.states(self.gru(x)[0]))
        return scores


def gru_model() -> AnalyticModel:
    """Return a GRU that is scored at every step; a target is a pair (step, class).

    The states at that step have the influence of their outgoing weights, all others none.
    """
    model = _ScoreEveryStep().eval()

    def on_path(inputs: Tensors, baselines: Tensors, target: tuple[int, int]) -> Tensor:
        influence = torch.zeros(*inputs[0].shape[:2], 4, dtype=torch.float64)
        influence[:, target[0]] = model.scores.weight.detach()[target[1]]
        return influence

    return AnalyticModel(model, "states", (numbers(2, 5, 3),), on_path)


def _linear(inputs: int, outputs: int) -> torch.nn.Linear:
    linear = torch.nn.Linear(inputs, outputs).double()
    with without_graph():
        linear.weight.copy_(numbers(outputs, inputs) / 2)
        linear.bias.copy_(numbers(outputs) / 5)
    return linear
