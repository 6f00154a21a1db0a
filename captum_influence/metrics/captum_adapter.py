"""Captum's own metrics, put to influences of internal units."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from captum_influence.attr.influence import DistributionalInfluence
from captum_influence.network.cuts import Cut
from captum_influence.network.slices import Slice

__all__ = ["ForCaptumMetrics", "for_captum_metrics"]

Tensors = tuple[Tensor, ...]


def for_captum_metrics(influence: DistributionalInfluence) -> ForCaptumMetrics:
    """Return what ``captum.metrics`` asks for, of one layer and one quantity.

    ``sensitivity_max`` wants explanations as tuples; ``infidelity`` wants attributions shaped like
    the inputs of the function it perturbs, which for a layer is the network from there onward.

    Raises:
        ValueError: if the influence is of several layers or several quantities.

    Example:
        >>> from captum.metrics import infidelity, sensitivity_max
        >>> model = torch.nn.Sequential(
        ...     torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2)
        ... )
        >>> x = torch.rand(5, 3)
        >>> adapter = for_captum_metrics(DistributionalInfluence(model, "0"))
        >>> sensitivity_max(adapter.explain, x, target=1).shape
        torch.Size([5])
        >>> infidelity(
        ...     adapter.onward(),
        ...     lambda units: (0.1 * units, 0.9 * units),
        ...     adapter.units(x),
        ...     adapter.explain(x, target=1),
        ...     additional_forward_args=x,
        ...     target=1,
        ... ).shape
        torch.Size([5])
    """
    if isinstance(influence.layer, (list, tuple)) or isinstance(influence.quantity, (list, tuple)):
        raise ValueError(
            "captum.metrics take one explanation: expected one layer and one quantity, got a list"
        )
    return ForCaptumMetrics(influence)


@dataclass(frozen=True, eq=False)
class ForCaptumMetrics:
    """The functions and tensors that ``captum.metrics`` take; see :func:`for_captum_metrics`."""

    influence: DistributionalInfluence

    def explain(self, inputs: Tensor | Tensors, **arguments: Any) -> Tensors:
        """Return the influences as a tuple: the ``explanation_func`` of ``sensitivity_max``."""
        found = self.influence.attribute(inputs, **arguments)
        return found if isinstance(found, tuple) else (found,)

    def units(self, *inputs: Any) -> Tensors:
        """Return the units for the network's arguments: the ``inputs`` of ``infidelity``."""
        slice_ = self._slice()
        with slice_.opened():
            return slice_.read(inputs, (), cuts=slice_.cuts).cuts[0]

    def onward(self, tensors: int = 1) -> Callable[..., Any]:
        """Return the network from the layer onward: the ``forward_func`` of ``infidelity``.

        It takes the units, as many arguments as the layer has ``tensors``, then the network's own
        arguments, which go into ``additional_forward_args``.
        """

        def onward(*units_and_inputs: Any) -> Any:
            units, inputs = units_and_inputs[:tensors], units_and_inputs[tensors:]
            slice_ = self._slice()
            with slice_.opened():
                return slice_.read(inputs, (), overwrite={slice_.cuts[0]: units}).output

        return onward

    def _slice(self) -> Slice:
        return Slice(
            self.influence.forward_func,
            [Cut.ensure(self.influence.layer)],
            measure_at=self.influence.measure_at,
        )
