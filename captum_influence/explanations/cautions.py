"""What makes a path a bad one to explain along: said on the page, and as a Python warning."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

from torch import Tensor, nn

from captum_influence.attr.distributions import Distribution
from captum_influence.attr.quantities import ClassScore, Quantity
from captum_influence.data.labels import Names, class_name
from captum_influence.network.predictions import top_predictions
from captum_influence.units.measurement import Answer, answered_at_start
from captum_influence.visualization.numbers import number, percent

__all__ = ["baseline_cautions", "warn_of"]

_TOLERATED = 0.05  # of the quantity's change, that contributions may miss
_TAKEN = 0.5  # of the probability at the baseline: some class always leads, by however little
_CURE = (
    "leave distribution= out, or give a LinearPath from an input that means nothing to this network"
)


def baseline_cautions(
    network: nn.Module,
    inputs: Tensor,
    answer: Answer,
    distribution: Distribution,
    delta: float | None,
    names: Names = None,
) -> tuple[str, ...]:
    """Return what speaks against the baseline of a path, in sentences; none without a baseline.

    Args:
        network: the network.
        inputs: what was explained, (1, ...).
        answer: what the network said of it, and what was asked.
        distribution: over which inputs.
        delta: by how much contributions miss the quantity's change, if they were measured.
        names: of the classes.
    """
    there = answered_at_start(network, inputs, distribution, answer.quantity)
    if there is None:
        return ()
    return tuple(_cautions(answer, there, delta, names))


def warn_of(cautions: tuple[str, ...]) -> None:
    """Warn of each, as from the caller of the verb."""
    for caution in cautions:
        # This function, the verb, and what lets the verb take many inputs stand in between.
        warnings.warn(caution, UserWarning, stacklevel=4)


def _cautions(here: Answer, there: Answer, delta: float | None, names: Names) -> Iterator[str]:
    value, begin = float(here.value[0]), float(there.value[0])
    if begin >= value:
        yield (
            f"At the baseline the quantity is {number(begin)}, not below the {number(value)} of "
            f"the input, so that the path leads from more to less: {_CURE}."
        )
    asked, found = _class(here.quantity), top_predictions(there.output, names, 1)
    if found and found[0].index == asked and found[0].probability > _TAKEN:
        yield (
            f"The network takes the baseline itself for {class_name(found[0].index, names)} "
            f"({percent(found[0].probability)}), so that it isn't neutral: {_CURE}."
        )
    change = value - begin
    if delta is not None and abs(delta) > _TOLERATED * abs(change):
        yield (
            f"The contributions add up to {number(change + delta)}, the quantity changes by "
            f"{number(change)} along the path: take more points, LinearPath(..., n=...)."
        )


def _class(quantity: Quantity) -> int | None:
    """Return the class whose score a quantity asks for, or first of all asks for."""
    terms = getattr(quantity, "terms", ((1.0, quantity),))
    asked = [term for weight, term in terms if weight > 0 and isinstance(term, ClassScore)]
    return asked[0].class_index if asked else None
