"""What a network's units stand for in one input: the units that matter, and what they look at."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from captum_influence.attr.distributions import Distribution, Point
from captum_influence.attr.quantities import ClassScore, Quantity
from captum_influence.explanations.cautions import baseline_cautions, warn_of
from captum_influence.explanations.effects import Effects, removal_effects
from captum_influence.explanations.instances.examples import top_examples
from captum_influence.explanations.instances.removed import answers_without
from captum_influence.explanations.instances.result import Explanation
from captum_influence.explanations.overlays import (
    Overlay,
    best_overlay,
    from_blurred,
    geometry_of,
)
from captum_influence.network.cuts import layer_name
from captum_influence.network.predictions import Prediction, top_predictions
from captum_influence.reports.asked import Asked
from captum_influence.reports.display import Display
from captum_influence.reports.many.find import of_many
from captum_influence.reports.shown import Shown
from captum_influence.units.axes import Axis
from captum_influence.units.geometry import Geometry
from captum_influence.units.given import GivenLike, chosen_for
from captum_influence.units.interpreted import InterpretedUnit
from captum_influence.units.measurement import Answer, Measurement, answered
from captum_influence.units.options import Chosen, Options
from captum_influence.units.ranking import UnitInfluence, UnitValues
from captum_influence.units.replacement import Replace, Replacement, at_baseline
from captum_influence.units.shown.choice import display_of
from captum_influence.units.shown.pictures import PictureDisplay
from captum_influence.units.targets import TargetLike
from captum_influence.units.units_of import LayerLike

__all__ = ["explain"]

_POINTS = 4  # of the path from the blurred picture, for the units' maps


@of_many(each="target")
def explain(
    model: nn.Module,
    image: GivenLike,
    layer: LayerLike | None = None,
    target: TargetLike = None,
    *,
    versus: int | str | None = None,
    quantity: TargetLike = None,
    distribution: Distribution | None = None,
    replace: Replace | Replacement | None = None,
    top: int = 5,
    **options: Unpack[Options],
) -> Explanation:
    r"""Find the units of a layer that matter most for one input, what each looks at, and test it.

    Units are ranked by their contribution :math:`\chi_j \cdot (z_j(x) - r_j)`, where :math:`r_j`
    is what ``replace`` puts in a unit's place: it estimates what the unit's removal does to the
    quantity. Then the shown units are removed for real, one by one and together, beside as many
    random ones, see :class:`Effects`. ``by="influence"`` ranks by :math:`\chi_j` alone, as Leino et
    al. (2018) do; it compares units across inputs. What pixels do through every top unit is asked
    in one pass; at the default distribution, on the way from the blurred picture to the picture.

    Args:
        model: the network, in eval mode.
        image: what it takes: (channels, height, width), with or without a batch dimension of one;
            or a series (1, channels, steps); of text, token ids (1, tokens), or what a tokenizer
            returns, whose masks go to the network by name, as does what stands beside a picture.
        layer: a module, a dotted name, a Cut or :class:`UnitsOf`; None: the last layer with several
            places for each channel.
        target: the class to explain, by number or name, or a quantity; None: the predicted class.
        versus: another class: why the target rather than this one?
        quantity: the same as ``target``.
        distribution: over which inputs; None: at the input, :class:`Point`. Along a path, such as
            :class:`LinearPath`, contributions count from its baseline and add up to the quantity's
            change, unless ``replace`` is given; a baseline that isn't neutral is warned of.
        replace: what takes a removed unit's place: a number, ``"zero"``, ``"mean"`` or
            ``"resample"`` (over ``loader``), or a :class:`Replacement`; None: the mean with a
            ``loader``, else zero.
        top: how many units to interpret.
        options: those of every verb, see :class:`Options`; units' top examples are taken from
            ``loader``.

    Raises:
        ValueError: if the image isn't one input, holds NaN, or the layer has no such units.

    Example:
        >>> from captum_influence.demo import demo_scene, load_demo_network
        >>> found = explain(load_demo_network(), demo_scene().image, "relu5", top=2)
        >>> len(found.units)
        2
    """
    asked, began = Asked.of(explain, locals()), time.perf_counter()
    chosen, given = chosen_for("explain", model, image, layer, options, target or quantity)
    wanted, over = given.question(target, versus, quantity), given.distribution(distribution)
    with chosen.run.seeded():
        said = _measured(given.network, given.inputs, chosen, wanted, over, replace, top)
    warn_of(said.cautions)
    return _explanation(asked, given.network, chosen, said, top, began)


def _explanation(
    asked: Asked, network: nn.Module, chosen: Chosen, said: _Measured, top: int, began: float
) -> Explanation:
    """Return what was measured, with the classes by their names."""
    shown, targets = chosen.shown, _targets(said.answer.quantity)
    return Explanation(
        asked=asked,
        network=type(network).__name__,
        layer=layer_name(network, chosen.units.cut),
        quantity=said.answer.quantity.in_words(shown.class_names),
        rival=_rival(said.answer, shown),
        targets=targets,
        predictions=top_predictions(said.answer.output, shown.class_names, also=targets),
        without=said.without,
        units=said.units,
        against=said.values.against(top),
        values=said.values.values,
        display=said.display,
        value=float(said.answer.value[0]),
        delta=said.delta,
        effects=said.effects,
        cautions=said.cautions,
        overlay=said.overlay,
        by=chosen.by,
        aggregate=chosen.units.aggregate,
        focus=shown.focus,
        facts={
            "units": said.values.axis.in_words(),
            **_facts(said.measurement, said.inputs),
            "maps_over": said.maps_over,
        },
        seconds=time.perf_counter() - began,
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class _Measured:
    """What was measured of one input: the answer, what each unit did, and the first interpreted."""

    inputs: Tensor
    answer: Answer
    measurement: Measurement
    values: UnitValues
    delta: float | None
    effects: Effects
    without: tuple[Prediction, ...]
    cautions: tuple[str, ...]
    overlay: Overlay | None
    display: Display
    maps_over: str
    units: tuple[InterpretedUnit, ...]


def _measured(
    network: nn.Module,
    inputs: Tensor,
    chosen: Chosen,
    wanted: Quantity,
    distribution: Distribution | None,
    replace: Replace | Replacement | None,
    top: int,
) -> _Measured:
    geometry = geometry_of(network, inputs, chosen.units.cut) if inputs.ndim == 4 else None
    display = _displayed(inputs, chosen, geometry)
    answer, shown = answered(network, inputs, wanted), chosen.shown
    over = Point() if distribution is None else distribution
    removed = Replacement.with_loader(
        replace, network, chosen.units.cut, shown.loader, chosen.run.seed
    )
    counted = None if at_baseline(replace, over, inputs) else removed
    measurement = Measurement(
        network, chosen.units, answer.quantity, over, chosen.by, shown.focus, chosen.run, counted
    )
    values, delta = measurement.pooled(inputs)
    best = values.highest(top)
    maps_over, maps_in_words = _looking_over(distribution, inputs, display, chosen)
    units = _interpreted(measurement, best, values.axis, inputs, display, maps_over)
    return _Measured(
        inputs=inputs,
        answer=answer,
        measurement=measurement,
        values=values,
        delta=delta,
        effects=removal_effects(
            network, [inputs], answer.quantity, removed, chosen, values=values, shown=best
        ),
        without=answers_without(network, inputs, removed, chosen, values.axis, best),
        cautions=baseline_cautions(network, inputs, answer, over, delta, shown.class_names),
        overlay=_overlay(measurement, inputs, answer, display, geometry, units, shown),
        display=display,
        maps_over=maps_in_words,
        units=_with_examples(units, measurement, values.axis, shown),
    )


def _displayed(inputs: Tensor, chosen: Chosen, geometry: Geometry | None) -> Display:
    """Return how the input is shown: maps are smoothed by the layer's step between places."""
    display = display_of(inputs[0], chosen.shown, explained=True)
    if not isinstance(display, PictureDisplay) or chosen.shown.smoothing is not None:
        return display
    return display if geometry is None else dataclasses.replace(display, sigma=geometry.scale)


def _looking_over(
    given: Distribution | None, inputs: Tensor, display: Display, chosen: Chosen
) -> tuple[Distribution, str]:
    """Return over which inputs it is asked where units look, and how that is said.

    Of a picture, on the way from the blurred one: slopes at the picture alone say what a unit would
    answer to, not what it answers to, and their map stands its test less well.
    """
    passed_on = chosen.by == "contribution" and chosen.shown.focus == "quantity"
    if given is None and passed_on and isinstance(display, PictureDisplay) and inputs.ndim == 4:
        words = f"{_POINTS} points on the straight path from the blurred picture to the input"
        return from_blurred(inputs, _POINTS), words
    over = Point() if given is None else given
    return over, over.in_words()


def _overlay(
    measurement: Measurement,
    inputs: Tensor,
    answer: Answer,
    display: Display,
    geometry: Geometry | None,
    units: Sequence[InterpretedUnit],
    shown: Shown,
) -> Overlay | None:
    """Return where the network looks; None of what is no picture, or if it isn't asked for."""
    if not shown.overlay or not isinstance(display, PictureDisplay) or inputs.ndim != 4:
        return None
    together = torch.stack([row.seen.map for row in units]).sum(0).float().cpu()
    cut, run = measurement.units.cut, measurement.run
    return best_overlay(
        measurement.model,
        inputs,
        cut,
        answer,
        display,
        run,
        geometry=geometry,
        units=together,
    )


def _interpreted(
    measurement: Measurement,
    units: Sequence[UnitInfluence],
    axis: Axis,
    inputs: Tensor,
    display: Display,
    over: Distribution,
) -> tuple[InterpretedUnit, ...]:
    maps = measurement.maps(inputs, axis, [unit.index for unit in units], over)
    return tuple(
        InterpretedUnit(unit=unit, seen=display.highlight(display.laid(values)))
        for unit, values in zip(units, maps, strict=True)
    )


def _with_examples(
    units: tuple[InterpretedUnit, ...], measurement: Measurement, axis: Axis, shown: Shown
) -> tuple[InterpretedUnit, ...]:
    if shown.loader is None:
        return units
    found = top_examples(measurement, axis, [row.unit.index for row in units], shown)
    return tuple(
        dataclasses.replace(unit, examples=e) for unit, e in zip(units, found, strict=True)
    )


def _targets(quantity: Quantity) -> tuple[int, ...]:
    """Return the classes whose scores make up the quantity, the one that raises it most first."""
    terms = getattr(quantity, "terms", ((1.0, quantity),))
    scores = [(weight, term) for weight, term in terms if isinstance(term, ClassScore)]
    classes = [term.class_index for _, term in sorted(scores, key=lambda term: -term[0])]
    return tuple(dict.fromkeys(index for index in classes if index is not None))


def _rival(answer: Answer, shown: Shown) -> str | None:
    """Return the name of b if what was asked is score(predicted) − score(b)."""
    predictions = top_predictions(answer.output, shown.class_names, 1)
    terms = getattr(answer.quantity, "terms", ())
    scores = [(weight, term) for weight, term in terms if isinstance(term, ClassScore)]
    if len(terms) != 2 or len(scores) != 2 or not predictions:
        return None
    (plus, first), (minus, second) = sorted(scores, key=lambda term: -term[0])
    fits = plus > 0 > minus and first.class_index == predictions[0].index
    return shown.name(second.class_index) if fits and second.class_index is not None else None


def _counts_from(measurement: Measurement) -> str:
    """Return what a unit's activation is compared with, in words."""
    if measurement.replacement is None:
        return "its activation where the path starts"
    return measurement.replacement.in_words()


def _facts(measurement: Measurement, inputs: Tensor) -> Mapping[str, Any]:
    basis = measurement.cut.basis
    return {
        **({} if basis is None else {"basis": basis.in_words()}),
        "distribution": measurement.distribution.in_words(),
        "counts_from": _counts_from(measurement),
        "points": measurement.distribution.size,
        "image": list(inputs.shape[1:]),
        "dtype": str(inputs.dtype).removeprefix("torch."),
        "device": str(inputs.device),
    }
