"""What was measured of one layer or several, made into a ranking."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from captum_influence.reports.asked import Asked
from captum_influence.units.axes import Aggregate, Axis
from captum_influence.units.ranking import By, UnitValues
from captum_influence.units.replacement import MeanActivation, Replace, Replacement, Resample
from captum_influence.units.result import JointRanking, Ranking

__all__ = ["How", "LayerUnits", "naming"]


@dataclass(frozen=True, eq=False)
class LayerUnits:
    """The units of one layer, measured: as :func:`rank_units` is given them."""

    influences: Any
    activations: Any
    reference: Any
    axis: Any
    heads: int | None
    aggregate: Aggregate

    def counting_from(self, replace: Replace | Replacement | None) -> LayerUnits:
        """Return the layer with what a removal puts there as its reference."""
        if replace is None:
            return self
        if self.reference is not None or self.activations is None:
            raise ValueError(
                "expected replace= beside activations and without reference=, which both say where "
                "displacements start: leave one out"
            )
        own = self.activations
        instead = Replacement.among(replace, own)
        return dataclasses.replace(self, reference=instead.like(own).expand_as(own))

    def pooled(self, by: str, change: float | None, name: str | None) -> UnitValues:
        """Return what each unit did."""
        self._check(by)
        values = self.influences
        if by == "contribution":
            values = values * (
                self.activations - (0.0 if self.reference is None else self.reference)
            )
        return UnitValues.pooled(
            values,
            Axis.ensure(self.axis, tuple(values.shape[1:]), self.heads),
            self.aggregate,
            self.activations,
            self.reference,
            change=change,
            layer=name,
        )

    def _check(self, by: str) -> None:
        if not isinstance(self.influences, Tensor):
            raise TypeError(
                "expected the influences at one layer as a tensor (examples, ...), or of several "
                f"as a mapping or a list of such, got {type(self.influences).__name__}"
            )
        if by not in ("influence", "contribution"):
            raise ValueError(f'expected by="influence" or by="contribution", got {by!r}')
        if by == "contribution" and self.activations is None:
            raise ValueError('by="contribution" multiplies by activations: pass them as the second')
        if self.activations is not None and self.activations.shape != self.influences.shape:
            raise ValueError(
                f"expected activations shaped like the influences, {tuple(self.influences.shape)}, "
                f"got {tuple(self.activations.shape)}"
            )


@dataclass(frozen=True, eq=False)
class How:
    """How units are ranked, of one layer or of several."""

    asked: Asked
    by: By
    top: int | None
    change: float | None
    replace: Replace | Replacement | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def alone(self, parts: Sequence[LayerUnits], name: str | None = None) -> Ranking:
        """Rank one layer's units, measured on one batch, or on several that differ in shape."""
        replace = self.replace if len(parts) == 1 else _over_all(self.replace, parts)
        counts = [len(part.influences) for part in parts]
        found = UnitValues.merged(
            [part.counting_from(replace).pooled(self.by, self.change, name) for part in parts],
            counts,
        )
        asked = self.asked if name is None else self.asked.at(f".layers[{name!r}]")
        facts = {**self.facts, "examples": sum(counts)}
        units = found.highest(self.top)
        return Ranking.of(asked, found, units, self.by, parts[0].aggregate, facts)

    def together(self, layers: Mapping[str, Sequence[LayerUnits]]) -> JointRanking:
        """Rank the units of several layers by their shares."""
        ranked = {}
        for name, parts in layers.items():
            with naming(name):
                ranked[name] = self.alone(parts, name)
        examples = sum(len(part.influences) for part in next(iter(layers.values())))
        return JointRanking.of(self.asked, ranked, self.top, {**self.facts, "examples": examples})


def _over_all(
    replace: Replace | Replacement | None, parts: Sequence[LayerUnits]
) -> Replace | Replacement | None:
    """Return what a removal puts there, a mean being that over the tokens of all prompts."""
    if isinstance(replace, str) and replace == "mean":
        return MeanActivation.of_prompts([part.activations for part in parts])[0]
    if isinstance(replace, str) and replace == "resample":
        return Resample.of([part.activations for part in parts])
    return replace


@contextmanager
def naming(layer: str) -> Iterator[None]:
    """Let what is wrong with one of several layers say which."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise type(error)(f"layer {layer}: {error}") from None
