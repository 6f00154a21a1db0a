"""Layer-wise relevance propagation by Captum's rules, made safe: on a copy, checked, accounted."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from captum.attr import LRP
from torch import Tensor, nn

from captum_influence.attr import Quantity
from captum_influence.explain.relevance_rules import AlphaBeta, Bounded, Epsilon, Gamma, Rule
from captum_influence.explain.traceable import obstacles, prepared

__all__ = ["Composite", "Relevance", "relevance"]


@dataclass(frozen=True)
class Composite:
    """Which rule goes to which type of module.

    Attributes:
        dense: for ``nn.Linear``.
        convolution: for ``nn.Conv2d``.
        first: for the first of these that runs; None: as its type says.

    Example:
        >>> Composite.epsilon_gamma(0.25, bounds=(0.0, 1.0)).first
        Bounded(low=0.0, high=1.0)
    """

    dense: Rule = field(default_factory=Epsilon)
    convolution: Rule = field(default_factory=Epsilon)
    first: Rule | None = None

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


@dataclass(frozen=True, eq=False)
class Relevance:
    """A relevance map and how much of the output it accounts for.

    Attributes:
        map: shaped like the inputs.
        output: (examples,), the score that was distributed.
        conservation_error: (examples,), how far the map's sum is from the output, as a share of the
            output's size. What is missing was absorbed by biases and by ε.
        rules: dotted name of a module -> the name of its rule.
    """

    map: Tensor
    output: Tensor
    conservation_error: Tensor
    rules: Mapping[str, str]


def relevance(
    model: nn.Module,
    inputs: Tensor,
    target: Any = None,
    *,
    composite: Composite | None = None,
    tolerance: float = 1e-3,
) -> Relevance:
    r"""Distribute a score over the inputs, so that :math:`\sum_i R_i = f(x)` without biases.

    The rules are Captum's. They run on a deep copy, so that neither weights nor rules of your own
    (``module.rule``, which go first) are touched, also after an error. Captum is silently wrong
    where relevance passes through more than modules; that is looked for first, by watching one
    forward pass, and refused.

    Args:
        model: the network; in eval mode on the copy.
        inputs: (examples, ...).
        target: a class, or one per example.
        composite: which rules; None: ε everywhere.
        tolerance: a conservation error above it is warned about, with its likely reason.

    Raises:
        ValueError: if the network adds, activates or pools by functions, runs a module twice, or
            has modules that Captum has no rule for; each is named.

    Source: Bach et al. 2015, PLoS ONE 10(7); composites: Montavon et al. 2019, LNCS 11700.

    Example:
        >>> model = torch.nn.Sequential(
        ...     torch.nn.Linear(3, 4, bias=False),
        ...     torch.nn.ReLU(),
        ...     torch.nn.Linear(4, 2, bias=False),
        ... )
        >>> bool(relevance(model, torch.rand(2, 3), 0).conservation_error.max() < 1e-3)
        True
    """
    copied = prepared(model)
    detached = inputs.detach()
    found, order = obstacles(copied, detached)
    if found:
        raise ValueError(
            "relevance would not be propagated rightly through this network: "
            + "; ".join(found)
            + ". Write these parts as modules that run once, or use another method"
        )
    rules = _attached(copied, order, composite or Composite())
    with torch.no_grad():
        output = Quantity.ensure(target)(copied(detached)).detach()
    values = _propagated(copied, detached, target)
    error = (values.flatten(1).sum(1) - output).abs() / output.abs()
    error = torch.where(output == 0, values.flatten(1).sum(1).abs(), error)
    _warn(copied, error, tolerance)
    return Relevance(values, output, error, rules)


def _propagated(copied: nn.Module, inputs: Tensor, target: Any) -> Tensor:
    with torch.enable_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that inputs were made to require gradients
        found: Tensor = LRP(copied).attribute(inputs.clone().requires_grad_(), target=target)
    return found.detach()


def _attached(copied: nn.Module, order: tuple[str, ...], composite: Composite) -> dict[str, str]:
    """Give modules without a rule of their own that of the composite; say which has which."""
    rules = {}
    weighted = [n for n in order if isinstance(copied.get_submodule(n), nn.Linear | nn.Conv2d)]
    for name in weighted:
        module = copied.get_submodule(name)
        chosen = composite.convolution if isinstance(module, nn.Conv2d) else composite.dense
        if name == weighted[0] and composite.first is not None:
            chosen = composite.first
        if getattr(module, "rule", None) is None:
            module.rule = chosen.made()  # where Captum looks for it
            rules[name] = repr(chosen)
        else:
            rules[name] = type(module.rule).__name__
    return rules


def _warn(copied: nn.Module, error: Tensor, tolerance: float) -> None:
    if bool((error <= tolerance).all()):
        return
    named = [n for n, _ in copied.named_parameters() if n.rpartition(".")[2] == "bias"]
    biased = f"biases ({named[0]}, ...) absorb relevance" if named else ""
    reason = biased or "rules lose it, where positive and negative parts cancel or nothing passes"
    warnings.warn(
        f"relevance is not conserved: the map's sum is off the output by {float(error.max()):.3g} "
        f"of it, more than tolerance={tolerance}; {reason}",
        RuntimeWarning,
        stacklevel=3,
    )


def _bounded(bounds: tuple[float, float] | None) -> Rule | None:
    return None if bounds is None else Bounded(*bounds)
