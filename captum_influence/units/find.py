"""Ranking the units of a layer, or of several, by what they did."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast, overload

import torch
from torch import Tensor, nn
from typing_extensions import TypedDict, Unpack

from captum_influence.attr.distributions import Distribution, Point
from captum_influence.attr.influence import DistributionalInfluence
from captum_influence.attr.origins import at_start
from captum_influence.attr.quantities import Quantity
from captum_influence.attr.run import Run
from captum_influence.data.labels import Names
from captum_influence.network.cuts import Cut, layer_name
from captum_influence.network.inputs import network_of
from captum_influence.network.outputs import Output
from captum_influence.network.reading import activations, one_tensor
from captum_influence.reports.asked import Asked
from captum_influence.reports.shown import Shown
from captum_influence.units.axes import Aggregate, AxisLike
from captum_influence.units.given import GivenLike
from captum_influence.units.given_loader import GivenLoader
from captum_influence.units.measurement import Answer, answered, answered_at_start
from captum_influence.units.options import Chosen, Options
from captum_influence.units.ordering import How, LayerUnits, naming
from captum_influence.units.ranking import By
from captum_influence.units.replacement import Replace, Replacement
from captum_influence.units.result import JointRanking, Ranking
from captum_influence.units.targets import TargetLike
from captum_influence.units.units_of import LayerLike, UnitsOf

__all__ = ["RankingOptions", "rank_layers", "rank_units"]

Layers = Mapping[str, Tensor] | Sequence[Tensor]


class RankingOptions(TypedDict, total=False):
    """What verbs that rank units take by keyword out of :class:`UnitsOf`, and of :class:`Run`.

    ``class_names`` are for the quantity in words; ``tokenizer`` is for tokens by their text.
    """

    axis: AxisLike
    heads: int | None
    aggregate: Aggregate
    class_names: Names
    tokenizer: Any
    internal_batch_size: int | None
    seed: int
    show_progress: bool
    output: Output
    run: Run


@overload
def rank_units(
    influences: Tensor,
    activations: Tensor | None = None,
    *,
    reference: Tensor | float | None = None,
    axis: AxisLike = "channel",
    by: By | None = None,
    replace: Replace | Replacement | None = None,
    aggregate: Aggregate = "sum",
    top: int | None = None,
    heads: int | None = None,
    change: Tensor | float | None = None,
) -> Ranking: ...


@overload
def rank_units(
    influences: Layers,
    activations: Layers | None = None,
    *,
    reference: Layers | float | None = None,
    axis: AxisLike | Mapping[str, AxisLike] = "channel",
    by: By | None = None,
    replace: Replace | Replacement | None = None,
    aggregate: Aggregate = "sum",
    top: int | None = None,
    heads: int | None = None,
    change: Tensor | float | None = None,
) -> JointRanking: ...


def rank_units(
    influences: Tensor | Layers,
    activations: Tensor | Layers | None = None,
    *,
    reference: Tensor | Layers | float | None = None,
    axis: AxisLike | Mapping[str, AxisLike] = "channel",
    by: By | None = None,
    replace: Replace | Replacement | None = None,
    aggregate: Aggregate = "sum",
    top: int | None = None,
    heads: int | None = None,
    change: Tensor | float | None = None,
) -> Ranking | JointRanking:
    r"""Rank units by what they did, averaged over the examples, largest first.

    That is their contribution where ``activations`` are given, else their influence. A contribution
    is influence × (activation − what ``replace`` puts in its place), entry by entry. Everything
    keeps its sign until it is pooled. A unit's share is its value :math:`v_j` over
    :math:`\sum_k |v_k|` of its layer; with ``change``, over :math:`|q(x) - q(x_0)|`.

    Several layers are ranked together by share. Shares of *different* layers don't add up: an
    effect that passes through one layer and then the next is counted in both. :func:`combine`
    measures what units of several layers do together.

    Args:
        influences: (examples, ...), as ``DistributionalInfluence.attribute`` returns them; or of
            several layers: a mapping from their names, or a list.
        activations: shaped alike, the layer's activations on the same examples.
        reference: activations where displacements start, shaped alike: those at the baseline of a
            path.
        axis: ``"channel"``, ``"position"``, ``"neuron"``, ``"head"``, a dimension, or your own
            grouping of channels: ``{"wheels": [3, 17], ...}``, one label per channel, or a function
            of one example's shape that returns these. Bool masks, or a tensor of integer labels,
            shaped like one example's units, group single neurons. Of several layers, also a
            mapping from each layer to its own.
        by: ``"influence"`` or ``"contribution"``, which needs ``activations``; None: contribution
            where there are some.
        replace: what a removal puts in a unit's place: a number, ``"zero"``, which None is too,
            ``"mean"`` or ``"resample"`` over the examples given, a tensor like one example's
            activations, or a :class:`Replacement`.
        aggregate: pool a unit's entries by ``"sum"``, ``"mean"`` or ``"max"``.
        top: how many to name; None: all.
        heads: how many heads share the last dimension, for ``axis="head"`` on (N, T, C).
        change: q(x) − q(x₀), (examples,) or their mean: shares are then of the quantity, and
            comparable between layers of any width. Only for contributions: influences of different
            layers are slopes in different units. Without it, a layer of few units has large shares.

    Raises:
        ValueError: if shapes disagree, a number is NaN, the layer has no such units, or the
            quantity didn't move.

    Example:
        >>> influences = torch.tensor([[1.0, -3.0, 2.0]])
        >>> [unit.name for unit in rank_units(influences, top=2)]
        ['channel 2', 'channel 0']
    """
    asked = Asked.of(rank_units, locals())
    given: By = "influence" if activations is None else "contribution"
    how = How(asked, by or given, top, _moved(change, by or given), replace)
    if isinstance(influences, Mapping) or _are_layers(influences):
        named = _named(influences)
        axes = axis if isinstance(axis, Mapping) and set(axis) == set(named) else None
        layers = {}
        for name, values in named.items():
            with naming(name):
                own, begin = (_of(name, named, given) for given in (activations, reference))
                along = axis if axes is None else axes[name]
                layers[name] = [LayerUnits(values, own, begin, along, heads, aggregate)]
        return how.together(layers)
    return how.alone([LayerUnits(influences, activations, reference, axis, heads, aggregate)])


def _are_layers(influences: Any) -> bool:
    listed = isinstance(influences, Sequence) and not isinstance(influences, str)
    return listed and all(isinstance(layer, Tensor) for layer in influences)


def _named(influences: Any) -> dict[str, Tensor]:
    """Return layers by name; those of a list by their place in it."""
    if not len(influences):
        raise ValueError("expected the influences of at least one layer, got none")
    if isinstance(influences, Mapping):
        return dict(influences)
    return {str(place): layer for place, layer in enumerate(influences)}


def _of(name: str, layers: Mapping[str, Tensor], given: Any) -> Any:
    """Return what is given for one of the layers; a number, or nothing, is given for all."""
    if given is None or isinstance(given, int | float):
        return given
    if isinstance(given, Tensor) or not isinstance(given, Mapping | Sequence):
        raise TypeError(
            "expected activations and references of several layers as the influences are, a "
            f"mapping or a list, got {type(given).__name__}"
        )
    known = _named(given)
    if set(known) != set(layers):
        raise ValueError(
            f"expected activations and references of the layers {list(layers)}, got {list(known)}"
        )
    return known[name]


def _moved(change: Tensor | float | None, by: str) -> float | None:
    """Return how far the quantity moved, averaged over the examples."""
    if change is None:
        return None
    if by != "contribution":
        raise ValueError(
            'expected by="contribution" beside change=, got by="influence": an influence is a '
            "slope, not a part of a change"
        )
    mean = float(torch.as_tensor(change).double().mean())
    if not math.isfinite(mean) or mean == 0:
        raise ValueError(
            f"expected a change of the quantity that shares can be taken of, got {mean}: leave "
            "change= out, and shares are of the layer"
        )
    return mean


def rank_layers(
    model: nn.Module,
    inputs: GivenLike,
    layers: Sequence[LayerLike],
    target: TargetLike = None,
    *,
    versus: int | str | None = None,
    quantity: TargetLike = None,
    distribution: Distribution | None = None,
    by: By = "contribution",
    replace: Replace | Replacement | None = None,
    top: int | None = None,
    **options: Unpack[RankingOptions],
) -> JointRanking:
    r"""Measure the units of several layers in one pass, and rank them on one scale.

    They are ranked by their contributions, which are in the quantity's units at every layer: the
    influence at the input times what a removal changes. Shares are of each layer's own sum of
    absolute values. Along a path they are of :math:`|q(x) - q(x_0)|`, how far the quantity moves
    from its baseline, where it does; else ``ranking.layers[name].change`` is None. Layers lie
    upstream of each other, so units of different layers don't add up: :func:`combine` measures them
    together.

    Args:
        model: the network.
        inputs: (examples, ...); ranked is the mean over them. Of prompts, ids, or what a tokenizer
            returns: pads don't count.
        layers: modules, dotted names, Cuts or :class:`UnitsOf`.
        target: the class to ask about, by number or name, or a quantity; None: the predicted class.
        versus: another class: why the target rather than this one?
        quantity: the same as ``target``.
        distribution: over which inputs; None: at the inputs. Contributions along a path count from
            its baseline, unless ``replace`` is given.
        by: ``"contribution"``; or ``"influence"``, whose units are each layer's own, and of which
            shares are compared.
        replace: what a removal puts in a unit's place, as :func:`rank_units` takes it; ``"mean"``
            and ``"resample"`` are those of the inputs at each layer.
        top: how many units to name; None: all.
        options: see :class:`RankingOptions`; ``axis`` may be a mapping from each layer to its own.

    Raises:
        ValueError: if there are no layers, two have the same name, or one isn't there.

    Example:
        >>> from captum_influence.demo import demo_scene, load_demo_network
        >>> network, image = load_demo_network(), demo_scene().image[None]
        >>> found = rank_layers(network, image, ["relu4", "relu5"], 0, top=3)
        >>> len(found), list(found.layers)
        (3, ['relu4', 'relu5'])
    """
    asked = Asked.of(rank_layers, locals())
    units, shown, run = _chosen(network_of(model), layers, options)
    with run.seeded():
        wanted = target if quantity is None else quantity
        given = GivenLoader.of_batch(model, inputs, shown, run.output, wanted)
        for one in units.values():
            given.check(one)
        asked_for = given.question(target, versus, quantity)
        over = given.distribution(distribution) or Point()
        along = by == "contribution" and replace is None
        parts = [_Part.of(given.network, batch, asked_for, over) for batch in given.batches]
        measured = [part.measured(units, run, along=along) for part in parts]
    names = given.shown.class_names
    facts = {
        "network": type(given.network).__name__,
        "quantity": (parts[0].answer.quantity if len(parts) == 1 else asked_for).in_words(names),
        "distribution": over.in_words(),
    }
    change = _change(parts) if along else None
    layered = {name: [found[name] for found in measured] for name in units}
    return How(asked, by, top, change, replace, facts).together(layered)


def _chosen(
    network: nn.Module, layers: Sequence[LayerLike], options: RankingOptions
) -> tuple[dict[str, UnitsOf], Shown, Run]:
    """Return the units of each layer by its name, how they are shown, and how they are measured."""
    if isinstance(layers, str | nn.Module | Cut | UnitsOf) or not len(layers):
        raise ValueError(
            f"expected a list of at least one layer, got {type(layers).__name__}: put it into one"
        )
    given, known = cast(Options, options), RankingOptions
    chosen = [Chosen.of("rank_layers", layer, given, known=known) for layer in layers]
    names = [layer_name(network, one.units.cut) for one in chosen]
    if len(set(names)) < len(names):
        raise ValueError(f"expected each layer once, got {names}")
    units = {name: one.units for name, one in zip(names, chosen, strict=True)}
    axis: Any = options.get("axis")
    if isinstance(axis, Mapping) and set(axis) == set(names):  # to each layer its own
        units = {name: dataclasses.replace(one, axis=axis[name]) for name, one in units.items()}
    return units, chosen[0].shown, chosen[0].run


@dataclass(frozen=True, eq=False)
class _Part:
    """Inputs of one shape, and what the network says of them."""

    network: nn.Module
    inputs: Tensor
    answer: Answer
    over: Distribution

    @staticmethod
    def of(network: nn.Module, inputs: Tensor, wanted: Quantity, over: Distribution) -> _Part:
        return _Part(network, inputs, answered(network, inputs, wanted), over)

    def measured(
        self, units: Mapping[str, UnitsOf], run: Run, *, along: bool
    ) -> dict[str, LayerUnits]:
        """Return the influences at all layers from one pass, and the activations here and there.

        Args:
            units: of each layer, by its name.
            run: how it is run.
            along: whether contributions count from where a path starts.
        """
        cuts = {name: one.cut for name, one in units.items()}
        found = DistributionalInfluence(
            self.network,
            list(cuts.values()),
            distribution=self.over,
            quantity=self.answer.quantity,
        ).attribute(
            self.inputs,
            internal_batch_size=run.internal_batch_size,
            show_progress=run.show_progress,
        )
        return {
            name: LayerUnits(
                values,
                activations(self.network, self.inputs, cuts[name]),
                self._begin(cuts[name]) if along else None,
                units[name].along(tuple(values.shape[1:]), self.network, self.inputs),
                units[name].heads,
                units[name].aggregate,
            )
            for name, values in zip(cuts, found, strict=True)
        }

    def _begin(self, cut: Cut) -> Tensor | None:
        start = at_start(self.network, self.inputs, self.over, cut)
        return None if start is None else one_tensor(start.cuts[0], cut)

    def moved(self) -> Tensor | None:
        """Return how far the quantity moves from where a path starts, (examples,)."""
        there = answered_at_start(self.network, self.inputs, self.over, self.answer.quantity)
        return None if there is None else self.answer.value.double() - there.value.double()


def _change(parts: Sequence[_Part]) -> float | None:
    """Return how far the quantity moves, averaged; None if it doesn't."""
    moved = [part.moved() for part in parts]
    known = [change for change in moved if change is not None]
    return float(torch.cat(known).mean()) or None if known else None
