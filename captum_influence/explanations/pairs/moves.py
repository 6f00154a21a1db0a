"""How many answers move from one class to another when units are removed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from captum_influence.data.bars import progress
from captum_influence.data.batches import labelled
from captum_influence.network.devices import device_of
from captum_influence.network.substitution import Reruns, reruns
from captum_influence.units.replacement import Replacement
from captum_influence.units.selection import Selection
from captum_influence.units.units_of import LayerLike, UnitsOf

__all__ = ["Moves", "count_moves"]


@dataclass(frozen=True, kw_only=True)
class Moves:
    """What becomes of right answers when the first k units of a ranking are removed.

    Attributes:
        ks: how many units.
        answers: how many pictures of the class the whole network answers right.
        moved: ranking -> for each k the share of these that become the other class; of several
            random rankings, the mean.
        left: ranking -> the share that become any other.
    """

    ks: tuple[int, ...]
    answers: int
    moved: Mapping[str, tuple[float, ...]]
    left: Mapping[str, tuple[float, ...]]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON can hold it."""
        return {
            "ks": list(self.ks),
            "answers": self.answers,
            "moved": {name: list(values) for name, values in self.moved.items()},
            "left": {name: list(values) for name, values in self.left.items()},
        }


def count_moves(
    model: nn.Module,
    layer: LayerLike,
    rankings: Mapping[str, Sequence[int]],
    loader: Iterable[Any],
    classes: tuple[int, int],
    ks: Sequence[int],
    replacement: Replacement,
    *,
    show_progress: bool = False,
) -> Moves:
    """Remove the first k units of each ranking from pictures of a class that are answered right.

    Args:
        model: the network.
        layer: where the units are.
        rankings: name -> units; those whose names begin with ``random`` are averaged as one,
            ``"random"``.
        loader: yields (images, labels).
        classes: the class, and the other that answers may become.
        ks: how many units.
        replacement: what takes their place.
        show_progress: show a progress bar over the batches.
    """
    units, source = UnitsOf.ensure(layer), classes[0]
    selections = {n: Selection.ensure(r, units.axis, units.heads) for n, r in rankings.items()}
    rows: list[Tensor] = []
    batches = labelled(loader, device_of(model))
    for images, labels in progress(batches, "moves", unit="batch", show=show_progress):
        own = images[labels == source]
        if len(own):
            with reruns(model, units.cut, own) as runs:
                rows.append(_counted(runs, selections.values(), ks, classes, replacement))
    total = sum(rows, start=torch.zeros(2 * len(selections) * len(ks) + 1, dtype=torch.long))
    answers = int(total[0])
    shares = (total[1:].double() / max(answers, 1)).reshape(len(selections), len(ks), 2)
    return Moves(
        ks=tuple(ks),
        answers=answers,
        moved=_averaged(rankings, shares[:, :, 0]),
        left=_averaged(rankings, shares[:, :, 1]),
    )


def _counted(
    runs: Reruns,
    selections: Iterable[Selection],
    ks: Sequence[int],
    classes: tuple[int, int],
    replacement: Replacement,
) -> Tensor:
    """Count, int64 (1 + rankings × ks × 2,): right answers; of these, those moved, those left."""
    source, target = classes
    own, other = runs.activations, replacement.like(runs.activations)
    right = runs.scores.argmax(dim=1) == source
    found = [right.sum()]
    for selection in selections:
        masks = selection.masks(tuple(own.shape[1:])).to(own.device)
        for k in ks:
            scores = runs.answer(torch.where(masks[:k].any(dim=0), other, own))
            answer = scores.argmax(dim=1)
            found += [(right & (answer == target)).sum(), (right & (answer != source)).sum()]
    return torch.stack(found).cpu()


def _averaged(rankings: Iterable[str], shares: Tensor) -> dict[str, tuple[float, ...]]:
    """Return the curve (ks,) of each ranking, all random ones as one."""
    names = ["random" if name.startswith("random") else name for name in rankings]
    return {
        name: tuple(shares[[n == name for n in names]].mean(dim=0).tolist())
        for name in dict.fromkeys(names)
    }
