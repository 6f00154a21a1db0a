"""Why a wrong answer was wrong: the units without which it would have been right, verified."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from typing_extensions import Unpack

from captum_influence.attr.distributions import Distribution
from captum_influence.attr.paths import LinearPath
from captum_influence.attr.quadrature import Midpoint
from captum_influence.attr.quantities import ClassScore
from captum_influence.data.batches import repeatable
from captum_influence.data.labels import Names, class_index, class_name
from captum_influence.experts.expert import Expert
from captum_influence.explanations.counterfactuals.result import Counterfactual
from captum_influence.explanations.counterfactuals.search import (
    Collateral,
    Controls,
    Flipping,
    Search,
)
from captum_influence.network.cuts import layer_name
from captum_influence.network.inputs import network_of, one_input
from captum_influence.network.modes import without_graph
from captum_influence.network.predictions import named_predictions
from captum_influence.network.substitution import class_scores, reruns
from captum_influence.reports.asked import Asked
from captum_influence.reports.display import Display
from captum_influence.reports.shown import Shown
from captum_influence.units.axes import Axis
from captum_influence.units.displays import display_of
from captum_influence.units.interpreted import InterpretedUnit
from captum_influence.units.measurement import Measurement
from captum_influence.units.options import Chosen, Options
from captum_influence.units.ranking import UnitInfluence
from captum_influence.units.replacement import Replace, Replacement
from captum_influence.units.selection import Selection
from captum_influence.units.units_of import LayerLike

__all__ = ["CounterfactualOptions", "counterfactual"]

ClassLike = int | str
_LISTED = 5  # classes whose scores are shown


class CounterfactualOptions(Options, total=False):
    """What :func:`counterfactual` takes by keyword beside what every verb does.

    ``loader`` yields correctly answered (inputs, labels), which the collateral damage is measured
    on. ``controls``, 20 if nothing is said, is how many random sets of as many active units are
    removed instead; ``interpret=False`` leaves out where in the input each unit looks.
    """

    controls: int
    interpret: bool


def counterfactual(
    model: nn.Module,
    image: Tensor,
    layer: LayerLike,
    *,
    true: ClassLike,
    predicted: ClassLike | None = None,
    max_units: int = 16,
    replace: Replace | Replacement = 0,
    distribution: Distribution | None = None,
    **options: Unpack[CounterfactualOptions],
) -> Counterfactual:
    """Find the units without which a network's wrong answer changes, and verify it by removal.

    Units are ranked by contribution to score(predicted) − score(true): their influence on it,
    times what removing them changes. The first ones that suffice are taken, and each of them is
    then left out again if the others suffice: so none is superfluous, though a smaller set of
    other units may exist.

    Args:
        model: the network, in eval mode.
        image: one input, with or without the batch dimension; a series with it.
        layer: a module, a dotted name, a Cut or :class:`UnitsOf`.
        true: the class that the network should say, by number or name.
        predicted: the class that it says; None: look.
        max_units: how many units to try.
        replace: what takes the place of removed units, see :class:`Expert`; ``"mean"`` and
            ``"resample"`` are those of the ``loader``.
        distribution: over which inputs influence is averaged; None: 50 midpoints of the path
            from zero.
        options: ``loader``, ``controls`` and ``interpret``, see :class:`CounterfactualOptions`,
            and those of every verb, see :class:`Options`.

    Raises:
        ValueError: if the network says ``true``, or doesn't say ``predicted``, of the image.

    Example:
        >>> from captum_influence.demo import CLASSES, SceneDataset, load_demo_network
        >>> image, _ = SceneDataset(534, seed=17)[533]
        >>> found = counterfactual(
        ...     load_demo_network(), image, "relu5", true="tree", class_names=CLASSES
        ... )
        >>> found.predicted, found.answer
        ('fish', 'tree')
    """
    asked, began = Asked.of(counterfactual, locals()), time.perf_counter()
    chosen = Chosen.of("counterfactual", layer, options, known=CounterfactualOptions)
    wanted = _Wanted(true, predicted, max_units, options.get("controls", 20))
    network, names = network_of(model, chosen.run.output), chosen.shown.class_names
    trial = _trial(network, image, chosen, wanted, replace, distribution)
    return Counterfactual(
        asked=asked,
        network=type(network).__name__,
        layer=layer_name(network, chosen.units.cut),
        axis=trial.axis,
        true=class_name(trial.search.true, names),
        predicted=class_name(trial.search.predicted, names),
        answer=class_name(int(trial.after.argmax()), names),
        outcome=trial.search.outcome(trial.after)[0],
        units=trial.units,
        quantity=trial.search.measurement.quantity.in_words(names),
        by=chosen.by,
        focus=chosen.shown.focus,
        margins=trial.margins,
        controls=trial.controls,
        collateral=trial.collateral,
        before=named_predictions(trial.before[0], trial.listed, names),
        after=named_predictions(trial.after[0], trial.listed, names),
        seen=trial.seen() if options.get("interpret", True) else (),
        display=trial.display,
        facts=_facts(trial, wanted),
        seconds=time.perf_counter() - began,
    )


@dataclass(frozen=True)
class _Wanted:
    """Which answer instead of which, and how much is tried."""

    true: ClassLike
    predicted: ClassLike | None
    max_units: int
    controls: int

    def __post_init__(self) -> None:
        if self.max_units < 1 or self.controls < 0:
            raise ValueError(
                "expected at least one unit to try and no negative number of controls, got "
                f"max_units={self.max_units} and controls={self.controls}"
            )

    def classes(self, scores: Tensor, names: Names) -> tuple[int, int]:
        """Return the true class and the one that the network says, by their numbers."""
        said, count = int(scores.argmax()), scores.shape[1]
        true = class_index(self.true, names)
        predicted = said if self.predicted is None else class_index(self.predicted, names)
        for name, value in (("true", true), ("predicted", predicted)):
            if not 0 <= value < count:
                raise ValueError(f"expected {name}= as a class from 0 to {count - 1}, got {value}")
        if predicted != said:
            raise ValueError(
                f"expected an image of which the network says class {predicted}, got one of which "
                f"it says class {said}: leave predicted= out, or check the preprocessing"
            )
        if said == true:
            raise ValueError(
                f"expected a wrong answer, got one that is true: the network says class {said}; "
                "give the class that you compare with as true="
            )
        return true, said


@dataclass(frozen=True, eq=False, kw_only=True)
class _Trial:
    """What was removed from one input, and what the network answered: scores (1, classes)."""

    inputs: Tensor
    display: Display | None
    search: Search
    axis: Axis
    units: tuple[UnitInfluence, ...]
    margins: tuple[float, ...]
    controls: Controls | None
    collateral: Collateral | None
    before: Tensor
    after: Tensor

    @property
    def listed(self) -> list[int]:
        """The classes that matter: said before and after, the true one, and the next best."""
        best = self.before[0].argsort(descending=True)[:_LISTED].tolist()
        chosen = dict.fromkeys([best[0], self.search.true, int(self.after.argmax()), *best])
        return sorted(list(chosen)[:_LISTED], key=lambda i: -float(self.before[0, i]))

    def seen(self) -> tuple[InterpretedUnit, ...]:
        """Return where in the input each unit looks."""
        if not self.units or self.display is None:
            return ()
        indices = [unit.index for unit in self.units]
        maps = self.search.measurement.maps(self.inputs, self.axis, indices)
        return tuple(
            InterpretedUnit(unit=unit, seen=self.display.highlight(self.display.laid(values)))
            for unit, values in zip(self.units, maps, strict=True)
        )


def _trial(
    network: nn.Module,
    image: Tensor,
    chosen: Chosen,
    wanted: _Wanted,
    replace: Replace | Replacement,
    distribution: Distribution | None,
) -> _Trial:
    loader = None if chosen.shown.loader is None else repeatable(chosen.shown.loader)
    path = LinearPath(0.0, 50, Midpoint()) if distribution is None else distribution
    cut, run = chosen.units.cut, chosen.run
    with run.seeded():
        inputs = one_input(network, image)
        display = _display(inputs[0], chosen.shown)
        replacement = Replacement.with_loader(replace, network, cut, loader, run.seed)
        with reruns(network, cut, inputs) as runs:
            true, said = wanted.classes(runs.scores, chosen.shown.class_names)
            asked, focus = ClassScore(said) - ClassScore(true), chosen.shown.focus
            measurement = Measurement(network, chosen.units, asked, path, chosen.by, focus, run)
            search = Search(
                measurement=measurement, true=true, predicted=said, replacement=replacement
            )
            found = search.pooled(inputs, runs)
            flipping = Flipping(search, runs, found.axis)
            first = [unit for unit in found.highest(wanted.max_units) if unit.value > 0]
            _, units = flipping.smallest(first)
            margins = search.margins(flipping.answers([units[:k] for k in range(len(units) + 1)]))
            controls, sets = flipping.controls(len(units), wanted.controls)
        return _Trial(
            inputs=inputs,
            display=display,
            search=search,
            axis=found.axis,
            units=tuple(units),
            margins=margins,
            controls=controls,
            collateral=None if loader is None else flipping.collateral(loader, units, sets),
            before=runs.scores,
            # Not from within: a network that is run anew, as its user would, has the last word.
            after=_verified(search, Selection.ensure(units, found.axis), inputs),
        )


def _verified(search: Search, units: Selection, inputs: Tensor) -> Tensor:
    """Return the scores (1, classes) of the network itself, with the units removed."""
    model, cut = search.measurement.model, search.measurement.cut
    without = Expert(model, cut, units, "remove", search.replacement) if len(units) else model
    with without_graph():
        return class_scores(without(inputs.clone()))  # it may begin in place


def _display(one: Tensor, shown: Shown) -> Display | None:
    """Return how the input is shown; None of a row of features, unless it is said."""
    if one.ndim == 1 and shown.display is None and shown.picture is None:
        return None
    return display_of(one, shown, explained=True)


def _facts(trial: _Trial, wanted: _Wanted) -> Mapping[str, Any]:
    inputs, measurement = trial.inputs, trial.search.measurement
    return {
        "distribution": measurement.distribution.in_words(),
        "points": measurement.distribution.size,
        "max_units": wanted.max_units,
        "replace": trial.search.replacement.in_words(),
        "seed": measurement.run.seed,
        "image": list(inputs.shape[1:]),
        "dtype": str(inputs.dtype).removeprefix("torch."),
        "device": str(inputs.device),
    }
