"""Which units have to go for an answer to change: one by one, or the first of one ranking."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

from torch import Tensor, nn

from captum_influence.attr.distributions import Distribution, Point
from captum_influence.attr.integral.engine import expected_gradient, read
from captum_influence.attr.integral.problem import Options, Problem
from captum_influence.attr.quantities import ClassScore, Quantity
from captum_influence.explanations.counterfactuals.goals import Against, Goal
from captum_influence.explanations.counterfactuals.removals import Removals, UnitSet
from captum_influence.network.slices import Slice
from captum_influence.units.measurement import Measurement
from captum_influence.units.options import Chosen
from captum_influence.units.ranking import UnitValues

__all__ = ["Found", "Greedy", "Prefix", "Search", "SearchName"]

SearchName = Literal["greedy", "prefix"]
Gradients = Callable[[Sequence[Goal], Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Found:
    """The units without which a goal is reached, or as many as were tried.

    Attributes:
        units: their places, in the order in which they were removed.
        tried: how many were removed before any was put back.
        reached: whether the goal was.
    """

    units: tuple[int, ...]
    tried: int
    reached: bool


@dataclass(frozen=True, eq=False, kw_only=True)
class Search(ABC):
    """A way to look for units. A subclass answers :meth:`quantity` and :meth:`orders`.

    Attributes:
        network: the network.
        inputs: one input, (1, ...).
        chosen: at which layer, and how units are ranked.
        removals: the input at the layer.
        most: how many units are tried.
        distribution: over which inputs influence is averaged where units are ranked at first.
    """

    network: nn.Module
    inputs: Tensor
    chosen: Chosen
    removals: Removals
    most: int
    distribution: Distribution

    @abstractmethod
    def quantity(self, goal: Goal) -> Quantity:
        """Return what units are ranked by."""

    @abstractmethod
    def orders(self, goals: Sequence[Goal]) -> list[list[int]]:
        """Return for each goal which units to remove, in order, until it is reached or all are."""

    def measurement(self, goal: Goal) -> Measurement:
        """Return the question that ranks units of the untouched input."""
        chosen = self.chosen
        return Measurement(
            model=self.network,
            units=chosen.units,
            quantity=self.quantity(goal),
            distribution=self.distribution,
            by=chosen.by,
            focus=chosen.shown.focus,
            run=chosen.run,
            replacement=self.removals.replacement,
        )

    def values(self, goal: Goal) -> UnitValues:
        """Return what each unit of the untouched input does to the quantity, by estimate."""
        return self.measurement(goal).pooled(self.inputs)[0]

    def find(self, goals: Sequence[Goal]) -> list[Found]:
        """Return the units for each goal; none of those that reach it can be left out."""
        pairs = zip(goals, self.orders(goals), strict=True)
        return [self._settled(goal, order) for goal, order in pairs]

    def _settled(self, goal: Goal, order: Sequence[int]) -> Found:
        reached = bool(order) and bool(goal.lead(self.removals.answers([order])) > 0)
        units = self._pruned(goal, order) if reached else order
        return Found(units=tuple(units), tried=len(order), reached=reached)

    def _pruned(self, goal: Goal, units: Sequence[int]) -> Sequence[int]:
        """Put back one unit after another, as long as the goal stays reached."""
        # Anew after each: a unit that was needed may not be once another has been put back.
        while len(units) > 1:
            fewer = [[unit for unit in units if unit != back] for back in units]
            leads = goal.lead(self.removals.answers(fewer))
            if not bool((leads > 0).any()):
                break
            units = fewer[int(leads.argmax())]  # the most to spare, for others to be put back
        return units


@dataclass(frozen=True, eq=False, kw_only=True)
class Greedy(Search):
    """Units one by one: ranked anew at the activations that are left, by what speaks against it.

    All goals take their steps together, in one pass from the layer on.
    """

    def quantity(self, goal: Goal) -> Quantity:
        return Against((goal,))

    def orders(self, goals: Sequence[Goal]) -> list[list[int]]:
        orders: list[list[int]] = [[] for _ in goals]
        going = list(range(len(goals)))
        with self._gradients(len(goals)) as gradients:
            for _ in range(self.most):
                going = self._stepped(gradients, goals, orders, going)
                if not going:
                    break
        return orders

    def _stepped(
        self,
        gradients: Gradients,
        goals: Sequence[Goal],
        orders: list[list[int]],
        going: Sequence[int],
    ) -> list[int]:
        """Lengthen the orders by a unit each, and return which goals are still to be reached."""
        left = self.removals.without([orders[i] for i in going])
        estimates = gradients([goals[i] for i in going], left)
        if self.chosen.by == "contribution":
            estimates = estimates * (left - self.removals.replacement.like(left[:1])).to(estimates)
        moved = []
        for i, row in zip(going, estimates, strict=True):
            best = self._best(row[None], orders[i])
            if best is not None:
                orders[i].append(best)
                moved.append(i)
        if not moved:
            return []
        scores = self.removals.answers([orders[i] for i in moved])
        rows = zip(moved, scores, strict=True)
        return [i for i, row in rows if not bool(goals[i].lead(row[None]) > 0)]

    def _best(self, estimates: Tensor, taken: UnitSet) -> int | None:
        """Return the unit whose removal is said to help most; None if none is."""
        pooled = UnitValues.pooled(estimates, self.removals.axis, self.chosen.units.aggregate)
        values = pooled.values.flatten()
        values[list(taken)] = 0.0
        best = int(values.argmax())  # of equal ones the first
        return best if float(values[best]) > 0 else None

    @contextmanager
    def _gradients(self, rows: int) -> Iterator[Gradients]:
        """Open the network at the layer: what leads there is run once, and not again."""
        cut, options = self.chosen.units.cut, Options(self.chosen.run.internal_batch_size)
        slice_ = Slice(self.network, [cut], sample_at=cut)
        with slice_.opened():
            # The same input once for each goal, so that each has a gradient of its own.
            same = slice_.admitted(self.inputs).expand(rows, *self.inputs.shape[1:])
            problem = Problem(slice_, Point(), (), (same,))
            read(problem, problem.inputs, options, record=True)

            def gradients(goals: Sequence[Goal], left: Tensor) -> Tensor:
                asked = replace(
                    problem,
                    quantities=(Against(tuple(goals)),),
                    inputs=(same[: len(left)],),
                    origin=(left,),
                )
                return expected_gradient(asked, options).sums[0][0]

            yield gradients


@dataclass(frozen=True, eq=False, kw_only=True)
class Prefix(Search):
    """The first units of one ranking, by score(predicted) − score(another class).

    Attributes:
        rival: the other class where a goal names none.
    """

    rival: int

    def quantity(self, goal: Goal) -> Quantity:
        other = self.rival if goal.wanted is None else goal.wanted
        return ClassScore(goal.predicted) - ClassScore(other)

    def orders(self, goals: Sequence[Goal]) -> list[list[int]]:
        return [self._order(goal) for goal in goals]

    def _order(self, goal: Goal) -> list[int]:
        values = self.values(goal).values.flatten()
        order = values.argsort(descending=True, stable=True)[: self.most]
        first: list[int] = order[values[order] > 0].tolist()
        sets = [first[: k + 1] for k in range(len(first))]
        leads = goal.lead(self.removals.answers(sets)).tolist() if sets else []
        return next((s for s, lead in zip(sets, leads, strict=True) if lead > 0), first)
