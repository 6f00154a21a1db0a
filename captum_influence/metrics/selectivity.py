"""Which units answer to something: how well a unit's activation tells with it from without."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from captum_influence.data.frames import frame
from captum_influence.metrics.ranks import average_ranks
from captum_influence.metrics.removal import Layer
from captum_influence.network.cuts import Cut
from captum_influence.network.slices import Slice
from captum_influence.visualization.lines import line_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Selectivity", "unit_selectivity"]


@dataclass(frozen=True, eq=False)
class Selectivity:
    """How well each unit tells inputs with something from inputs without it.

    Attributes:
        auc: (units,), in [0, 1]; 1: always larger with it, 0.5: tells nothing, 0: always smaller.
        shift: (units,), mean activation with it less the mean without.
    """

    auc: Tensor
    shift: Tensor

    def detectors(self, least: float = 0.95) -> list[int]:
        """Return the units with an AUC of at least ``least``, the surest first."""
        order = self.auc.argsort(descending=True, stable=True).tolist()
        return [unit for unit in order if self.auc[unit] >= least]

    def to_frame(self) -> Any:
        """Return a pandas table with one row per unit."""
        return frame({"unit": range(len(self.auc)), "auc": self.auc, "shift": self.shift})

    def plot(self) -> Figure:
        """Draw the AUC of each unit, the surest first."""
        values = self.auc.sort(descending=True).values
        lines = {"AUC": values, "random: tells nothing": torch.full_like(values, 0.5)}
        places = range(1, len(values) + 1)
        return line_figure(places, lines, xlabel="units, by AUC", ylabel="AUC, with and without")


def unit_selectivity(
    model: nn.Module,
    layer: Layer,
    present: Tensor,
    absent: Tensor,
    *,
    axis: int = 1,
    rows: int = 64,
) -> Selectivity:
    r"""Compare each unit's mean activation on inputs with something, and without it.

    :math:`\mathrm{AUC}_j = P(z_j > z'_j) + \frac12 P(z_j = z'_j)`, with z drawn from inputs with
    it and z' from inputs without: the area under the ROC curve. Range [0, 1]. Pitfall: it says
    that a unit answers to it, or to what comes with it, not that the network uses the unit: remove
    it (:func:`ablate_units`). So let the two sets differ in nothing else.

    Args:
        model: the network.
        layer: a module, a name or a :class:`Cut`, where one tensor passes.
        present: (examples, ...), inputs with it.
        absent: (examples, ...), inputs without.
        axis: the layer's dimension that tells units apart.
        rows: inputs per pass.

    Source: Mann and Whitney 1947, Annals of Mathematical Statistics 18(1).

    Raises:
        ValueError: if there are no inputs, or the layer has no such axis.

    Example:
        >>> from captum_influence.demo import handwired_networks
        >>> wired = handwired_networks()["shortcut_unit"]  # two pictures with a rail, one without
        >>> found = unit_selectivity(wired.model, "units", wired.inputs[1:2], wired.inputs[2:])
        >>> [wired.roles[unit] for unit in found.detectors()]
        ['shortcut']
    """
    if not len(present) or not len(absent) or rows < 1:
        raise ValueError(
            f"expected inputs with it and without, and rows of at least 1; got {len(present)}, "
            f"{len(absent)} and rows={rows}: give some of each"
        )
    slice_ = Slice(model, [Cut.ensure(layer)])
    with slice_.opened(), torch.no_grad():
        with_it, without = (
            torch.cat(list(_pooled(slice_, inputs, axis, rows))) for inputs in (present, absent)
        )
    ranks = average_ranks(torch.cat([with_it, without]).T)  # (units, examples)
    count = len(with_it)
    wins = ranks[:, :count].sum(1) - count * (count + 1) / 2
    return Selectivity(wins / (count * len(without)), with_it.mean(0) - without.mean(0))


def _pooled(slice_: Slice, inputs: Tensor, axis: int, rows: int) -> Iterator[Tensor]:
    """Yield mean activations (rows, units)."""
    for part in torch.split(inputs, rows):
        read = slice_.read((slice_.admitted(part),), (), cuts=slice_.cuts, cuts_only=True)
        units = read.cuts[0][0].detach()
        if not 1 <= axis < units.ndim:
            raise ValueError(
                f"expected axis from 1 to {units.ndim - 1}, for a layer of shape "
                f"{tuple(units.shape)}; got {axis}"
            )
        yield units.movedim(axis, 1)[..., None].flatten(2).double().mean(2).cpu()
