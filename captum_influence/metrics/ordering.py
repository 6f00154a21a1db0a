"""Necessity and sufficiency: is the score lost without the features named, and held by them?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from captum_influence.metrics.options import RunOptions, UnitOptions, chosen_run, chosen_units
from captum_influence.metrics.pixel_flipping import checked_maps, pixel_facts, squares
from captum_influence.metrics.removal import PixelReplace, Removal, removing_pixels
from captum_influence.metrics.result import Columns, Metric
from captum_influence.metrics.unit_removal import removing_units
from captum_influence.reports.asked import Asked
from captum_influence.reports.words import counted
from captum_influence.units.replacement import Replace, Replacement
from captum_influence.units.targets import question
from captum_influence.units.units_of import LayerLike
from captum_influence.visualization.lines import line_figure
from captum_influence.visualization.numbers import percent
from captum_influence.visualization.style import LIGHT, Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Orderings", "pixel_orderings", "unit_orderings"]

_ORDERS = ("strongest first", "weakest first")


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Orderings(Metric):
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

    topic: ClassVar[str] = "Necessity and sufficiency"
    caveats: ClassVar[tuple[str, ...]] = (
        "Features of negative attribution never go, so that an explanation with one positive "
        "feature is judged by that one.",
        "What is left when features are replaced lies off the data, which sufficiency feels most: "
        "compare with another replacement, and with a random order.",
        "An explanation that is right about the order need not be in proportion, and the other way "
        "round.",
    )

    counts: Tensor
    shares: Mapping[str, Tensor]
    removed: Mapping[str, Tensor]
    kept: Mapping[str, Tensor]
    span: Tensor

    @property
    def headline(self) -> str:
        judged = int(self.span.isfinite().sum() - self.n_ord.isnan().sum())
        asked, of = self.facts["quantity"], counted(len(self.span), "example")
        if not judged:
            return f"In none of {of} does what the explanation names raise {asked}."
        necessary, sufficient = (float(v.nanmedian()) for v in (self.n_ord, self.s_ord))
        return (
            f"Without the strongest features {percent(necessary)} of {asked} is left along the way "
            f"(N-Ord, low is good). Alone they hold {percent(sufficient)} of it (S-Ord, high is "
            f"good); these are medians over the {judged} of {of} that have something to explain."
        )

    @property
    def method(self) -> str:
        return (
            "Features of positive attribution were replaced, from the strongest on and from the "
            "weakest on, and put alone on an input of which all features were replaced. A score is "
            "the share of what the input adds to that empty input's. TPN and TPS are the areas "
            "between the two orders' curves, over the share of the attribution that is gone: 0 if "
            "attributions are in proportion to what they do."
        )

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

    def columns(self) -> Columns:
        """Return the columns of its table, which has a row per example."""
        names = ("n_ord", "s_ord", "tpn", "tps", "span")
        return {name: getattr(self, name) for name in names}

    def figure(self, theme: Theme = LIGHT) -> Figure:
        """Draw the curves, averaged over the examples, against the share of the attribution."""
        places = torch.linspace(0, 1, 21, dtype=torch.float64)
        lines = {
            f"{what}, {order}": _at(places, self.shares[order], values).nanmean(0)
            for what, curves in (("without", self.removed), ("alone", self.kept))
            for order, values in curves.items()
        }
        return line_figure(
            places.tolist(),
            lines,
            xlabel="share of the attribution",
            ylabel="share of the score",
            theme=theme,
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
    replace: PixelReplace = "mean",
    steps: int | None = 20,
    patch: int = 1,
    **options: Unpack[RunOptions],
) -> Orderings:
    """Ask of a map: is the score lost without its strongest pixels, and are they enough for it?

    Pitfalls: pixels of negative attribution never go, so a map with one positive pixel is judged
    by that one; pictures with holes lie off the data, which :meth:`Orderings.s_ord` feels most; a
    map that is right about the order need not be proportional, and the other way round. Compare
    with a random map's, and with another replacement.

    Args:
        model: the network.
        inputs: (examples, channels, height, width).
        maps: (examples, height, width), or with a channel dimension, which is summed.
        target: a class by number or name, one for each example, or a :class:`Quantity`.
        replace: as in :func:`flip_pixels`; the picture that is nothing else is the empty input.
        steps: how many steps, of equally many of the positive squares; None: one by one.
        patch: side of the squares that go as one, ranked by their summed attribution.
        options: how it is run, see :class:`Run`; ``class_names``.

    Source: Wang, Mardziel, Datta and Fredrikson 2020, arXiv 2002.07985, and its authors' code,
    which this differs from in what it clips: see the properties.

    Raises:
        ValueError: if shapes disagree or a number is out of range.
    """
    asked = Asked.of(pixel_orderings, locals())
    run, names = chosen_run("pixel_orderings", options), options.get("class_names")
    checked = checked_maps(inputs, maps, steps=1 if steps is None else steps, patch=patch)
    quantity = question(target, names=names)
    removal = removing_pixels(model, inputs, quantity, replace=replace, patch=patch, run=run)
    facts = pixel_facts(model, inputs, quantity.in_words(names), patch, [replace])
    return _orderings(removal, squares(checked, patch), steps, asked, facts)


def unit_orderings(
    model: nn.Module,
    inputs: Tensor,
    layer: LayerLike,
    target: Any,
    attributions: Tensor,
    *,
    replace: Replace | Replacement = 0,
    steps: int | None = None,
    **options: Unpack[UnitOptions],
) -> Orderings:
    """Ask the same of a layer's units; the layer with every unit replaced is the empty input.

    Pitfall: influence that isn't multiplied by the change is no share of the score, so that only
    its order can be judged, by ``n_ord`` and ``s_ord``.

    Args:
        model: the network.
        inputs: (examples, ...).
        layer: as in :func:`ablate_units`.
        target: as in :func:`ablate_units`.
        attributions: (units,) or (examples, units).
        replace: as in :func:`ablate_units`.
        steps: as in :func:`pixel_orderings`.
        options: as in :func:`ablate_units`.

    Source: as :func:`pixel_orderings`, put to units.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> from captum_influence.demo import handwired_networks
        >>> wired = handwired_networks()["linear_units"]
        >>> found = unit_orderings(
        ...     wired.model, wired.inputs[:1], "units", 0, wired.contribution[:1]
        ... )
        >>> [round(float(value), 6) for value in (found.tpn, found.tps)]
        [0.0, 0.0]
    """
    asked = Asked.of(unit_orderings, locals())
    if steps is not None and steps < 1:
        raise ValueError(f"expected a positive number of steps, got {steps}")
    chosen = chosen_units("unit_orderings", layer, options)
    quantity = question(target, names=chosen.shown.class_names)
    with removing_units(model, inputs, quantity, replace, chosen) as removal:
        shape = (len(removal.quantity), removal.features)
        if tuple(attributions.shape) not in (shape, shape[1:]):
            raise ValueError(
                f"expected attributions of shape {shape[1:]} or {shape}, got "
                f"{tuple(attributions.shape)}: pool them to one value per unit"
            )
        values = attributions.detach().double().cpu().expand(shape)
        return _orderings(removal, values, steps, asked, removal.facts)


def _orderings(
    removal: Removal,
    attributions: Tensor,
    steps: int | None,
    asked: Asked,
    facts: Mapping[str, Any],
) -> Orderings:
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
    return Orderings(
        asked=asked,
        facts=facts,
        counts=counts,
        shares=shares,
        removed=removed,
        kept=kept,
        span=span[:, 0].double().cpu(),
    )


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
