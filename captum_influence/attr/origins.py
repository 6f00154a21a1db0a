"""Where a network's inputs become floats, and what it does where a path begins."""

from __future__ import annotations

from torch import Tensor, nn

from captum_influence.attr.calls import Call
from captum_influence.attr.distributions import Distribution
from captum_influence.attr.integral.problem import Options, Problem
from captum_influence.attr.paths import LinearPath
from captum_influence.attr.sampling import Sampling
from captum_influence.data.items import Accepts
from captum_influence.network.cuts import Cut
from captum_influence.network.passes.seen import Reading
from captum_influence.network.slices import Slice

__all__ = ["at_start", "begins_somewhere", "first_floats"]


def first_floats(network: nn.Module, inputs: Tensor) -> Cut:
    """Return where the inputs are floats: themselves, or of token ids what embeds them.

    Raises:
        ValueError: if nothing embeds whole numbers.
    """
    if inputs.is_floating_point():
        return Cut(network, "input")
    sampling = Sampling.of(_call(network, inputs), LinearPath(), None, network)
    return sampling.sample_at or Cut(network, "input")


def begins_somewhere(distribution: Distribution, inputs: Tensor) -> bool:
    """Return whether displacements count from where a distribution starts, as those of a path."""
    if inputs.is_floating_point():
        return distribution.reference((inputs,)) is not None
    # Token ids have nothing between them: what its start is shaped like isn't known yet.
    return type(distribution).reference is not Distribution.reference


def at_start(
    network: nn.Module, inputs: Tensor, distribution: Distribution, cut: Cut | None = None
) -> Reading | None:
    """Return what passes a cut, and what the network answers, where a distribution starts.

    Args:
        network: the network.
        inputs: (examples, ...); a path between token ids runs behind their embedding.
        distribution: over which inputs.
        cut: where it is read; None: nowhere.

    Returns:
        None if the distribution starts nowhere, as :class:`Point`.
    """
    if not begins_somewhere(distribution, inputs):
        return None
    call = _call(network, inputs)
    sampling = Sampling.of(call, distribution, None, network)
    slice_ = Slice(network, [] if cut is None else [cut], sample_at=sampling.sample_at)
    with slice_.opened():
        given, arguments = call.split(sampling.moved, slice_.admitted)
        problem = Problem(slice_, distribution, (), given, slice_.settled(given, arguments))
        located = sampling.located(call, problem, Options())
        entry = slice_.sample_at
        origin = given if entry is None else slice_.read(given, (), cuts=[entry]).cuts[0]
        begin = located.reference(origin)
        if begin is None:
            return None
        if entry is None:
            return slice_.read(begin, (), cuts=slice_.cuts)
        return slice_.read(given, (), cuts=slice_.cuts, overwrite={entry: begin})


def _call(network: nn.Module, inputs: Tensor) -> Call:
    return Call.of(inputs, (), {}, Accepts.of(network))
