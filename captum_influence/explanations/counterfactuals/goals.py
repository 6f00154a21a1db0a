"""What a network should have said, and what it is asked to say instead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from captum_influence.attr.quantities import Quantity
from captum_influence.data.labels import Names, class_name
from captum_influence.network.predictions import log_probabilities
from captum_influence.network.substitution import class_scores

__all__ = ["Against", "Goal", "Mistake", "Outcome", "Until", "Which"]

Outcome = Literal["true", "other", "none"]
Until = Literal["right", "changed"]
Which = Literal["above", "below", "random"]


@dataclass(frozen=True)
class Goal:
    """What the answer shall become.

    Attributes:
        predicted: the class that the network says.
        wanted: the class that it shall say; None: any but the predicted.
    """

    predicted: int
    wanted: int | None = None

    def lead(self, scores: Tensor) -> Tensor:
        """Return how far each row of scores (rows, classes) is past the goal."""
        # Above zero only: what ties with another class isn't said, and isn't left either.
        own = self.predicted if self.wanted is None else self.wanted
        others = scores.clone()
        others[:, own] = -torch.inf
        ahead = scores[:, own] - others.amax(dim=1)
        return -ahead if self.wanted is None else ahead

    def against(self, scores: Tensor) -> Tensor:
        """Return what speaks against it by one row of scores (classes,)."""
        chances = log_probabilities(scores)
        if self.wanted is not None:
            return -chances[self.wanted]
        # Not log p alone: where a network is sure that is flat, and no unit stands out.
        others = torch.cat([chances[: self.predicted], chances[self.predicted + 1 :]])
        return chances[self.predicted] - others.logsumexp(dim=0)

    def in_words(self, names: Names = None) -> str:
        """Return what speaks against it, as a reader calls it."""
        if self.wanted is None:
            return f"log odds of {class_name(self.predicted, names)}"
        return f"−log p({class_name(self.wanted, names)})"


@dataclass(frozen=True, eq=False)
class Against(Quantity):
    """What speaks against the goal of each example."""

    goals: tuple[Goal, ...]

    @property
    def examples(self) -> int:
        return len(self.goals)

    def rows(self, examples: Tensor) -> Against:
        return Against(tuple(self.goals[i] for i in examples.tolist()))

    def in_words(self, names: Names = None) -> str:
        return self.goals[0].in_words(names)

    def __call__(self, output: Any) -> Tensor:
        pairs = zip(self.goals, class_scores(output), strict=True)
        return torch.stack([goal.against(row) for goal, row in pairs])


@dataclass(frozen=True)
class Mistake:
    """A wrong answer.

    Attributes:
        true: the class that the network should say.
        predicted: the class that it says.
    """

    true: int
    predicted: int

    def goal(self, until: Until) -> Goal:
        """Return what ends the search."""
        return Goal(self.predicted, self.true if until == "right" else None)

    def margins(self, scores: Tensor) -> tuple[float, ...]:
        """Return score(predicted) − score(true) of each row."""
        return tuple((scores[:, self.predicted] - scores[:, self.true]).tolist())

    def outcomes(self, scores: Tensor) -> list[Outcome]:
        """Say of each row of scores (rows, classes) whether the answer changed, and to what."""
        right = self.goal("right").lead(scores) > 0
        away = self.goal("changed").lead(scores) > 0
        said: list[Outcome] = ["none", "other", "true"]
        return [said[int(r) + int(a)] for r, a in zip(right.tolist(), away.tolist(), strict=True)]

    def answer(self, scores: Tensor) -> int:
        """Return the class that one row of scores (1, classes) says."""
        outcome = self.outcomes(scores)[0]
        if outcome == "none":
            return self.predicted
        if outcome == "other":
            # A third class that ties with the true one is the answer: the true one wasn't reached.
            scores = scores.clone()
            scores[0, self.true] = -torch.inf
        return int(scores.argmax())

    def wrong(self, scores: Tensor, seed: int) -> dict[Which, int]:
        """Return wrong classes near the true one by their scores (1, classes), and one far from it.

        The class that is said isn't among them, so the class above is left out where that is it; a
        network of two classes has none at all.
        """
        order = scores[0].argsort(descending=True, stable=True).tolist()
        place = order.index(self.true)
        found: dict[Which, int] = {}
        if place > 1:
            found["above"] = order[place - 1]
        if place + 1 < len(order):
            found["below"] = order[place + 1]
        known = {self.true, self.predicted, *found.values()}
        rest = [one for one in range(len(order)) if one not in known]
        if rest:
            generator = torch.Generator().manual_seed(seed)
            found["random"] = rest[int(torch.randint(len(rest), (), generator=generator))]
        return found
