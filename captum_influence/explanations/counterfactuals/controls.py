"""What the finding is compared with: random units, wrong classes, and other answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from captum_influence.data.batches import labelled
from captum_influence.data.labels import Names, class_name
from captum_influence.explanations.counterfactuals.goals import Mistake, Which
from captum_influence.explanations.counterfactuals.removals import Removals, UnitSet, removed
from captum_influence.explanations.counterfactuals.search import Found
from captum_influence.network.cuts import Cut
from captum_influence.network.devices import device_of
from captum_influence.network.substitution import reruns

__all__ = [
    "Collateral",
    "Controls",
    "WrongClass",
    "collateral",
    "random_sets",
    "removed_at_random",
    "wrong_classes",
]

_CONTROLS_ON_LOADER = 5
_WHERE: dict[Which, str] = {
    "above": "one rank above the truth",
    "below": "one rank below the truth",
    "random": "drawn at random",
}


@dataclass(frozen=True, kw_only=True)
class Controls:
    """What removing random units does: as many, out of those that do anything on this input.

    Attributes:
        sets: how many sets were drawn.
        size: how many units each has.
        to_true: after how many of them the answer is the true one.
        away: after how many it is no longer the predicted one.
        margins: score(predicted) − score(true) after each.
    """

    sets: int
    size: int
    to_true: int
    away: int
    margins: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class WrongClass:
    """What the same search takes to make the network say a class that is wrong, too.

    Attributes:
        name: of the class.
        which: ``"above"`` or ``"below"``: its score is the next to that of the true class;
            ``"random"``: drawn from all others.
        rank: its place by score, 1 for the class that is said.
        reached: whether the network says it without the units.
        units: how many units that took; if it wasn't reached, how many were tried.
        tried: how many were removed before any was put back.
    """

    name: str
    which: Which
    rank: int
    reached: bool
    units: int
    tried: int

    @property
    def where(self) -> str:
        """How it was chosen, in words."""
        return _WHERE[self.which]


@dataclass(frozen=True, kw_only=True)
class Collateral:
    """What removing the units does to other answers.

    Attributes:
        examples: how many inputs there were.
        before: the network's accuracy on them.
        after: its accuracy without the units.
        random: the same without as many random units, averaged over a few sets; None without any.
        of_predicted: inputs of the class that was wrongly said.
        predicted_before: the accuracy on these; 0 if there are none.
        predicted_after: the same without the units.
    """

    examples: int
    before: float
    after: float
    random: float | None
    of_predicted: int
    predicted_before: float
    predicted_after: float


def random_sets(removals: Removals, size: int, sets: int, seed: int) -> list[list[int]]:
    """Return sets of units that are active on this input, drawn at random."""
    active = torch.tensor(removals.active(), dtype=torch.long)
    size = min(size, len(active))
    if not size:
        return []
    generator = torch.Generator().manual_seed(seed)
    draws = (torch.randperm(len(active), generator=generator)[:size] for _ in range(sets))
    return [active[draw].tolist() for draw in draws]


def removed_at_random(
    removals: Removals, sets: Sequence[UnitSet], mistake: Mistake
) -> Controls | None:
    """Remove each set of units, and look at the answers; None without any."""
    if not sets:
        return None
    scores = removals.answers(sets)
    outcomes = mistake.outcomes(scores)
    return Controls(
        sets=len(sets),
        size=len(sets[0]),
        to_true=outcomes.count("true"),
        away=sum(outcome != "none" for outcome in outcomes),
        margins=mistake.margins(scores),
    )


def wrong_classes(
    wrong: Mapping[Which, int], found: Sequence[Found], scores: Tensor, names: Names
) -> tuple[WrongClass, ...]:
    """Return what the search found towards each wrong class, with the untouched scores."""
    order = scores[0].argsort(descending=True, stable=True).tolist()
    return tuple(
        WrongClass(
            name=class_name(index, names),
            which=which,
            rank=order.index(index) + 1,
            reached=one.reached,
            units=len(one.units),
            tried=one.tried,
        )
        for (which, index), one in zip(wrong.items(), found, strict=True)
    )


def collateral(
    network: nn.Module,
    cut: Cut,
    loader: Iterable[Any],
    removals: Removals,
    sets: Sequence[UnitSet],
    mistake: Mistake,
) -> Collateral:
    """Count right answers on a loader with all units, and without each set.

    Args:
        network: the network.
        cut: where units are removed.
        loader: of (inputs, labels).
        removals: what units are, and what takes their place.
        sets: the units that were found, and random ones.
        mistake: of which class they are counted by themselves, too.
    """
    right, true = _answered(network, cut, loader, removals, sets[: 1 + _CONTROLS_ON_LOADER])
    share, wronged = right.mean(dim=1), right[:, true == mistake.predicted]
    of = wronged.shape[1]
    return Collateral(
        examples=len(true),
        before=float(share[0]),
        after=float(share[1]),
        random=float(share[2:].mean()) if len(share) > 2 else None,
        of_predicted=of,
        predicted_before=float(wronged[0].mean()) if of else 0.0,
        predicted_after=float(wronged[1].mean()) if of else 0.0,
    )


def _answered(
    network: nn.Module,
    cut: Cut,
    loader: Iterable[Any],
    removals: Removals,
    sets: Sequence[UnitSet],
) -> tuple[Tensor, Tensor]:
    """Return (1 + sets, examples) whether each is answered right, and (examples,) classes."""
    rights, trues = [], []
    for images, labels in labelled(loader, device_of(network)):
        with reruns(network, cut, images) as runs:
            changed = (
                removed(runs.activations, [units], removals.axis, removals.replacement)
                for units in sets
            )
            answers = [runs.scores, *(runs.answer(z) for z in changed)]
            rights.append(torch.stack([scores.argmax(1) == labels for scores in answers]))
        trues.append(labels)
    return torch.cat(rights, dim=1).double(), torch.cat(trues)
