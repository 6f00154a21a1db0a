"""Which units answer to something: how well a unit's activation tells with it from without."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from captum_influence.metrics.options import ROWS, UnitOptions, chosen_units
from captum_influence.metrics.ranks import average_ranks
from captum_influence.metrics.result import Columns, Metric
from captum_influence.metrics.unit_removal import unit_names
from captum_influence.network.cuts import layer_name
from captum_influence.network.inputs import network_of
from captum_influence.network.reading import activations
from captum_influence.reports.asked import Asked
from captum_influence.reports.words import counted
from captum_influence.units.axes import Axis
from captum_influence.units.options import Chosen
from captum_influence.units.units_of import LayerLike
from captum_influence.visualization.lines import line_figure
from captum_influence.visualization.numbers import number
from captum_influence.visualization.style import LIGHT, Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Selectivity", "unit_selectivity"]


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Selectivity(Metric):
    """How well each unit tells inputs with something from inputs without it.

    Attributes:
        auc: (units,), in [0, 1]; 1: always larger with it, 0.5: tells nothing, 0: always smaller.
        shift: (units,), mean activation with it less the mean without.
        units: what each unit is called.
    """

    topic: ClassVar[str] = "Units that answer to something"
    caveats: ClassVar[tuple[str, ...]] = (
        "A unit answers to it, or to what comes with it: let the two sets differ in nothing else.",
        "That a unit answers to it doesn't say that the network uses the unit: remove it "
        "(ablate_units).",
        "Of many units some tell few inputs apart by chance: try the best on others.",
    )

    auc: Tensor
    shift: Tensor
    units: tuple[str, ...]

    @property
    def headline(self) -> str:
        best = int(self.auc.argmax())
        return (
            f"Of the {self.facts['units']} of {self.facts['layer']}, {self.units[best]} tells the "
            f"inputs with it from those without best. Its AUC is {number(float(self.auc[best]))} "
            f"(0.5 tells nothing), and {counted(len(self.detectors()), 'unit')} of all "
            f"{len(self.units)} reach 0.95, on {counted(self.facts['with'], 'input')} with it and "
            f"{self.facts['without']} without."
        )

    @property
    def method(self) -> str:
        return (
            "A unit's activation is its mean over all of its places. Its AUC is the chance that "
            "this is larger on an input with it than on one without, ties counting half: the area "
            "under the ROC curve."
        )

    def detectors(self, least: float = 0.95) -> list[int]:
        """Return the units with an AUC of at least ``least``, the surest first."""
        order = self.auc.argsort(descending=True, stable=True).tolist()
        return [unit for unit in order if self.auc[unit] >= least]

    def columns(self) -> Columns:
        """Return the columns of its table, which has a row per unit."""
        return {"unit": range(len(self.auc)), "auc": self.auc, "shift": self.shift}

    def figure(self, theme: Theme = LIGHT) -> Figure:
        """Draw the AUC of each unit, the surest first."""
        values = self.auc.sort(descending=True).values
        lines = {"AUC": values, "random: tells nothing": torch.full_like(values, 0.5)}
        places = range(1, len(values) + 1)
        label = "AUC, with and without"
        return line_figure(places, lines, xlabel="units, by AUC", ylabel=label, theme=theme)


def unit_selectivity(
    model: nn.Module,
    present: Tensor,
    layer: LayerLike,
    absent: Tensor,
    **options: Unpack[UnitOptions],
) -> Selectivity:
    r"""Compare each unit's mean activation on inputs with something, and without it.

    :math:`\mathrm{AUC}_j = P(z_j > z'_j) + \frac12 P(z_j = z'_j)`, with z drawn from inputs with
    it and z' from inputs without: the area under the ROC curve. Range [0, 1]. Pitfall: it says
    that a unit answers to it, or to what comes with it, not that the network uses the unit: remove
    it (:func:`ablate_units`). So let the two sets differ in nothing else.

    Args:
        model: the network.
        present: (examples, ...), inputs with it.
        layer: a module, a name, a :class:`Cut` or :class:`UnitsOf`, where one tensor passes.
        absent: (examples, ...), inputs without.
        options: as in :func:`ablate_units`.

    Source: Mann and Whitney 1947, Annals of Mathematical Statistics 18(1).

    Raises:
        ValueError: if there are no inputs, or the layer has no such axis.

    Example:
        >>> from captum_influence.demo import handwired_networks
        >>> wired = handwired_networks()["shortcut_unit"]  # two pictures with a rail, one without
        >>> found = unit_selectivity(wired.model, wired.inputs[1:2], "units", wired.inputs[2:])
        >>> [wired.roles[unit] for unit in found.detectors()]
        ['shortcut']
    """
    asked = Asked.of(unit_selectivity, locals())
    chosen = chosen_units("unit_selectivity", layer, options)
    if not len(present) or not len(absent):
        raise ValueError(
            f"expected inputs with it and without, got {len(present)} and {len(absent)}: give some "
            "of each"
        )
    network = network_of(model)
    parts = [list(_pooled(network, inputs, chosen)) for inputs in (present, absent)]
    with_it, without = (torch.cat([pooled for _, pooled in part]) for part in parts)
    axis = parts[0][0][0]
    ranks = average_ranks(torch.cat([with_it, without]).T)  # (units, examples)
    count = len(with_it)
    wins = ranks[:, :count].sum(1) - count * (count + 1) / 2
    return Selectivity(
        asked=asked,
        facts={
            "network": type(network).__name__,
            "layer": layer_name(network, chosen.units.cut),
            "units": counted(len(wins), axis.name),
            "with": len(present),
            "without": len(absent),
        },
        auc=wins / (count * len(without)),
        shift=with_it.mean(0) - without.mean(0),
        units=unit_names(axis),
    )


def _pooled(network: nn.Module, inputs: Tensor, chosen: Chosen) -> Iterator[tuple[Axis, Tensor]]:
    """Yield the layer's axis and mean activations (rows, units)."""
    for part in torch.split(inputs, chosen.run.internal_batch_size or ROWS):
        found = activations(network, part, chosen.units.cut)
        axis = chosen.units.along(tuple(found.shape[1:]), network, part)
        yield axis, axis.pool(found.double(), "mean").flatten(1).cpu()
