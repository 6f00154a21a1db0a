"""What has to be measured of a network for an explanation, through the public measure alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from captum_influence.attr.distributions import Distribution, Point
from captum_influence.attr.influence import DistributionalInfluence
from captum_influence.attr.quantities import Function, Quantity, Unit
from captum_influence.network.cuts import Cut
from captum_influence.units.axes import Aggregate, Axis, AxisLike, Selector
from captum_influence.units.ranking import By, Focus, Ranking, ranking_of

__all__ = ["Measurement", "ask", "observe", "shown"]


def observe(model: nn.Module, inputs: Tensor, cut: Cut) -> Tensor:
    """Return the activations at a cut for a batch; nothing of the model changes."""
    seen: list[Tensor] = []

    def look(value: Any) -> Tensor:
        seen.append(_one_tensor(value, cut).detach().clone())
        return cast(Tensor, value).reshape(len(value), -1).sum(dim=1)

    _look(model, inputs, look, cut)
    return torch.cat(seen)


def ask(model: nn.Module, inputs: Tensor, quantity: Quantity) -> tuple[Any, Tensor]:
    """Return the network's output for a batch and the quantity there, (examples,)."""
    seen: list[tuple[Any, Tensor]] = []

    def look(output: Any) -> Tensor:
        value = quantity.resolve(output)(output)
        seen.append((output, value.detach()))
        return value

    _look(model, inputs, look)
    return seen[0]


def _look(
    model: nn.Module, inputs: Tensor, look: Callable[[Any], Tensor], cut: Cut | None = None
) -> None:
    """Let a function see what passes a cut, or the output, in one plain pass."""
    measure = DistributionalInfluence(
        model,
        Cut(model, "input"),
        distribution=Point(),
        quantity=Function(look),
        measure_at=cut,
    )
    measure.attribute(inputs, internal_batch_size=None if cut else len(inputs))


@dataclass(frozen=True, eq=False)
class Measurement:
    """One question put to one network at one layer, ready to be measured on any batch.

    Attributes:
        model: the network.
        cut: the layer.
        quantity: what is asked, resolved on the explained instance.
        distribution: over which inputs.
        by: influences, or contributions: influences times displacements.
        aggregate: how a unit's entries are pooled.
        focus: whether maps show what raises the quantity through a unit, or what raises the unit.
        rows: (example, point) pairs per pass; None: chosen.
        show_progress: show progress bars.
    """

    model: nn.Module
    cut: Cut
    quantity: Quantity
    distribution: Distribution
    by: By
    aggregate: Aggregate
    focus: Focus = "quantity"
    rows: int | None = None
    show_progress: bool = False

    def __post_init__(self) -> None:
        if self.by not in ("influence", "contribution"):
            raise ValueError(f'expected by="contribution" or by="influence", got {self.by!r}')
        if self.focus not in ("quantity", "unit"):
            raise ValueError(f'expected focus="quantity" or focus="unit", got {self.focus!r}')

    def units(self, inputs: Tensor) -> tuple[Tensor, float | None]:
        """Return what each unit did (examples, ...), and for contributions the first's delta."""
        return self._measured(inputs, self.by == "contribution")

    def _measured(self, inputs: Tensor, multiply: bool) -> tuple[Tensor, float | None]:
        measure = DistributionalInfluence(
            self.model,
            self.cut,
            distribution=self.distribution,
            quantity=self.quantity,
            multiply_by_inputs=multiply,
        )
        found = measure.attribute(
            inputs,
            internal_batch_size=self.rows,
            return_convergence_delta=multiply,
            show_progress=self.show_progress,
        )
        values, delta = (found[0], float(found[1][0])) if multiply else (found, None)
        return _one_tensor(values, self.cut), delta

    def rank(
        self, inputs: Tensor, axis: AxisLike, top: int, heads: int | None = None
    ) -> tuple[Ranking, float | None]:
        """Return the layer's ranked units with their activations, and the delta."""
        values, delta = self.units(inputs)
        found = Axis.ensure(axis, tuple(values.shape[1:]), heads)
        begin = self.distribution.reference((inputs,)) if self.by == "contribution" else None
        reference = None if begin is None else observe(self.model, begin[0], self.cut)
        activations = observe(self.model, inputs, self.cut)
        ranking = ranking_of(values, found, self.by, self.aggregate, top, activations, reference)
        return ranking, delta

    def maps(self, inputs: Tensor, selectors: Sequence[Selector]) -> Tensor:
        """Return what each pixel does to or through each unit: (units, height, width).

        All units are answered in one pass: a second slice, from the input to the layer. Colours
        are added up, with their signs.
        """
        measure = DistributionalInfluence(
            self.model,
            Cut(self.model, "input"),
            distribution=self.distribution,
            quantity=self._meanings(inputs, selectors),
            measure_at=self.cut,
            multiply_by_inputs=self.by == "contribution",
        )
        pixels: Tensor = measure.attribute(
            inputs, internal_batch_size=self.rows, show_progress=self.show_progress
        )
        exact = pixels.to(torch.promote_types(pixels.dtype, torch.float32))
        return exact[:, 0].sum(dim=1).cpu()  # (units, 1, channels, height, width) before

    def _meanings(self, inputs: Tensor, selectors: Sequence[Selector]) -> list[Quantity]:
        if self.focus == "unit":
            return [Unit(cast(Any, selector), reduce=self.aggregate) for selector in selectors]
        influences, _ = self._measured(inputs, multiply=False)
        return [_Through(selector, influences[0]) for selector in selectors]


@dataclass(frozen=True, eq=False)
class _Through(Quantity):
    """A unit's entries, each weighed by its own influence on what is asked: what it passes on.

    A channel may be active in many places and matter in few; without the weights, a map of the
    channel shows them all.
    """

    selector: Selector
    influences: Tensor

    def __call__(self, output: Any) -> Tensor:
        everything: Selector = (slice(None),)
        entries = cast(Tensor, output)[everything + self.selector]
        weighed = entries * self.influences[self.selector]
        return weighed.reshape(len(entries), -1).sum(dim=1)


def shown(image: Tensor) -> Tensor:
    """Rescale an image (channels, H, W) to [0, 1] and three colours, to be looked at."""
    image = image.detach().float().cpu()
    low, high = float(image.min()), float(image.max())
    scaled = (image - low) / (high - low) if high > low else torch.zeros_like(image)
    return scaled if len(scaled) == 3 else scaled.mean(dim=0, keepdim=True).repeat(3, 1, 1)


def _one_tensor(value: Any, cut: Cut) -> Tensor:
    if isinstance(value, Tensor) and value.ndim > 0:
        return value
    raise TypeError(
        f"expected one tensor (examples, ...) at the {cut}, got a {type(value).__name__}: pick "
        "one of its tensors with Cut(layer, select=...)"
    )
