"""Propagation: who hands relevance down through a network, and Captum as the one who does."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from captum.attr import LRP
from torch import Tensor, nn

from captum_influence.attr.calls import Given
from captum_influence.attr.quantities import Quantity
from captum_influence.methods.lrp.copies import readied
from captum_influence.methods.lrp.rules import Composite, Epsilon
from captum_influence.network.cuts import Cut
from captum_influence.network.modes import with_graph
from captum_influence.network.reading import gradients
from captum_influence.network.tracing import Moved, obstacles, prepared

__all__ = ["ByCaptum", "Propagated", "Propagation", "Unsuited", "a_bias", "of_floats"]


class Unsuited(ValueError):
    """Relevance would not be propagated rightly through this network; the message says why."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Propagated:
    """What a propagation found.

    Attributes:
        map: shaped like the inputs.
        output: (examples,), the score that was distributed.
        rules: dotted name of a module, or name of a function -> its rule, in words.
        layers: the relevance of each layer that was asked for, in that order.
        biased: the name of a bias that took part, or None.
    """

    map: Tensor
    output: Tensor
    rules: Mapping[str, str]
    layers: tuple[Tensor, ...]
    biased: str | None


class Propagation(ABC):
    """Hands relevance down through a network, which it leaves alone. A subclass is a dataclass."""

    @abstractmethod
    def propagated(
        self,
        model: nn.Module,
        inputs: Given,
        target: Any,
        composite: Composite | None,
        layers: Sequence[Cut],
    ) -> Propagated:
        """Distribute a score over inputs (examples, ...), and note what reaches the layers.

        Args:
            model: the network; it isn't touched.
            inputs: without a graph.
            target: a class, or one per example, or a quantity.
            composite: which rules; None: ε everywhere.
            layers: by name.

        Raises:
            Unsuited: if the network isn't one on which the result would be right.
        """

    def kept(self) -> Propagation:
        """Return it as a result keeps it: without what can't be saved."""
        return self


@dataclass(frozen=True)
class ByCaptum(Propagation):
    """Captum's ``LRP``: for networks of modules that run once, one after another.

    Rules of your own (``module.rule``) go before those of the composite.
    """

    def propagated(
        self,
        model: nn.Module,
        inputs: Given,
        target: Any,
        composite: Composite | None,
        layers: Sequence[Cut],
    ) -> Propagated:
        inputs = of_floats(inputs)
        ready, answer = readied(model, inputs)
        copied = prepared(ready)
        found, order = obstacles(copied, inputs)
        if found:
            raise Unsuited("; ".join(found))
        output = Quantity.ensure(target)(answer).detach()
        rules = _attached(copied, order, composite or Composite())
        _spare_the_idle(copied, order)
        inside = [_contained(copied, cut) for cut in layers]
        with ExitStack() as stack:
            kept = [stack.enter_context(gradients(copied, cut)) for cut in inside]
            values = _distributed(copied, inputs, target)
        scores = [output.reshape(-1, *[1] * (k[0].ndim - 1)) for k in kept]
        inner = tuple(k[0] * s for k, s in zip(kept, scores, strict=True))  # Captum hands down ones
        return Propagated(
            map=values, output=output, rules=rules, layers=inner, biased=a_bias(copied, order)
        )


def of_floats(inputs: Given) -> Tensor:
    """Return the one tensor of floats that modules hand relevance down to.

    Raises:
        Unsuited: if the inputs are something else.
    """
    if isinstance(inputs, Tensor) and inputs.is_floating_point():
        return inputs
    came = inputs.dtype if isinstance(inputs, Tensor) else f"a {type(inputs).__name__}"
    raise Unsuited(f"it takes one tensor of floats, not {came}: ask ByOperations()")


def a_bias(network: nn.Module, names: Iterable[str]) -> str | None:
    """Return the name of a bias of one of these modules, or None if they have none."""
    for name in names:
        if network.get_submodule(name)._parameters.get("bias") is not None:
            return f"{name}.bias"
    return None


def _spare_the_idle(copied: nn.Module, order: Collection[str]) -> None:
    """Let Captum pass modules that never ran: it asks for a rule of every one that there is."""
    for name, module in copied.named_modules():
        if not list(module.children()) and name not in order:
            module.rule = Epsilon().made()


def _contained(copied: nn.Module, cut: Cut) -> Cut:
    """Put a leaf into a container, outside of which Captum's hooks have done their work."""
    name = str(cut.module)
    if isinstance(copied, nn.Sequential) and not name:  # a single module, see prepared()
        name = "0"
    module = copied.get_submodule(name)
    if not list(module.children()) or isinstance(module, Moved):
        parent, _, own = name.rpartition(".")
        setattr(copied.get_submodule(parent), own, nn.Sequential(module))
    return Cut(name, cut.side, call=cut.call, select=cut.select)


def _distributed(copied: nn.Module, inputs: Tensor, target: Any) -> Tensor:
    with with_graph(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that inputs were made to require gradients
        found: Tensor = LRP(copied).attribute(inputs.clone().requires_grad_(), target=target)
    return found.detach()


def _attached(copied: nn.Module, order: tuple[str, ...], composite: Composite) -> dict[str, str]:
    """Give modules without a rule of their own that of the composite; say which has which."""
    rules = {}
    weighted = [n for n in order if isinstance(copied.get_submodule(n), nn.Linear | nn.Conv2d)]
    for name in weighted:
        module = copied.get_submodule(name)
        chosen = composite.rule_for(module, first=name == weighted[0])
        if getattr(module, "rule", None) is None:
            module.rule = chosen.made()  # where Captum looks for it
            rules[name] = repr(chosen)
        else:
            rules[name] = type(module.rule).__name__
    return rules
