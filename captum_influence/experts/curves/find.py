"""How well few units tell a class from the rest, by whichever ranking they are chosen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from captum_influence.data.batches import labelled
from captum_influence.data.labels import Names, class_name
from captum_influence.network.cuts import Cut, layer_name
from captum_influence.network.devices import device_of
from captum_influence.network.substitution import Reruns, reruns
from captum_influence.units.axes import AxisLike
from captum_influence.units.ranking import Ranking
from captum_influence.units.replacement import Replace, Replacement
from captum_influence.units.selection import NamedUnit, Selection

if TYPE_CHECKING:
    pass
from captum_influence.experts.curves.result import ExpertCurves, OneAgainstRest

__all__ = ["expert_curves"]


def expert_curves(
    model: nn.Module,
    layer: nn.Module | str | Cut,
    rankings: Mapping[str, Ranking | Sequence[NamedUnit]],
    loader: Iterable[Any],
    target: int,
    *,
    ks: Sequence[int] | None = None,
    mode: Literal["keep", "remove"] = "keep",
    replace: Replace | Replacement = 0,
    reference: Tensor | Iterable[Any] | None = None,
    axis: AxisLike | None = None,
    seed: int = 0,
    class_names: Names = None,
    show_progress: bool = False,
) -> ExpertCurves:
    """Measure how well the first k units of each ranking tell a class from the rest.

    The class is said where it has the highest score. What comes before the layer runs once per
    batch, whatever the number of rankings and of ks.

    Args:
        model: the network.
        layer: a module, a dotted name or a Cut.
        rankings: name -> units, the first one first; see :func:`class_rankings`.
        loader: yields (images, labels), best others than the rankings were made from.
        target: the class.
        ks: how many units; None: 1, 2, 3, 4, 6, 8, 12, ... up to all that are ranked.
        mode: ``"keep"`` only the units, or ``"remove"`` them.
        replace: what takes the place of removed units, with its ``reference``: see
            :class:`Expert`.
        reference: see ``replace``.
        axis: what one unit is; None: as the units say, or channels.
        seed: of ``replace="resample"``.
        class_names: a name for each class.
        show_progress: show a progress bar over the batches.

    Raises:
        ValueError: if the loader holds no image of the class, or a k is out of range.
    """
    selections = {name: Selection.ensure(units, axis) for name, units in rankings.items()}
    ks = _checked_ks(ks, selections)
    if mode not in ("keep", "remove"):
        raise ValueError(f'expected mode="keep" or mode="remove", got {mode!r}')
    cut = Cut.ensure(layer)
    replacement = Replacement.ensure(replace, model, cut, reference, seed)
    asked = _Question(selections, ks, mode, replacement, target)
    rows: list[list[OneAgainstRest]] = []
    for images, labels in tqdm(
        labelled(loader, device_of(model)), disable=not show_progress, unit="batch"
    ):
        with reruns(model, cut, images) as runs:
            rows.append(asked.count(runs, labels == target))
    whole, *rest = (sum(column[1:], start=column[0]) for column in zip(*rows, strict=True))
    if not whole.hits + whole.misses:
        raise ValueError(f"the loader holds no image of class {target}: give one that does")
    return ExpertCurves(
        ks,
        {n: tuple(rest[i * len(ks) : (i + 1) * len(ks)]) for i, n in enumerate(selections)},
        whole,
        f"{class_name(target, class_names)} against the rest, by units of {layer_name(model, cut)}",
        mode,
    )


@dataclass(frozen=True, eq=False)
class _Question:
    selections: Mapping[str, Selection]
    ks: tuple[int, ...]
    mode: str
    replacement: Replacement
    target: int

    def count(self, runs: Reruns, true: Tensor) -> list[OneAgainstRest]:
        """Count on one batch: first the whole network, then each ranking's ks in turn."""
        if not 0 <= self.target < runs.scores.shape[1]:
            raise ValueError(
                f"expected a class from 0 to {runs.scores.shape[1] - 1}, got {self.target}"
            )
        found = [self._counted(runs.scores, true)]
        own, other = runs.activations, self.replacement.like(runs.activations)
        for selection in self.selections.values():
            masks = selection.masks(tuple(own.shape[1:])).to(own.device)
            for k in self.ks:
                chosen = masks[:k].any(dim=0)
                replaced = chosen if self.mode == "remove" else ~chosen
                scores = runs.answer(torch.where(replaced, other, own))
                found.append(self._counted(scores, true))
        return found

    def _counted(self, scores: Tensor, true: Tensor) -> OneAgainstRest:
        return OneAgainstRest.of(scores.argmax(dim=1) == self.target, true)


def _checked_ks(ks: Sequence[int] | None, selections: Mapping[str, Selection]) -> tuple[int, ...]:
    if not selections or not all(len(selection) for selection in selections.values()):
        raise ValueError("expected at least one ranking, of at least one unit each")
    most = min(len(selection) for selection in selections.values())
    if ks is None:
        grid = {round(2 ** (step / 2)) for step in range(2 * most.bit_length())}
        return tuple(sorted({k for k in grid if k < most} | {most}))
    chosen = tuple(sorted(set(ks)))
    if not chosen or chosen[0] < 1 or chosen[-1] > most:
        raise ValueError(f"expected ks from 1 to the {most} ranked units, got {list(ks)}")
    return chosen
