"""Relevance by what happens in a pass: transformers, gates, norms, and modules that run often."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from captum_influence.attr.calls import Call, Given
from captum_influence.attr.distributions import Point
from captum_influence.attr.influence import DistributionalInfluence
from captum_influence.attr.integral.execution import Execution
from captum_influence.attr.paths import LinearPath
from captum_influence.attr.quantities import Quantity
from captum_influence.attr.sampling import Sampling
from captum_influence.data.items import Accepts
from captum_influence.methods.lrp.captum_backend import Propagated, Propagation, Unsuited
from captum_influence.methods.lrp.operations import Operations
from captum_influence.methods.lrp.rules import Bounded, Composite
from captum_influence.network.cuts import Cut, tensors_in
from captum_influence.network.modes import without_graph
from captum_influence.network.passes.within import passes_within
from captum_influence.network.recording import quiet

__all__ = ["ByOperations"]


@dataclass(frozen=True)
class ByOperations(Propagation):
    r"""Rules for functions rather than modules: also through attention, norms and gates.

    While the network runs, each function that follows the inputs gets the slopes of its rule, and
    relevance is a value times the slope that comes back. Sums share out by ratio, linear layers by
    the composite's rules, a product gives half to each factor, an activation hands on what comes, a
    norm's scale is held constant, softmax goes by its slope:
    :math:`R_i = x_i (R_i' - s_i \sum_j R_j')`. The network itself runs, not a copy of it; nothing
    of it changes.

    Attributes:
        through_softmax: whether queries and keys get relevance, too. If not, where attention looks
            is held constant, and all goes by the values: nothing is lost in softmax, and what
            made it look there isn't seen.

    Source: Achtibat et al. 2024, arXiv 2402.05602; without softmax, Ali et al. 2022, arXiv
    2202.07304.

    Example:
        >>> ByOperations()
        ByOperations(through_softmax=True)
    """

    through_softmax: bool = True

    def propagated(
        self,
        model: nn.Module,
        inputs: Given,
        target: Any,
        composite: Composite | None,
        layers: Sequence[Cut],
    ) -> Propagated:
        rules = composite or Composite()
        if isinstance(rules.first, Bounded):
            raise Unsuited(f"{rules.first!r} is a rule of the input that functions don't have")
        named = dict(model.named_parameters())
        operations = Operations(rules, named, through_softmax=self.through_softmax)
        with quiet(model):
            start, of_ids = _start(model, inputs)
            with passes_within(model, operations):
                found = DistributionalInfluence(
                    model,
                    [start, *layers],
                    distribution=Point(),
                    quantity=Quantity.ensure(target),
                    multiply_by_inputs=True,
                    execution=Execution.plain(),
                ).attribute(inputs)
            output = _score(model, inputs, target)
        if operations.unruled:
            raise Unsuited("; ".join(f"the function {name}" for name in operations.unruled))
        first, *rest = (_only(values) for values in found)
        return Propagated(
            map=first.sum(-1) if of_ids else first,
            output=output,
            rules=operations.rules,
            layers=tuple(rest),
            biased=_biased(operations.constants, named),
        )


def _biased(constants: Iterable[str], parameters: Container[str]) -> str | None:
    """Return what took relevance up: two of them, parameters first, or None."""
    named = sorted(constants, key=lambda name: name not in parameters)
    return ", ".join(named[:2]) or None


def _start(model: nn.Module, inputs: Given) -> tuple[Cut, bool]:
    """Return where relevance ends: at the one input of floats, or where whole numbers become some.

    Raises:
        Unsuited: if there are several inputs.
    """
    call = Call.of(inputs, (), {}, Accepts.of(getattr(model, "stands_for", model)))
    sampling = Sampling.of(call, LinearPath(), None, model)
    if len(sampling.moved) != 1:
        raise Unsuited(f"it has {len(sampling.moved)} inputs, and relevance ends at one")
    if sampling.sample_at is not None:
        return sampling.sample_at, True
    own = call.inputs[sampling.moved[0]].shape[1:]
    return Cut(model, "input", select=_floats_of(own)), False


def _floats_of(shape: torch.Size) -> Callable[[Any], Tensor]:
    def pick(value: Any) -> Tensor:
        floats = [tensor for tensor in tensors_in(value) if tensor.is_floating_point()]
        return next(tensor for tensor in floats if tensor.shape[1:] == shape)

    return pick


def _only(found: Any) -> Tensor:
    if isinstance(found, tuple):
        raise Unsuited(f"a layer hands on {len(found)} tensors: pick one with Cut(layer, select=)")
    values: Tensor = found.detach()
    return values


def _score(model: nn.Module, inputs: Given, target: Any) -> Tensor:
    """Return the score of each example, (examples,)."""
    call = Call.of(inputs, (), {}, Accepts.of(getattr(model, "stands_for", model)))
    with without_graph():
        output = model(**inputs) if isinstance(inputs, Mapping) else model(inputs)
        quantity = Quantity.ensure(target).seeing(call.named).resolve(output)
        return quantity.rows(torch.arange(call.examples))(output).detach()
