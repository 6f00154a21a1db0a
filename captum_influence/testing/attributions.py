"""What every layer attribution promises, as one check."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any, Literal

from captum.attr import LayerAttribution
from torch import Tensor
from torch.nn import Module

from captum_influence.network.cuts import Cut
from captum_influence.network.interventions import intervene
from captum_influence.network.slices import Slice
from captum_influence.testing.agreement import agree, require
from captum_influence.testing.models import linear_model, relu_model
from captum_influence.testing.state import preserved, quietly, unchanged
from captum_influence.testing.values import tensors_of

__all__ = ["check_attribution"]

Tensors = tuple[Tensor, ...]


def check_attribution(
    attribution: LayerAttribution | Callable[[Module, Any], LayerAttribution],
    inputs: Tensor | Tensors | None = None,
    *,
    tolerance: float = 1e-6,
    **arguments: Any,
) -> None:
    """Check what a layer attribution promises.

    Results are shaped like the layer, the same each time and for any ``internal_batch_size``;
    hooks, modes, ``requires_grad``, gradients, inputs and random state are left as they were, also
    after an error; a deep copy agrees. A factory is tried on networks with known answers too.

    Args:
        attribution: an attribution, or a function (model, layer) -> attribution.
        inputs: what to attribute; a factory has inputs of its own.
        tolerance: how far results may differ, relative to the largest.
        arguments: further arguments of ``attribute``, e.g. ``target=1``.

    Raises:
        AssertionError: saying what was violated.

    Example:
        >>> from captum_influence.attr import DistributionalInfluence, Noise
        >>> check_attribution(
        ...     lambda model, layer: DistributionalInfluence(
        ...         model, layer, distribution=Noise(0.1, n=4)
        ...     )
        ... )
    """
    if not isinstance(attribution, LayerAttribution):
        _check_factory(attribution, tolerance)
        return
    if inputs is None:
        raise TypeError("check_attribution needs inputs for an attribution that is not a factory")
    inputs = inputs if isinstance(inputs, tuple) else (inputs,)
    network = attribution.forward_func

    def attribute(of: LayerAttribution = attribution, **more: Any) -> list[Tensor]:
        found = of.attribute(inputs, **arguments, **more)
        return [tensor.detach() for tensor in tensors_of(found)]

    with unchanged(network):
        found = quietly(attribute, inputs, "attribute()")
    _check_shapes(attribution, inputs, found, arguments)
    agree(found, attribute(), tolerance, "called a second time")
    _check_batching(attribution, attribute, found, tolerance)
    _check_failure(network, attribute)
    agree(found, attribute(copy.deepcopy(attribution)), tolerance, "deep-copied")


def _check_factory(factory: Callable[[Module, Any], LayerAttribution], tolerance: float) -> None:
    for known in (linear_model(), relu_model()):
        check_attribution(
            factory(known.model, known.layer), known.inputs, tolerance=tolerance, target=1
        )
    known = linear_model()
    attribution = factory(known.model, known.layer)
    if not getattr(attribution, "multiplies_by_inputs", False):
        found = [t.detach() for t in tensors_of(attribution.attribute(known.inputs, target=1))]
        exact = [known.on_path(known.inputs, known.inputs, 1)]
        agree(exact, found, tolerance, "on a linear network (linear agreement)")


def _check_shapes(
    attribution: LayerAttribution, inputs: Tensors, found: list[Tensor], arguments: dict[str, Any]
) -> None:
    layers = attribution.layer if isinstance(attribution.layer, list) else [attribution.layer]
    side: Literal["input", "output"] = (
        "input" if arguments.get("attribute_to_layer_input") else "output"
    )
    extra = arguments.get("additional_forward_args") or ()
    slice_ = Slice(attribution.forward_func, [Cut.ensure(layer, side) for layer in layers])
    with slice_.opened():
        extra = extra if isinstance(extra, tuple) else (extra,)
        reading = slice_.read(inputs, extra, cuts=slice_.cuts)
    expected = [tuple(z.shape) for cut in reading.cuts for z in cut]
    several = isinstance(getattr(attribution, "quantity", None), (list, tuple))
    came = [tuple(t.shape[1:] if several else t.shape) for t in found]
    require(came == expected, f"attributions have shapes {came}, the layer {expected}")
    require(all(bool(t.isfinite().all()) for t in found), "attributions hold NaN or infinity")


def _check_batching(
    attribution: LayerAttribution,
    attribute: Callable[..., list[Tensor]],
    found: list[Tensor],
    tolerance: float,
) -> None:
    if "internal_batch_size" not in inspect.signature(attribution.attribute).parameters:
        return
    for rows in (1, 2, 7, 1000):
        again = attribute(internal_batch_size=rows)
        agree(found, again, tolerance, f"with internal_batch_size={rows}")


class _Planted(Exception):
    """An error that a check raises in the middle of a network."""


def _check_failure(network: Any, attribute: Callable[..., list[Tensor]]) -> None:
    if not isinstance(network, Module):
        return

    def fail(_: Tensor) -> Tensor:
        raise _Planted

    with unchanged(network), preserved(check="attribute(), when it fails,"):
        try:
            with intervene(network, Cut(network), fail):
                attribute()
        except _Planted:
            return
    raise AssertionError("attribute() swallowed an error of the network")
