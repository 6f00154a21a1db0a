"""Rules of relevance propagation as values, the z^B rule that Captum lacks, and composites.

A rule is its formula here, whoever propagates: biases stay as they are, and inputs may have either
sign. Where that isn't what you mean, zennit's own composites go into ``ByZennit(composite)``.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from captum_influence.network.captum_private import (
    Alpha1_Beta0_Rule,
    EpsilonRule,
    GammaRule,
    PropagationRule,
)
from captum_influence.network.modes import with_graph

__all__ = ["AlphaBeta", "Bounded", "Composite", "Epsilon", "Gamma", "RelevanceRule"]


class RelevanceRule(ABC):
    """How a layer hands relevance down; subclasses make the object that Captum works with."""

    @abstractmethod
    def made(self) -> Any:
        """Return a fresh ``captum.attr._utils.lrp_rules.PropagationRule``, for one module."""


@dataclass(frozen=True)
class Epsilon(RelevanceRule):
    r"""The ε rule: :math:`R_i = \sum_j \frac{a_i w_{ij}}{z_j + \epsilon\,\mathrm{sign} z_j} R_j`.

    Attributes:
        epsilon: absorbs weak or contradictory relevance; tiny: hardly any.
    """

    epsilon: float = 1e-9

    def made(self) -> Any:
        return EpsilonRule(self.epsilon)


@dataclass(frozen=True)
class Gamma(RelevanceRule):
    r"""The γ rule: weights count as :math:`w + \gamma w^+`, which favours positive contributions.

    :math:`R_i = \sum_j \frac{a_i (w_{ij} + \gamma w_{ij}^+)}{\sum_{i'} a_{i'} (w_{i'j} +
    \gamma w_{i'j}^+) + b_j} R_j`. For inputs that aren't negative, as behind a ReLU; on negative
    ones it favours what counts against, where zennit's ``Gamma`` doesn't.

    Attributes:
        gamma: 0 is the ε rule; large is the α1β0 rule.
    """

    gamma: float = 0.25

    def made(self) -> Any:
        return GammaRule(self.gamma)


@dataclass(frozen=True)
class AlphaBeta(RelevanceRule):
    r"""The α1β0 rule, z+: only positive weights count; for layers whose inputs aren't negative.

    :math:`R_i = \sum_j \frac{a_i w_{ij}^+}{\sum_{i'} a_{i'} w_{i'j}^+ + b_j} R_j`, with the bias as
    it is, as Captum has it. Bach et al. (2015) take only its positive part, and of negative inputs
    those with negative weights, as zennit's ``ZPlus`` does.
    """

    def made(self) -> Any:
        return Alpha1_Beta0_Rule()


@dataclass(frozen=True)
class Bounded(RelevanceRule):
    r"""The z^B rule, for the first layer, whose inputs lie between two bounds.

    :math:`R_i = \sum_j \frac{x_i w_{ij} - l w_{ij}^+ - h w_{ij}^-}{\sum_{i'} (\ldots)} R_j`, which
    leaves biases out. Source: Montavon et al. 2017, Pattern Recognition 65.

    Attributes:
        low: the smallest value of an input.
        high: the largest.
    """

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"expected low < high, got {self.low} and {self.high}")

    def made(self) -> Any:
        return _BoundedRule(self.low, self.high)


@dataclass(frozen=True)
class Composite:
    """Which rule goes to which type of module.

    Attributes:
        dense: for ``nn.Linear``.
        convolution: for convolutions.
        first: for the first of these that runs; None: as its type says.

    Example:
        >>> Composite.epsilon_gamma(0.25, bounds=(0.0, 1.0)).first
        Bounded(low=0.0, high=1.0)
    """

    dense: RelevanceRule = field(default_factory=Epsilon)
    convolution: RelevanceRule = field(default_factory=Epsilon)
    first: RelevanceRule | None = None

    @staticmethod
    def epsilon_gamma(
        gamma: float = 0.25, *, bounds: tuple[float, float] | None = None
    ) -> Composite:
        """Return ε for dense layers, γ for convolutions, z^B at the input if it has bounds."""
        return Composite(Epsilon(), Gamma(gamma), _bounded(bounds))

    @staticmethod
    def alpha1_beta0(*, bounds: tuple[float, float] | None = None) -> Composite:
        """Return ε for dense layers, α1β0 for convolutions, z^B at the input if it has bounds."""
        return Composite(Epsilon(), AlphaBeta(), _bounded(bounds))

    def rule_for(self, module: nn.Module, *, first: bool) -> RelevanceRule:
        """Return the rule of a layer with weights; ``first``: no other one runs before it."""
        return self.rule_of(dense=isinstance(module, nn.Linear), first=first)

    def rule_of(self, *, dense: bool, first: bool) -> RelevanceRule:
        """Return the rule of a dense layer or a convolution; ``first``: it is the first to run."""
        if first and self.first is not None:
            return self.first
        return self.dense if dense else self.convolution


def _bounded(bounds: tuple[float, float] | None) -> RelevanceRule | None:
    return None if bounds is None else Bounded(*bounds)


class _BoundedRule(PropagationRule):  # type: ignore[misc]  # Captum is untyped
    """The z^B rule as Captum runs it: the relevance that came to the output, handed down anew."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high
        self.STABILITY_FACTOR = 1e-9

    def _manipulate_weights(self, module: nn.Module, inputs: Any, outputs: Any) -> None:
        """Change nothing, but keep the layer with all, with positive and with negative weights."""
        self._layers = [_with_weights(module, part) for part in _PARTS]

    def _create_backward_hook_input(self, inputs: Tensor) -> Callable[[Tensor], Tensor]:
        def hook(gradient: Tensor) -> Tensor:
            return self._handed_down(inputs.detach(), self.relevance_output[gradient.device])

        return hook

    def _handed_down(self, inputs: Tensor, relevance: Tensor) -> Tensor:
        low = torch.full_like(inputs, self.low)
        high = torch.full_like(inputs, self.high)
        with with_graph():
            parts = [part.clone().requires_grad_() for part in (inputs, low, high)]
            every, positive, negative = (
                layer(part) for layer, part in zip(self._layers, parts, strict=True)
            )
            whole = every - positive - negative
            sign = torch.where(whole < 0, -1.0, 1.0).to(whole)
            shares = (relevance / (whole + self.STABILITY_FACTOR * sign)).detach()
            slopes = torch.autograd.grad((whole * shares).sum(), parts)
        handed: Tensor = sum(p.detach() * s for p, s in zip(parts, slopes, strict=True))  # type: ignore[assignment]
        return handed


_PARTS: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda weight: weight,
    lambda weight: weight.clamp(min=0),
    lambda weight: weight.clamp(max=0),
)


def _with_weights(module: nn.Module, part: Callable[[Tensor], Tensor]) -> Callable[..., Any]:
    """Return the layer's function without hooks and bias, with a part of its weights."""
    bare = copy.copy(module)
    bare._parameters = dict(module._parameters)
    weight = module._parameters["weight"]
    if weight is None:
        raise ValueError(f"expected a layer with weights, got {type(module).__name__}")
    bare._parameters["weight"] = nn.Parameter(part(weight.detach()), requires_grad=False)
    bare._parameters["bias"] = None
    return bare.forward
