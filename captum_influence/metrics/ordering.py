"""Necessity and sufficiency: is the score lost without the features named, and held by them?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from captum_influence.data.frames import frame
from captum_influence.metrics.pixel_flipping import checked_maps, squares
from captum_influence.metrics.removal import (
    Layer,
    PixelFill,
    Removal,
    UnitFill,
    removing,
    removing_pixels,
)
from captum_influence.visualization.lines import line_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Orderings", "pixel_orderings", "unit_orderings"]

_ORDERS = ("strongest first", "weakest first")


@dataclass(frozen=True, eq=False)
class Orderings:
    r"""What is left of the score as features go, and as they are put on an empty input.

    Only features with a positive attribution take part, :math:`M_i` of them in example i. A score
    is the share :math:`v = (q - q_0) / (q(x) - q_0)` of what the input adds to the empty input's
    :math:`q_0`; where it adds nothing, :math:`q(x) \le q_0`, all is NaN, as it is where no feature
    is positive. Where it adds next to nothing, shares are huge: average by medians. Each curve is
    a mapping from ``"strongest first"`` and ``"weakest first"``.

    Attributes:
        counts: (examples, steps + 1), how many features were taken; a number stands repeated where
            there are fewer features than steps.
        shares: order -> (examples, steps + 1), their share of the positive attribution.
        removed: order -> (examples, steps + 1), v without them.
        kept: order -> (examples, steps + 1), v of them alone.
        span: (examples,), :math:`q(x) - q_0`.
    """

    counts: Tensor
    shares: Mapping[str, Tensor]
    removed: Mapping[str, Tensor]
    kept: Mapping[str, Tensor]
    span: Tensor

    @property
    def n_ord(self) -> Tensor:
        r"""Necessity by order, (examples,), :math:`\frac{1}{M+1}\sum_{m=0}^{M} \max(v_m, 0)`.

        With the m strongest features removed; over the steps if they are fewer. From 0, mostly
        below 1; **lower** is better. Times ``span`` it is in the score's units, as in the paper.
        """
        return self._mean(self.removed[_ORDERS[0]].clamp(min=0))

    @property
    def s_ord(self) -> Tensor:
        r"""Sufficiency by order, (examples,), :math:`\frac{1}{M+1}\sum_m \min(\max(v_m, 0), 1)`.

        With the m strongest features alone. Range [0, 1]; **higher** is better.
        """
        return self._mean(self.kept[_ORDERS[0]].clamp(0, 1))

    @property
    def tpn(self) -> Tensor:
        r"""Total proportionality for necessity, (examples,), the area between two curves.

        :math:`\int_0^1 |v^\downarrow(s) - v^\uparrow(s)|\,ds`, the score left without features that
        hold the share s of the attribution, taken from the strongest on or from the weakest on: if
        attributions are proportional to what is lost, it doesn't matter which. From 0, no upper
        bound; **lower** is better. 0, and meaningless, if there is a single feature.
        """
        return self._between(self.removed)

    @property
    def tps(self) -> Tensor:
        r"""Total proportionality for sufficiency, (examples,), ``tpn`` with features alone."""
        return self._between(self.kept)

    def to_frame(self) -> Any:
        """Return a pandas table with one row per example."""
        names = ("n_ord", "s_ord", "tpn", "tps", "span")
        return frame({name: getattr(self, name) for name in names})

    def plot(self) -> Figure:
        """Draw the curves, averaged over the examples, against the share of the attribution."""
        places = torch.linspace(0, 1, 21, dtype=torch.float64)
        lines = {
            f"{what}, {order}": _at(places, self.shares[order], values).nanmean(0)
            for what, curves in (("without", self.removed), ("alone", self.kept))
            for order, values in curves.items()
        }
        return line_figure(
            places.tolist(), lines, xlabel="share of the attribution", ylabel="share of the score"
        )

    def _mean(self, values: Tensor) -> Tensor:
        """Average over the steps that differ."""
        new = self.counts.diff(dim=1, prepend=self.counts[:, :1] - 1) > 0
        return (values * new).sum(1) / new.sum(1)

    def _between(self, curves: Mapping[str, Tensor]) -> Tensor:
        """Integrate the distance of two polygonal lines, exactly: their corners, and crossings."""
        places = torch.cat([self.shares[order] for order in _ORDERS], dim=1).sort(1).values
        one, other = (_at(places, self.shares[order], curves[order]) for order in _ORDERS)
        gap, width = one - other, places.diff(dim=1)
        before, after = gap[:, :-1], gap[:, 1:]
        size = before.abs() + after.abs()
        crossing = (before.square() + after.square()) / size.clamp(min=1e-300)  # two triangles
        return (torch.where(before * after < 0, crossing, size) * width).sum(1) / 2


def pixel_orderings(
    model: nn.Module,
    inputs: Tensor,
    maps: Tensor,
    target: Any,
    *,
    fill: PixelFill = "mean",
    steps: int | None = 20,
    patch: int = 1,
    rows: int = 64,
) -> Orderings:
    """Ask of a map: is the score lost without its strongest pixels, and are they enough for it?

    Pitfalls: pixels of negative attribution never go, so a map with one positive pixel is judged
    by that one; pictures with holes lie off the data, which :meth:`Orderings.s_ord` feels most; a
    map that is right about the order need not be proportional, and the other way round. Compare
    with a random map's, and with another fill.

    Args:
        model: the network.
        inputs: (examples, channels, height, width).
        maps: (examples, height, width), or with a channel dimension, which is summed.
        target: a class, or a :class:`Quantity`.
        fill: as in :func:`flip_pixels`; the picture that is nothing else is the empty input.
        steps: how many steps, of equally many of the positive squares; None: one by one.
        patch: side of the squares that go as one, ranked by their summed attribution.
        rows: pictures per pass.

    Source: Wang, Mardziel, Datta and Fredrikson 2020, arXiv 2002.07985, and its authors' code,
    which this differs from in what it clips: see the properties.

    Raises:
        ValueError: if shapes disagree or a number is out of range.
    """
    asked = 1 if steps is None else steps
    checked = checked_maps(inputs, maps, steps=asked, patch=patch, rows=rows)
    attributions = squares(checked, patch)
    removal = removing_pixels(model, inputs, target, fill=fill, patch=patch, rows=rows)
    return _orderings(removal, attributions, steps)


def unit_orderings(
    model: nn.Module,
    layer: Layer,
    inputs: Tensor,
    target: Any,
    attributions: Tensor,
    *,
    fill: UnitFill = "zero",
    reference: Tensor | None = None,
    steps: int | None = None,
    axis: int = 1,
    rows: int = 64,
    seed: int = 0,
) -> Orderings:
    """Ask the same of a layer's units; the layer with every unit filled is the empty input.

    Pitfall: influence that isn't multiplied by the change is no share of the score, so that only
    its order can be judged, by ``n_ord`` and ``s_ord``.

    Args:
        model: the network.
        layer: as in :func:`ablate_units`.
        inputs: (examples, ...).
        target: a class, or a :class:`Quantity`.
        attributions: (units,) or (examples, units).
        fill: as in :func:`ablate_units`.
        reference: as in :func:`ablate_units`.
        steps: as in :func:`pixel_orderings`.
        axis: as in :func:`ablate_units`.
        rows: as in :func:`ablate_units`.
        seed: as in :func:`ablate_units`.

    Source: as :func:`pixel_orderings`, put to units.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> from captum_influence.demo import handwired_networks
        >>> wired = handwired_networks()["linear_units"]
        >>> found = unit_orderings(
        ...     wired.model, "units", wired.inputs[:1], 0, wired.contribution[:1]
        ... )
        >>> [round(float(value), 6) for value in (found.tpn, found.tps)]
        [0.0, 0.0]
    """
    if steps is not None and steps < 1:
        raise ValueError(f"expected a positive number of steps, got {steps}")
    with removing(
        model, layer, inputs, target, fill, reference, axis=axis, rows=rows, seed=seed
    ) as removal:
        shape = (len(removal.quantity), removal.features)
        if tuple(attributions.shape) not in (shape, shape[1:]):
            raise ValueError(
                f"expected attributions of shape {shape[1:]} or {shape}, got "
                f"{tuple(attributions.shape)}: pool them to one value per unit"
            )
        return _orderings(removal, attributions.detach().double().cpu().expand(shape), steps)


def _orderings(removal: Removal, attributions: Tensor, steps: int | None) -> Orderings:
    """Run all four curves: removed and kept, from the strongest on and from the weakest on."""
    positive = attributions.clamp(min=0)
    most = (positive > 0).sum(1, keepdim=True)
    steps = max(1, int(most.max())) if steps is None else steps
    grid = torch.linspace(0, 1, min(steps, max(1, int(most.max()))) + 1, dtype=torch.float64)
    counts = (grid * most).round().long()  # (examples, steps + 1)
    empty = removal.without(torch.ones(len(counts), 1, removal.features, dtype=torch.bool))
    span = removal.quantity[:, None] - empty
    scale = torch.where((span > 0) & (most > 0).to(span.device), span, torch.nan)
    shares: dict[str, Tensor] = {}
    removed: dict[str, Tensor] = {}
    kept: dict[str, Tensor] = {}
    for order in _ORDERS:
        taken = _taken(positive, counts, strongest=order == _ORDERS[0])
        shares[order] = (taken * positive[:, None]).sum(2) / positive.sum(1, keepdim=True)
        for curves, gone in ((removed, taken), (kept, ~taken)):
            curves[order] = ((removal.without(gone) - empty) / scale).double().cpu()
    return Orderings(counts, shares, removed, kept, span[:, 0].double().cpu())


def _taken(positive: Tensor, counts: Tensor, *, strongest: bool) -> Tensor:
    """Return which features the first steps take, bool (examples, steps + 1, features)."""
    keys = positive if strongest else torch.where(positive > 0, -positive, -torch.inf)
    place = keys.argsort(dim=1, descending=True, stable=True).argsort(1)
    return place[:, None] < counts[..., None]


def _at(places: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Interpolate polygonal lines (examples, corners), x ascending, linearly at given places."""
    places = places.expand(len(x), -1).contiguous()
    right = torch.searchsorted(x.contiguous(), places).clamp(1, x.shape[1] - 1)
    x0, x1, y0, y1 = (v.gather(1, i) for v in (x, y) for i in (right - 1, right))
    along = (places - x0) / (x1 - x0).clamp(min=1e-300)
    return y0 + (y1 - y0) * along.clamp(0, 1)
