"""How well few units tell a class from the rest, by whichever ranking they are chosen."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from typing_extensions import TypedDict, Unpack

from captum_influence.attr.run import Run
from captum_influence.data.bars import progress
from captum_influence.data.batches import labelled
from captum_influence.data.labels import Names
from captum_influence.experts.curves.result import ExpertCurves, OneAgainstRest
from captum_influence.network.cuts import Cut, layer_name
from captum_influence.network.devices import device_of
from captum_influence.network.inputs import none_of
from captum_influence.network.outputs import Output
from captum_influence.network.substitution import Reruns, reruns
from captum_influence.reports.asked import Asked
from captum_influence.units.axes import AxisLike
from captum_influence.units.given_loader import loader_given
from captum_influence.units.options import check_options, collected
from captum_influence.units.ranking import UnitInfluence
from captum_influence.units.replacement import Replace, Replacement
from captum_influence.units.result import Ranking
from captum_influence.units.selection import NamedUnit, Selection
from captum_influence.units.units_of import LayerLike, UnitsOf

__all__ = ["CurveOptions", "expert_curves"]

Ranked = Ranking | Selection | Sequence[NamedUnit]


class CurveOptions(TypedDict, total=False):
    """What :func:`expert_curves` takes by keyword besides.

    ``axis`` and ``heads`` say what a unit is where the rankings don't; ``seed`` is that of
    ``replace="resample"``.
    """

    axis: AxisLike | None
    heads: int | None
    class_names: Names
    tokenizer: Any
    seed: int
    show_progress: bool
    output: Output
    run: Run


def expert_curves(
    model: nn.Module,
    loader: Iterable[Any],
    layer: LayerLike,
    target: int | str,
    rankings: Mapping[str, Ranked],
    *,
    ks: Sequence[int] | None = None,
    mode: Literal["keep", "remove"] = "keep",
    replace: Replace | Replacement = 0,
    **options: Unpack[CurveOptions],
) -> ExpertCurves:
    """Measure how well the first k units of each ranking tell a class from the rest.

    The class is said where it has the highest score. What comes before the layer runs once per
    batch, whatever the number of rankings and of ks.

    Args:
        model: the network.
        loader: yields (images, labels), or prompts as :func:`essence` takes them; best others than
            the rankings were made from.
        layer: a module, a dotted name, a Cut or :class:`UnitsOf`.
        target: the class, by number or name.
        rankings: name -> units, the first one first; see :func:`class_rankings`.
        ks: how many units; None: 1, 2, 3, 4, 6, 8, 12, ... up to all that are ranked.
        mode: ``"keep"`` only the units, or ``"remove"`` them.
        replace: what takes the place of removed units, see :class:`Expert`; ``"mean"`` and
            ``"resample"`` are those of the ``loader``.
        options: see :class:`CurveOptions`.

    Raises:
        ValueError: if the loader holds no image of the class, or a k is out of range.

    Example:
        >>> from captum_influence.demo import SceneDataset, load_demo_network
        >>> scenes, chosen = [SceneDataset(16, seed=5).stacked()], {"by hand": [70, 23, 49]}
        >>> found = expert_curves(load_demo_network(), scenes, "relu5", 0, chosen)
        >>> found.ks, list(found.counts)
        ((1, 2, 3), ['by hand'])
    """
    asked, began = Asked.of(expert_curves, locals()), time.perf_counter()
    check_options("expert_curves", options, CurveOptions)
    run: Run = collected("expert_curves", "run", Run, options)
    if mode not in ("keep", "remove"):
        raise ValueError(f'expected mode="keep" or mode="remove", got {mode!r}')
    given = loader_given("expert_curves", model, loader, options)
    network, cut, loader = given.network, UnitsOf.ensure(layer).cut, given.loader
    asked_for, number = _selections(layer, rankings, options), given.target(target)
    ks = _checked_ks(ks, asked_for)
    replacement = Replacement.with_loader(replace, network, cut, loader, run.seed)
    trial = _Trial(network, cut, asked_for, ks, mode, replacement, number)
    (whole, *rest), selections, shape = trial.over(loader, run)
    return ExpertCurves(
        asked=asked,
        network=type(network).__name__,
        layer=layer_name(network, cut),
        target=number,
        name=given.shown.name(number),
        ks=ks,
        counts={n: tuple(rest[i * len(ks) : (i + 1) * len(ks)]) for i, n in enumerate(selections)},
        whole=whole,
        mode=mode,
        replaced_by=replacement.in_words(),
        rankings={n: _units(rankings[n], chosen, shape) for n, chosen in selections.items()},
        noun=given.noun,
        seconds=time.perf_counter() - began,
    )


@dataclass(frozen=True, eq=False)
class _Trial:
    """What is kept or removed where, and which class is told."""

    model: nn.Module
    cut: Cut
    selections: Mapping[str, Selection]
    ks: tuple[int, ...]
    mode: str
    replacement: Replacement
    target: int

    def over(
        self, loader: Iterable[Any], run: Run
    ) -> tuple[list[OneAgainstRest], Mapping[str, Selection], tuple[int, ...]]:
        """Count over a loader: the whole network, then each ranking's ks.

        Returns:
            the counts, the rankings along the layer's axis, and the layer's shape.
        """
        rows: list[list[OneAgainstRest]] = []
        shape: tuple[int, ...] = ()
        trial = self
        batches = labelled(loader, device_of(self.model))
        for images, labels in progress(batches, "experts", unit="batch", show=run.show_progress):
            with reruns(self.model, self.cut, images) as runs:
                shape = tuple(runs.activations.shape[1:])
                if not rows:
                    trial = self._at(shape, images)
                rows.append(trial.count(runs, labels == self.target))
        counts = [sum(column[1:], start=column[0]) for column in zip(*rows, strict=True)]
        if not counts[0].hits + counts[0].misses:
            raise ValueError(none_of(self.model, self.target))
        return counts, trial.selections, shape

    def _at(self, shape: tuple[int, ...], images: Tensor) -> _Trial:
        """Return it with the units of this layer, which is run on images."""
        found = {n: s.at(shape, self.model, self.cut, images) for n, s in self.selections.items()}
        return dataclasses.replace(self, selections=found)

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


def _selections(
    layer: LayerLike,
    rankings: Mapping[str, Ranked],
    options: CurveOptions,
) -> dict[str, Selection]:
    axis, heads = options.get("axis"), options.get("heads")
    if isinstance(layer, UnitsOf):
        if axis is not None or heads is not None:
            raise TypeError(
                "expert_curves() got layer=UnitsOf(...) and axis or heads beside it: say it in one "
                "of the two"
            )
        axis, heads = layer.axis, layer.heads
    found = {name: Selection.ensure(units, axis, heads) for name, units in rankings.items()}
    if not found or not all(len(selection) for selection in found.values()):
        raise ValueError("expected at least one ranking, of at least one unit each")
    return found


def _checked_ks(ks: Sequence[int] | None, selections: Mapping[str, Selection]) -> tuple[int, ...]:
    most = min(len(selection) for selection in selections.values())
    if ks is None:
        grid = {round(2 ** (step / 2)) for step in range(2 * most.bit_length())}
        return tuple(sorted({k for k in grid if k < most} | {most}))
    chosen = tuple(sorted(set(ks)))
    if not chosen or chosen[0] < 1 or chosen[-1] > most:
        raise ValueError(f"expected ks from 1 to the {most} ranked units, got {list(ks)}")
    return chosen


def _units(given: Ranked, chosen: Selection, shape: tuple[int, ...]) -> tuple[UnitInfluence, ...]:
    """Return the units of a ranking, with what they did where that is known."""
    named = chosen.units(shape)
    if isinstance(given, Selection):
        return named
    both = zip(given, named, strict=True)
    return tuple(own if isinstance(own, UnitInfluence) else other for own, other in both)
