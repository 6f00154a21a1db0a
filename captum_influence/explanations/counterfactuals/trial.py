"""One wrong answer, put to the test: units are looked for, removed, and compared with others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from captum_influence.attr.distributions import Distribution, Point
from captum_influence.data.batches import repeatable
from captum_influence.data.labels import Names, class_index
from captum_influence.experts.expert import Expert
from captum_influence.explanations.counterfactuals.controls import (
    Collateral,
    Controls,
    WrongClass,
    collateral,
    random_sets,
    removed_at_random,
    wrong_classes,
)
from captum_influence.explanations.counterfactuals.goals import Goal, Mistake, Until
from captum_influence.explanations.counterfactuals.removals import Removals
from captum_influence.explanations.counterfactuals.search import (
    Found,
    Greedy,
    Prefix,
    Search,
    SearchName,
)
from captum_influence.explanations.effects import Effects, removal_effects
from captum_influence.network.modes import without_graph
from captum_influence.network.substitution import Reruns, class_scores, reruns
from captum_influence.reports.display import Display
from captum_influence.reports.shown import Shown
from captum_influence.units.interpreted import InterpretedUnit
from captum_influence.units.options import Chosen
from captum_influence.units.ranking import UnitInfluence, UnitValues
from captum_influence.units.replacement import Replace, Replacement
from captum_influence.units.selection import Selection
from captum_influence.units.shown.choice import display_of

__all__ = ["ClassLike", "Trial", "Wanted", "trial_of"]

ClassLike = int | str
_LISTED = 5  # classes whose scores are shown


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which answer instead of which, how it is looked for, and how much is tried."""

    true: ClassLike
    predicted: ClassLike | None
    until: Until
    max_units: int
    distribution: Distribution | None
    search: SearchName
    controls: int
    wrong: bool

    def __post_init__(self) -> None:
        if self.max_units < 1 or self.controls < 0:
            raise ValueError(
                "expected at least one unit to try and no negative number of controls, got "
                f"max_units={self.max_units} and controls={self.controls}"
            )
        if self.until not in ("right", "changed"):
            raise ValueError(f'expected until="right" or until="changed", got {self.until!r}')
        if self.search not in ("greedy", "prefix"):
            raise ValueError(f'expected search="greedy" or search="prefix", got {self.search!r}')
        if self.search == "greedy" and self.distribution is not None:
            raise ValueError(
                "the greedy search ranks units at the input and at what is left of it, got "
                'distribution= beside it: leave it out, or say search="prefix"'
            )

    def mistake(self, scores: Tensor, names: Names) -> Mistake:
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
        return Mistake(true, said)

    def search_of(self, mistake: Mistake, **given: Any) -> Search:
        """Return what looks for units."""
        over = Point() if self.distribution is None else self.distribution
        given |= {"most": self.max_units, "distribution": over}
        return Greedy(**given) if self.search == "greedy" else Prefix(rival=mistake.true, **given)


@dataclass(frozen=True, eq=False, kw_only=True)
class Trial:
    """What was removed from one input, and what the network answered: scores (1, classes)."""

    wanted: Wanted
    mistake: Mistake
    search: Search
    display: Display | None
    found: Found
    units: tuple[UnitInfluence, ...]
    effects: Effects
    margins: tuple[float, ...]
    controls: Controls | None
    wrong: tuple[WrongClass, ...] | None
    collateral: Collateral | None
    replaced_by: Tensor
    before: Tensor
    after: Tensor

    @property
    def goal(self) -> Goal:
        """What ends the search."""
        return self.mistake.goal(self.wanted.until)

    @property
    def listed(self) -> list[int]:
        """The classes that matter: said before and after, the true one, and the next best."""
        best = self.before[0].argsort(descending=True)[:_LISTED].tolist()
        answer = self.mistake.answer(self.after)
        chosen = dict.fromkeys([self.mistake.predicted, self.mistake.true, answer, *best])
        return sorted(list(chosen)[:_LISTED], key=lambda i: -float(self.before[0, i]))

    def seen(self) -> tuple[InterpretedUnit, ...]:
        """Return where in the input each unit looks."""
        if not self.units or self.display is None:
            return ()
        indices, search = [unit.index for unit in self.units], self.search
        maps = search.measurement(self.goal).maps(search.inputs, search.removals.axis, indices)
        return tuple(
            InterpretedUnit(unit=unit, seen=self.display.highlight(self.display.laid(values)))
            for unit, values in zip(self.units, maps, strict=True)
        )


def trial_of(
    network: nn.Module,
    inputs: Tensor,
    chosen: Chosen,
    wanted: Wanted,
    replace: Replace | Replacement | None,
) -> Trial:
    """Look for the units of one input (1, ...), and return what was found."""
    loader = None if chosen.shown.loader is None else repeatable(chosen.shown.loader)
    cut, run = chosen.units.cut, chosen.run
    with run.seeded():
        display = _display(inputs[0], chosen.shown)
        replacement = Replacement.with_loader(replace, network, cut, loader, run.seed)
        with reruns(network, cut, inputs, run.internal_batch_size) as runs:
            mistake = wanted.mistake(runs.scores, chosen.shown.class_names)
            search = wanted.search_of(
                mistake,
                network=network,
                inputs=inputs,
                chosen=chosen,
                removals=_removals(runs, network, chosen, inputs, replacement),
            )
            return _tried(search, mistake, wanted, display, loader)


def _removals(
    runs: Reruns, network: nn.Module, chosen: Chosen, inputs: Tensor, replacement: Replacement
) -> Removals:
    axis = chosen.units.along(tuple(runs.activations.shape[1:]), network, inputs)
    return Removals(
        runs=runs, axis=axis, replacement=replacement, rows=chosen.run.internal_batch_size
    )


def _tried(
    search: Search,
    mistake: Mistake,
    wanted: Wanted,
    display: Display | None,
    loader: Iterable[Any] | None,
) -> Trial:
    """Look for the units, and for all that they are compared with."""
    network, chosen, removals = search.network, search.chosen, search.removals
    before, seed, goal = removals.runs.scores, chosen.run.seed, mistake.goal(wanted.until)
    compared = wanted.wrong and wanted.until == "right"
    wrong = mistake.wrong(before, seed) if compared else {}
    found, *others = search.find([goal, *(Goal(mistake.predicted, one) for one in wrong.values())])
    values, flat = search.values(goal), list(found.units)
    units = tuple(values.unit(unit) for unit in flat)
    sets = random_sets(removals, len(flat), wanted.controls, seed)
    scores = removals.answers([flat[:k] for k in range(len(flat) + 1)])
    cut, names = chosen.units.cut, chosen.shown.class_names
    return Trial(
        wanted=wanted,
        mistake=mistake,
        search=search,
        display=display,
        found=found,
        units=units,
        effects=_effects(search, goal, values, units),
        margins=mistake.margins(scores),
        controls=removed_at_random(removals, sets, mistake),
        wrong=wrong_classes(wrong, others, before, names) if compared else None,
        collateral=None
        if loader is None
        else collateral(network, cut, loader, removals, [flat, *sets], mistake),
        replaced_by=_replaced_by(removals),
        before=before,
        # Not from within: a network that is run anew, as its user would, has the last word.
        after=_verified(search, Selection.ensure(units, removals.axis)),
    )


def _effects(
    search: Search, goal: Goal, values: UnitValues, units: tuple[UnitInfluence, ...]
) -> Effects:
    quantity, instead = search.quantity(goal), search.removals.replacement
    asked = (search.network, [search.inputs], quantity, instead, search.chosen)
    return removal_effects(*asked, values=values, shown=units)


def _replaced_by(removals: Removals) -> Tensor:
    """Return what takes the place of units of this input: a number, or like its activations."""
    here = removals.runs.activations
    other = removals.replacement.like(here).detach().cpu()
    return other.expand(here.shape)[0].clone() if other.ndim else other


def _verified(search: Search, units: Selection) -> Tensor:
    """Return the scores (1, classes) of the network itself, with the units removed."""
    network, cut, instead = search.network, search.chosen.units.cut, search.removals.replacement
    without = Expert(network, cut, units, "remove", instead) if len(units) else network
    with without_graph():
        return class_scores(without(search.inputs.clone()))  # it may begin in place


def _display(one: Tensor, shown: Shown) -> Display | None:
    """Return how the input is shown; None of a row of features, unless it is said."""
    features = one.ndim == 1 and one.is_floating_point()
    if features and shown.display is None and shown.picture is None:
        return None
    return display_of(one, shown, explained=True)
