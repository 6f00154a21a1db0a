"""The units of a layer: where they are, what counts as one, and how its entries are pooled."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor, nn

from captum_influence.network.anatomy.parts import Attention, Neurons
from captum_influence.network.cuts import Cut
from captum_influence.units.axes import Aggregate, Axis, AxisLike
from captum_influence.units.selection import NamedUnit, Selection

__all__ = ["LayerLike", "UnitsOf"]


@dataclass(frozen=True, eq=False)
class UnitsOf:
    """The units of a layer.

    Attributes:
        layer: a module, a dotted name or a Cut; or a part of an :class:`Anatomy`: an attention,
            whose units are its heads, or a perceptron's neurons.
        axis: what one unit is: ``"channel"`` (of a cut in a basis: ``"concept"``),
            ``"position"``, ``"neuron"``, ``"head"``, the dimension that tells units apart, or a
            grouping: see :func:`rank_units`.
        heads: how many heads share the last dimension, for ``axis="head"`` on (N, T, C).
        aggregate: a unit's entries are pooled by ``"sum"``, ``"mean"`` or ``"max"``.
    """

    layer: nn.Module | str | Cut | Attention | Neurons
    axis: AxisLike = "channel"
    heads: int | None = None
    aggregate: Aggregate = "sum"

    def __post_init__(self) -> None:
        if self.aggregate not in ("sum", "mean", "max"):
            raise ValueError(f'expected aggregate="sum", "mean" or "max", got {self.aggregate!r}')
        if isinstance(self.layer, Attention):
            axis = "head" if self.axis == "channel" else self.axis
            object.__setattr__(self, "axis", axis)
            object.__setattr__(self, "heads", self.heads or self.layer.heads)
        _ = self.cut  # which refuses what is no layer

    @staticmethod
    def ensure(value: LayerLike) -> UnitsOf:
        """Return units as they are, and a layer's channels."""
        return value if isinstance(value, UnitsOf) else UnitsOf(value)

    @property
    def cut(self) -> Cut:
        """Where they are."""
        if isinstance(self.layer, Attention | Neurons):
            return self.layer.cut
        return Cut.ensure(self.layer)

    def selected(self, units: Iterable[NamedUnit] | Selection) -> Selection:
        """Return some of them."""
        return Selection.ensure(units, self.axis, self.heads)

    def along(self, shape: tuple[int, ...], model: nn.Module, inputs: Tensor) -> Axis:
        """Return their axis in a network's layer of which one example has this shape.

        Args:
            shape: of one example's units.
            model: the network, which says where channels are.
            inputs: that it takes.

        Raises:
            ValueError: if it has no such units, or it isn't clear where channels are.
        """
        return Axis.at(self.axis, shape, self.heads, model, self.cut, inputs)


LayerLike = nn.Module | str | Cut | Attention | Neurons | UnitsOf
