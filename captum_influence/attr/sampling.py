"""Where points live: which inputs they move, or behind which embedding."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from captum_influence.attr.calls import Call
from captum_influence.attr.distributions import Distribution
from captum_influence.attr.inputs import names_inputs
from captum_influence.attr.integral.engine import read
from captum_influence.attr.integral.last_scores import scored_like
from captum_influence.attr.integral.problem import Options, Problem
from captum_influence.attr.points import Tensors
from captum_influence.network.cuts import Cut, Forward, unwrapped
from captum_influence.network.passes.arguments import Place
from captum_influence.network.passes.embedding import embedding_of
from captum_influence.network.passes.holding import modules_of
from captum_influence.network.slices import Slice

__all__ = ["Sampling"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Sampling:
    """Where the points of a distribution live.

    Attributes:
        moved: the places of the inputs that they move, or that are embedded at ``sample_at``.
        sample_at: the layer where they live; None: the inputs.
    """

    moved: tuple[Place, ...]
    sample_at: Cut | None = None

    @staticmethod
    def of(
        call: Call, distribution: Distribution, sample_at: Cut | None, forward: Forward
    ) -> Sampling:
        """Return where points live; token ids, which have nothing in between, where they embed.

        Raises:
            TypeError: if points move floats and whole numbers at once.
            ValueError: if nothing embeds whole numbers.
        """
        moved = _moved(call, distribution)
        between = any(part.interpolates for _, part in distribution.strata())
        inputs = {place: call.inputs[place] for place in moved}
        if sample_at is not None or not between or all(map(_is_dense, inputs.values())):
            return Sampling(moved, sample_at)
        if len(moved) > 1:
            kinds = {place: str(x.dtype) for place, x in inputs.items()}
            raise TypeError(
                "expected points to move inputs of floats, or the embedding of one input of whole "
                f"numbers, got {kinds}: name those that move, as by Inputs({{name: ...}}) or by "
                "None for the others, or set sample_at="
            )
        found = _embedding(call, moved, forward)
        _log.info("the points live at the %s, which embeds input %r", found, moved[0])
        return Sampling(moved, found)

    def located(self, call: Call, problem: Problem, options: Options) -> Distribution:
        """Return the problem's distribution, started from activations instead of inputs' names."""

        def locate(start: Any, *, is_set: bool = False) -> Any:
            if not names_inputs(start):
                return start
            if self.sample_at is None and not is_set:
                found = call.values(start, "baseline")
                return tuple(found.get(place, call.inputs[place]) for place in self.moved)
            other = (call.of_set if is_set else call.changed)(start, "baseline")
            inputs, arguments = other.split(self.moved, problem.slice.admitted)
            if self.sample_at is None:
                return inputs
            settled = scored_like(problem.slice.settled(inputs, arguments), problem)
            there = replace(problem, inputs=inputs, arguments=settled)
            cut = problem.slice.sample_at
            return read(there, inputs, options, cuts=[cut], cuts_only=True).cuts[0] if cut else ()

        return problem.distribution.located(locate)


def _moved(call: Call, distribution: Distribution) -> tuple[Place, ...]:
    """Return the places of the inputs that points move: those that what they start from changes."""
    starts: list[Any] = []

    def look(start: Any, *, is_set: bool = False) -> Any:
        starts.append(start)
        return start

    distribution.located(look)
    named = [call.by_place(start, "baseline") for start in starts if names_inputs(start)]
    places = [p for p in call.inputs if any(p in n for n in named) and "mask" not in str(p)]
    changed = [p for p in places if any(_differs(n, p, call.inputs[p]) for n in named)]
    leading = [place for place in call.leading if place in places]
    return tuple(changed or leading or places or call.leading)


def _differs(named: Mapping[Place, Any], place: Place, own: Tensor) -> bool:
    value = named.get(place)
    if not isinstance(value, Tensor):
        return value is not None
    value = value.to(own.device)
    if (
        value.ndim
        and own.ndim
        and value.shape[-1:] == own.shape[-1:]
        and len(value) in (1, len(own))
    ):
        return not bool((value == own).all())
    return True


def _is_dense(x: Tensor) -> bool:
    return x.is_floating_point() or x.is_complex()


def _embedding(call: Call, moved: tuple[Place, ...], forward: Forward) -> Cut:
    network = unwrapped(forward)
    slice_ = Slice(forward, [])
    inputs, arguments = call.split(moved, slice_.admitted)
    one: Tensors = tuple(x[:1] for x in inputs)
    bound = arguments.rows(torch.zeros(1, dtype=torch.long))
    with slice_.opened():
        return embedding_of(
            modules_of(network), one[0], lambda: bound.called(network, one), moved[0]
        )
