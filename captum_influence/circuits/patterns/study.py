"""What passes the blocks for pairs of inputs, and what is asked of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from captum_influence.attr.calls import Call
from captum_influence.attr.distributions import Distribution
from captum_influence.attr.inputs import Inputs, names_inputs
from captum_influence.attr.quantities import Quantity
from captum_influence.circuits.pairs import Pairs
from captum_influence.circuits.patterns.course import Course, Passed
from captum_influence.circuits.patterns.keeping import Nodes, answers
from captum_influence.circuits.patterns.refining import Field, Refined
from captum_influence.data.items import Accepts

__all__ = ["Study"]


@dataclass(frozen=True, eq=False)
class Study:
    """What passes for the clean and for the corrupted inputs, and what is asked."""

    course: Course
    pairs: Pairs
    quantity: Quantity
    clean: Passed
    corrupted: Passed

    @staticmethod
    def of(network: nn.Module, pairs: Pairs, quantity: Quantity) -> Study:
        """Run both.

        Raises:
            ValueError: if the quantity is the same for both.
        """
        course = Course.of(network, pairs.clean)
        clean, corrupted = (course.passed(given) for given in (pairs.clean, pairs.corrupted))
        named = Call.of(pairs.clean, (), {}, Accepts.of(network)).named
        asked = quantity.seeing(named).resolve(clean.output)
        found = Study(course, pairs, asked, clean, corrupted)
        lost, size = found.lost, max(float(found.own.abs().mean()), 1e-30)
        if abs(lost) < 1e-9 * size:
            raise ValueError(
                "expected a quantity that the corruption changes, got the same for both: choose "
                "other corrupted inputs, or another quantity"
            )
        return found

    @property
    def own(self) -> Tensor:
        """(pairs,) the quantity for the clean inputs."""
        return self._asked(self.clean)

    @property
    def other(self) -> Tensor:
        """(pairs,) and for the corrupted ones."""
        return self._asked(self.corrupted)

    @property
    def lost(self) -> float:
        """What the corruption takes, on average."""
        return float(self.own.mean() - self.other.mean())

    def shares(self, values: Tensor) -> Tensor:
        """Return the shares of it that (sets, pairs) bring back: (sets,)."""
        return (values.mean(dim=1) - self.other.mean()) / self.lost

    def field(self, over: Distribution) -> Field:
        """Return slopes at the points of a distribution."""
        own, other = self.clean.entry, self.corrupted.entry

        def begin(start: Any, *, is_set: bool = False) -> Any:
            if names_inputs(start):
                return self.course.passed(Inputs.ensure(start).values).entry
            return other if isinstance(start, int | float) and start == 0 else start

        points = [(w, x) for w, (x,), *_ in over.located(begin).points((own,))]
        return Field.of(self.course, self.pairs, self.quantity, own - other, points)

    def kept(self, starts: Tensor, best: Refined, random: Refined, controls: int) -> Tensor:
        """Return the quantity with all routes alone, each alone, and those of each draw."""
        length, each = self.clean.entry.shape[1], [level.count for level in self.course.levels]
        sets = [(starts, best.positions, best.heads)]
        sets += [
            (starts[i : i + 1], best.positions[i : i + 1], best.heads[i : i + 1])
            for i in range(len(starts))
        ]
        drawn = (torch.unflatten(t, 0, (controls, -1)) for t in (random.positions, random.heads))
        sets += [(starts, positions, heads) for positions, heads in zip(*drawn, strict=True)]
        nodes = [Nodes.of(*one, length, each) for one in sets]
        return answers(self.course, self.pairs, self.quantity, self.corrupted, nodes)

    def _asked(self, passed: Passed) -> Tensor:
        numbers = torch.arange(len(self.pairs))
        return self.quantity.rows(numbers)(passed.output).detach().double().cpu()
