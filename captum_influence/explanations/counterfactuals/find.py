"""Why a wrong answer was wrong: the units without which it would have been right, verified."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from captum_influence.attr.distributions import Distribution
from captum_influence.attr.paths import LinearPath
from captum_influence.attr.quadrature import Midpoint
from captum_influence.attr.quantities import ClassScore
from captum_influence.data.labels import Names, class_name
from captum_influence.experts.expert import Expert
from captum_influence.explanations.counterfactuals.search import Flipping, Search
from captum_influence.network.cuts import Cut, layer_name
from captum_influence.network.predictions import named_predictions
from captum_influence.network.substitution import class_scores, reruns
from captum_influence.units.axes import Axis
from captum_influence.units.interpreted import InterpretedUnit
from captum_influence.units.measurement import Measurement
from captum_influence.units.ranking import UnitInfluence
from captum_influence.units.replacement import Replace, Replacement
from captum_influence.units.selection import Selection

if TYPE_CHECKING:
    pass
from captum_influence.explanations.counterfactuals.result import Counterfactual

__all__ = ["counterfactual"]


def counterfactual(
    model: nn.Module,
    image: Tensor,
    layer: nn.Module | str | Cut,
    *,
    true: int,
    predicted: int | None = None,
    max_units: int = 16,
    replace: Replace | Replacement = 0,
    reference: Tensor | Iterable[Any] | None = None,
    loader: Iterable[Any] | None = None,
    controls: int = 20,
    distribution: Distribution | None = None,
    axis: str | int = "channel",
    heads: int | None = None,
    seed: int = 0,
    class_names: Names = None,
    picture: Tensor | None = None,
    interpret: bool = True,
) -> Counterfactual:
    """Find the units without which a network's wrong answer changes, and verify it by removal.

    Units are ranked by contribution to score(predicted) − score(true): their influence on it,
    times what removing them changes. The first ones that suffice are taken, and each of them is
    then left out again if the others suffice: so none is superfluous, though a smaller set of
    other units may exist.

    Args:
        model: the network, in eval mode.
        image: one input, with or without the batch dimension; a series with it.
        layer: a module, a dotted name or a Cut.
        true: the class that the network should say.
        predicted: the class that it says; None: look.
        max_units: how many units to try.
        replace: what takes the place of removed units, with its ``reference``: see
            :class:`Expert`.
        reference: see ``replace``.
        loader: correctly answered (images, labels), to measure the collateral damage on.
        controls: how many random sets of as many active units to remove instead.
        distribution: over which inputs influence is averaged; None: 50 midpoints of the path
            from zero.
        axis: what one unit is, with ``heads``: see :func:`rank_units`.
        heads: see ``axis``.
        seed: of random sets and of ``replace="resample"``.
        class_names: a name for each class.
        picture: the displayable (3, height, width) in [0, 1]; None: the image, rescaled.
        interpret: whether to look where in the picture each unit looks.

    Raises:
        ValueError: if the network says ``true``, or doesn't say ``predicted``, of the image.
    """
    cut = Cut.ensure(layer)
    inputs = _one_input(model, cut, image)
    _check_counts(max_units, controls)
    replacement = Replacement.ensure(replace, model, cut, reference, seed)
    path = LinearPath(0.0, 50, Midpoint()) if distribution is None else distribution
    with reruns(model, cut, inputs) as runs:
        predicted = _checked_classes(runs.scores, true, predicted)
        search = Search(model, cut, true, predicted, replacement, path, seed)
        ranking = search.ranking(inputs, runs, axis, heads)
        flipping = Flipping(search, runs, ranking.axis)
        candidates = [unit for unit in ranking.units[:max_units] if unit.value > 0]
        _, units = flipping.smallest(candidates)
        margins = search.margins(flipping.answers([units[:k] for k in range(len(units) + 1)]))
        controlled, sets = flipping.controls(len(units), controls)
    # Not from within: a network that is run anew, as its user would, has the last word.
    after = _verified(search, ranking.axis.name, units, inputs, heads)
    collateral = None if loader is None else flipping.collateral(loader, units, sets)
    asked, shown_picture = ClassScore(predicted) - ClassScore(true), _picture(inputs, picture)
    seen: tuple[InterpretedUnit, ...] = ()
    if interpret and shown_picture is not None and units:
        seen = _seen(search, ranking.axis, units, inputs, shown_picture)
    classes = _classes(runs.scores, after, true)
    return Counterfactual(
        type(model).__name__,
        layer_name(model, cut),
        class_name(true, class_names),
        class_name(predicted, class_names),
        class_name(int(after.argmax()), class_names),
        search.outcome(after)[0],
        tuple(units),
        asked.in_words(class_names),
        margins,
        controlled,
        collateral,
        named_predictions(runs.scores[0], classes, class_names),
        named_predictions(after[0], classes, class_names),
        seen,
        shown_picture,
        {"true": true, "predicted": predicted, "max_units": max_units, "seed": seed},
    )


def _verified(
    search: Search, axis: str, units: list[UnitInfluence], inputs: Tensor, heads: int | None
) -> Tensor:
    """Return the scores (1, classes) of the network itself, with the units removed."""
    with torch.no_grad():
        if not units:
            return class_scores(search.model(inputs))
        selection = Selection.ensure(units, axis, heads)
        expert = Expert(search.model, search.cut, selection, "remove", search.replacement)
        return class_scores(expert(inputs))


def _seen(
    search: Search,
    axis: Axis,
    units: Sequence[UnitInfluence],
    inputs: Tensor,
    picture: Tensor,
) -> tuple[InterpretedUnit, ...]:
    """Return where in the picture each unit gets what it has to say from."""
    if picture.shape[-2:] != inputs.shape[-2:]:
        return ()
    asked = ClassScore(search.predicted) - ClassScore(search.true)
    measurement = Measurement(
        search.model, search.cut, asked, search.distribution, "contribution", "sum"
    )
    maps = measurement.maps(inputs, [axis.selector(unit.index) for unit in units])
    view = View.of((inputs.shape[-2], inputs.shape[-1]))
    both = zip(units, maps, strict=True)
    return tuple(view.interpretation(unit, values, picture) for unit, values in both)


def _classes(before: Tensor, after: Tensor, true: int, count: int = 5) -> list[int]:
    """Return the classes that matter: those said before and after, the true one, the next best."""
    best = before[0].argsort(descending=True)[:count].tolist()
    chosen = dict.fromkeys([best[0], true, int(after.argmax()), *best])
    return sorted(list(chosen)[:count], key=lambda i: -float(before[0, i]))


def _check_counts(max_units: int, controls: int) -> None:
    if max_units < 1 or controls < 0:
        raise ValueError(
            "expected at least one unit to try and no negative number of controls, got "
            f"max_units={max_units} and controls={controls}"
        )


def _one_input(model: nn.Module, cut: Cut, image: Tensor) -> Tensor:
    if not isinstance(image, Tensor) or not image.is_floating_point():
        came = image.dtype if isinstance(image, Tensor) else type(image).__name__
        raise TypeError(
            f"expected the image as a tensor of floats, as the network takes it, got {came}: "
            "preprocess it first"
        )
    if not bool(image.isfinite().all()):
        raise ValueError(f"the image of shape {tuple(image.shape)} holds NaN or infinity")
    inputs = image.detach()
    series = inputs.ndim == 3 and len(inputs) == 1 and _takes_series(model, cut, inputs)
    if inputs.ndim in (1, 3) and not series:
        inputs = inputs[None]
    if inputs.ndim < 2 or len(inputs) != 1:
        raise ValueError(
            "expected one image (channels, height, width) or (1, channels, height, width), or one "
            f"series (1, channels, steps), got {tuple(image.shape)}: ask about one at a time"
        )
    return inputs


def _takes_series(model: nn.Module, cut: Cut, series: Tensor) -> bool:
    """Whether (1, ..., ...) is a batch of one: as a picture of one colour the network fails."""
    try:
        with reruns(model, cut, series[None]):
            return False
    except (RuntimeError, ValueError, TypeError, AssertionError, IndexError):
        return True


def _checked_classes(scores: Tensor, true: int, predicted: int | None) -> int:
    """Return the predicted class."""
    said, classes = int(scores.argmax()), scores.shape[1]
    for name, value in (("true", true), ("predicted", said if predicted is None else predicted)):
        if not 0 <= value < classes:
            raise ValueError(f"expected {name}= as a class from 0 to {classes - 1}, got {value}")
    if predicted not in (None, said):
        raise ValueError(
            f"expected an image of which the network says class {predicted}, got one of which it "
            f"says class {said}: leave predicted= out, or check the preprocessing"
        )
    if said == true:
        raise ValueError(
            f"expected a wrong answer, got one that is true: the network says class {said}; give "
            "the class that you compare with as true="
        )
    return said


def _picture(inputs: Tensor, picture: Tensor | None) -> Tensor | None:
    if picture is not None:
        return picture.detach().float().cpu()
    return shown(inputs[0]) if inputs.ndim == 4 else None
