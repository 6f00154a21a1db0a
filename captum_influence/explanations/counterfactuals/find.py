"""Why a wrong answer was wrong: the units without which it would have been right, verified."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from torch import nn
from typing_extensions import Unpack

from captum_influence.attr.distributions import Distribution
from captum_influence.data.labels import Names, class_name
from captum_influence.explanations.counterfactuals.goals import Until
from captum_influence.explanations.counterfactuals.result import Counterfactual
from captum_influence.explanations.counterfactuals.search import SearchName
from captum_influence.explanations.counterfactuals.trial import ClassLike, Trial, Wanted, trial_of
from captum_influence.network.cuts import layer_name
from captum_influence.network.predictions import named_predictions
from captum_influence.reports.asked import Asked
from captum_influence.reports.many.find import of_many
from captum_influence.units.given import GivenLike, chosen_for
from captum_influence.units.interpreted import InterpretedUnit
from captum_influence.units.options import Options
from captum_influence.units.replacement import Replace, Replacement
from captum_influence.units.units_of import LayerLike

__all__ = ["CounterfactualOptions", "counterfactual"]


class CounterfactualOptions(Options, total=False):
    """What :func:`counterfactual` takes by keyword beside what every verb does.

    ``loader`` yields correctly answered (inputs, labels), which the collateral damage is measured
    on. ``search="greedy"`` removes one unit after another, ranked anew each time;
    ``search="prefix"`` removes the first ones of one ranking. ``controls``, 20 if nothing is said,
    is how many random sets of as many active units are removed instead; ``wrong_classes=False``
    leaves out the same search towards wrong classes, ``interpret=False`` where in the input each
    unit looks.
    """

    search: SearchName
    controls: int
    wrong_classes: bool
    interpret: bool


@of_many(each="true", labelled=True)
def counterfactual(
    model: nn.Module,
    image: GivenLike,
    layer: LayerLike | None = None,
    *,
    true: ClassLike,
    predicted: ClassLike | None = None,
    until: Until = "right",
    max_units: int = 16,
    replace: Replace | Replacement | None = None,
    distribution: Distribution | None = None,
    **options: Unpack[CounterfactualOptions],
) -> Counterfactual:
    """Find the units without which a network's wrong answer is right, and verify it by removal.

    The unit with the largest contribution to −log p(true) is removed: its influence on it, times
    what removing it changes. The rest are ranked anew, and so on, until the answer is the true one;
    then units are put back as long as it stays so. None of those left is superfluous, though a
    smaller set of other units may exist. Beside it: random units, and the same search towards
    classes that are wrong. Where these take no more units, the finding says nothing of a cause.

    Args:
        model: the network, in eval mode.
        image: one input, with or without the batch dimension; a series with it; of text, token
            ids or what a tokenizer returns, as :func:`explain` takes it.
        layer: a module, a dotted name, a Cut or :class:`UnitsOf`; None: the last layer with several
            places for each channel.
        true: the class that the network should say, by number or name.
        predicted: the class that it says; None: look.
        until: ``"right"``: the answer is the true class; ``"changed"``: it is any other than the
            predicted one.
        max_units: how many units to try.
        replace: what takes a removed unit's place: a number, ``"zero"``, ``"mean"`` or
            ``"resample"`` (over ``loader``), or a :class:`Replacement`; None: the mean with a
            ``loader``, else zero.
        distribution: over which inputs influence is averaged in the search by prefix, which it
            implies; None: at the input.
        options: ``search``, ``loader``, ``controls``, ..., see :class:`CounterfactualOptions`, and
            those of every verb, see :class:`Options`.

    Raises:
        ValueError: if the network says ``true``, or doesn't say ``predicted``, of the image.

    Example:
        >>> from captum_influence.demo import CLASSES, SceneDataset, load_demo_network
        >>> image, _ = SceneDataset(424, seed=1_000_003)[423]
        >>> found = counterfactual(
        ...     load_demo_network(), image, "relu5", true="fish", class_names=CLASSES
        ... )
        >>> found.predicted, found.answer
        ('house', 'fish')
    """
    asked, began = Asked.of(counterfactual, locals()), time.perf_counter()
    known = CounterfactualOptions
    chosen, given = chosen_for("counterfactual", model, image, layer, options, known=known)
    wanted = Wanted(
        true=given.numbered(true),
        predicted=given.numbered(predicted),
        until=until,
        max_units=max_units,
        distribution=given.distribution(distribution),
        search=options.get("search", "greedy" if distribution is None else "prefix"),
        controls=options.get("controls", 20),
        wrong=options.get("wrong_classes", True),
    )
    trial = trial_of(given.network, given.inputs, chosen, wanted, replace)
    seen = trial.seen() if options.get("interpret", True) else ()
    return _finding(asked, trial, seen, chosen.shown.class_names, began)


def _finding(
    asked: Asked, trial: Trial, seen: tuple[InterpretedUnit, ...], names: Names, began: float
) -> Counterfactual:
    """Return what was found, with the classes by their names."""
    search, mistake, wanted = trial.search, trial.mistake, trial.wanted
    return Counterfactual(
        asked=asked,
        network=type(search.network).__name__,
        layer=layer_name(search.network, search.chosen.units.cut),
        axis=search.removals.axis,
        true=class_name(mistake.true, names),
        predicted=class_name(mistake.predicted, names),
        answer=class_name(mistake.answer(trial.after), names),
        outcome=mistake.outcomes(trial.after)[0],
        until=wanted.until,
        search=wanted.search,
        units=trial.units,
        tried=trial.found.tried,
        quantity=search.quantity(trial.goal).in_words(names),
        by=search.chosen.by,
        focus=search.chosen.shown.focus,
        effects=trial.effects,
        margins=trial.margins,
        controls=trial.controls,
        wrong=trial.wrong,
        collateral=trial.collateral,
        before=named_predictions(trial.before[0], trial.listed, names),
        after=named_predictions(trial.after[0], trial.listed, names),
        seen=seen,
        display=trial.display,
        replaced_by=trial.replaced_by,
        facts=_facts(trial),
        seconds=time.perf_counter() - began,
    )


def _facts(trial: Trial) -> Mapping[str, Any]:
    search, wanted = trial.search, trial.wanted
    return {
        "distribution": search.distribution.in_words(),
        "points": search.distribution.size,
        "max_units": wanted.max_units,
        "replace": search.removals.replacement.in_words(),
        "classes": trial.before.shape[1],
        "seed": search.chosen.run.seed,
        "image": list(search.inputs.shape[1:]),
        "dtype": str(search.inputs.dtype).removeprefix("torch."),
        "device": str(search.inputs.device),
    }
