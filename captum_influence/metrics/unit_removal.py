"""What a network says without some units of a layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from captum_influence.attr.quantities import Quantity
from captum_influence.metrics.removal import Removal
from captum_influence.network.cuts import layer_name
from captum_influence.network.inputs import network_of
from captum_influence.network.substitution import reruns
from captum_influence.reports.words import counted
from captum_influence.units.axes import Axis
from captum_influence.units.options import Chosen
from captum_influence.units.ranking import UnitInfluence
from captum_influence.units.replacement import MeanActivation, Replace, Replacement

__all__ = ["RemovedUnits", "removing_units", "unit_names"]


@dataclass(frozen=True, eq=False, kw_only=True)
class RemovedUnits(Removal):
    """A network that can be asked to go without some units of a layer.

    Attributes:
        names: what each unit is called.
        facts: what is asked of which layer, in words.
    """

    names: tuple[str, ...]
    facts: Mapping[str, Any]


@contextmanager
def removing_units(
    model: nn.Module,
    inputs: Tensor,
    quantity: Quantity,
    replace: Replace | Replacement,
    chosen: Chosen,
) -> Iterator[RemovedUnits]:
    """Open a network at a layer, so that units can be removed there.

    Raises:
        ValueError: if the layer has no such units, or there is no such replacement.
    """
    network, cut = network_of(model, chosen.run.output), chosen.units.cut
    with reruns(network, cut, inputs, chosen.run.internal_batch_size) as runs:
        axis = chosen.units.along(tuple(runs.activations.shape[1:]), network, inputs)
        fixed = quantity.resolve(runs.output)

        def answer(changed: Tensor, examples: Tensor) -> Tensor:
            return fixed.rows(examples)(runs.rerun(changed, examples)).detach()

        names = unit_names(axis)
        yield RemovedUnits(
            quantity=fixed(runs.output).detach(),
            features=len(names),
            answer=answer,
            own=runs.activations,
            other=_replaced(runs.activations, replace, network, chosen, axis),
            spread=axis.spread,
            run=chosen.run,
            names=names,
            facts={
                "network": type(network).__name__,
                "layer": layer_name(network, cut),
                "units": counted(len(names), axis.name),
                "quantity": quantity.in_words(chosen.shown.class_names),
                "examples": len(inputs),
                "replaced by": _in_words(replace),
            },
        )


def unit_names(axis: Axis) -> tuple[str, ...]:
    """Return what each unit is called, as rankings call it."""
    indices = np.ndindex(*axis.sizes)
    units = (UnitInfluence(axis.name, i, 0.0, 0.0, label=axis.label(i)) for i in indices)
    return tuple(unit.name for unit in units)


def _in_words(replace: Replace | Replacement) -> str:
    if isinstance(replace, int | float):
        return f"{replace:g}"
    words = {"mean": "its mean", "resample": "that of another example"}
    return words.get(replace, replace) if isinstance(replace, str) else type(replace).__name__


def _replaced(
    own: Tensor, replace: Replace | Replacement, network: nn.Module, chosen: Chosen, axis: Axis
) -> Tensor:
    """Return what stands for removed units, shaped like all of them."""
    if isinstance(replace, str) and replace in ("mean", "resample"):
        if len(own) < 2:
            raise ValueError(
                f'replace="{replace}" of a single example would put back what was removed: ask of '
                "several, or pass a Replacement made of others, as MeanActivation.of(...)"
            )
        if replace == "resample":
            return own[_others(len(own), chosen.run.seed).to(own.device)]
        return MeanActivation.of([own]).pooled(axis).like(own).expand_as(own)
    known = Replacement.ensure(replace, network, chosen.units.cut)
    return known.like(own).expand_as(own)


def _others(examples: int, seed: int) -> Tensor:
    """Return for each example another one: a cycle through all, so that nobody gets its own."""
    cycle = torch.randperm(examples, generator=torch.Generator().manual_seed(seed))
    return torch.empty_like(cycle).scatter_(0, cycle, cycle.roll(1))
