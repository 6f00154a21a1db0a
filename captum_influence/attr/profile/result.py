"""The measure over a data set: mean influences of every unit, group by group, in one pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor

from captum_influence.attr.influence import DistributionalInfluence
from captum_influence.attr.profile.moments import Moments
from captum_influence.attr.profile.one_pass import (
    Aggregate,
    Group,
    GroupBy,
    Questioner,
    State,
    merged,
    passed,
)
from captum_influence.attr.profile.page import profile_figure, profile_page
from captum_influence.data.frames import frame
from captum_influence.data.records import plain
from captum_influence.data.resume import Resume
from captum_influence.data.sharding import PATIENCE, joined_shard
from captum_influence.reports.asked import Asked
from captum_influence.reports.finding import Finding
from captum_influence.reports.page import Page
from captum_influence.reports.words import counted
from captum_influence.visualization.numbers import give_or_take

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Difference", "InfluenceProfile", "UnitStatistic"]

_TOLD = 10  # units of each end that the dict names


@dataclass(frozen=True)
class UnitStatistic:
    """A unit's mean influence over a group, and the standard error of that mean."""

    index: int
    mean: float
    standard_error: float


@dataclass(frozen=True, eq=False)
class Difference:
    """The difference of two groups' means, and its standard error, each (units,)."""

    mean: Tensor
    standard_error: Tensor


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class InfluenceProfile(Finding):
    """Count, mean and variance of each unit's influence, by group.

    Made by :meth:`over`. Statistics are float64 tensors (units,), addressed by group, and where
    there are several by ``layer`` (name or place) and ``quantity`` (place).

    Attributes:
        layers: names of the layers.
        quantities: how many quantities there are.
        moments: for each group, for each layer, the moments of (quantities, units).
        facts: what was asked, in words: the quantities, the distribution, the aggregate, ...
    """

    stem: ClassVar[str | None] = "profile"
    any_ending: ClassVar[bool] = True

    layers: tuple[str, ...]
    quantities: int
    moments: Mapping[Group, tuple[Moments, ...]]
    facts: Mapping[str, Any]

    @staticmethod
    def over(
        influence: DistributionalInfluence,
        loader: Iterable[Any],
        *,
        group_by: GroupBy = None,
        aggregate: Aggregate = "sum",
        axis: int = 1,
        checkpoint: str | Path | None = None,
        checkpoint_every: int = 16,
        internal_batch_size: int | None = None,
        patience: float = PATIENCE,
        show_progress: bool = False,
    ) -> InfluenceProfile:
        """Profile a data set in one pass; memory doesn't grow with its length.

        Under ``torchrun`` each process takes its share of the batches, and all return the whole.

        Args:
            influence: the question. If it has no quantity, that is the score of the label: of a
                class, or of a language model's next token, by its number; or its text, where
                prompts know their tokenizer, as those of :class:`Prompts` do.
            loader: yields inputs, (inputs, labels), ((first, second), labels), or mappings with
                ``"labels"``; what may be an input or a label is asked about.
            group_by: ``"label"``, ``"predicted"``, a function of (inputs, labels) that returns a
                group for each example, or None: one group, ``"all"``.
            aggregate: how a unit's positions are summed up: ``"sum"``, ``"mean"``, ``"max"``, or a
                function from (..., units, positions) to (..., units).
            axis: the dimension that counts units: 1 for channels, 2 for features of tokens.
            checkpoint: a file; a run that was killed goes on from it, and ends as if it hadn't
                been, if weights, data and question are the same. It is removed at the end.
            checkpoint_every: batches between two checkpoints.
            internal_batch_size: (example, point) rows per pass.
            patience: seconds that a process which is done waits for the others, under torchrun. One
                that dies fails the run without that; checkpoints are kept.
            show_progress: show a progress bar over the batches.

        Raises:
            ValueError: if the loader is empty, or the checkpoint belongs to another question.
            RuntimeError: if another process of the run has died, or does not answer in time.
        """
        asked = Asked.of(InfluenceProfile.over, locals())
        questioner = Questioner(influence, group_by, aggregate, axis, internal_batch_size)
        shard = joined_shard(questioner.device, patience)
        path = None if checkpoint is None else Path(checkpoint)
        resume = Resume(path, State, {}, shard, checkpoint_every)
        own = passed(questioner, loader, resume, show_progress=show_progress)
        moments = merged(own, shard)
        resume.remove()
        return InfluenceProfile(
            asked=asked,
            layers=questioner.layers,
            quantities=questioner.quantities,
            moments=moments,
            facts=questioner.facts,
        )

    @property
    def groups(self) -> tuple[Group, ...]:
        """The groups, sorted."""
        return tuple(self.moments)

    def count(self, group: Group | None = None) -> int:
        """Return the number of examples in a group."""
        return self._of(group, 0).count

    def mean(
        self, group: Group | None = None, *, layer: int | str = 0, quantity: int = 0
    ) -> Tensor:
        """Return the mean influence of each unit, (units,)."""
        return self._of(group, layer).mean[quantity]

    def variance(
        self, group: Group | None = None, *, layer: int | str = 0, quantity: int = 0
    ) -> Tensor:
        """Return the variance among examples of each unit's influence, (units,)."""
        return self._of(group, layer).variance[quantity]

    def standard_error(
        self, group: Group | None = None, *, layer: int | str = 0, quantity: int = 0
    ) -> Tensor:
        """Return the standard error of the mean, (units,)."""
        return self._of(group, layer).standard_error[quantity]

    def top(
        self,
        k: int = 5,
        group: Group | None = None,
        *,
        layer: int | str = 0,
        quantity: int = 0,
        lowest: bool = False,
    ) -> list[UnitStatistic]:
        """Return the k units of largest (or, ``lowest``, smallest) mean influence."""
        means = self.mean(group, layer=layer, quantity=quantity)
        errors = self.standard_error(group, layer=layer, quantity=quantity)
        order = means.argsort(descending=not lowest, stable=True)[:k].tolist()
        return [UnitStatistic(i, float(means[i]), float(errors[i])) for i in order]

    def difference(
        self, a: Group, b: Group, *, layer: int | str = 0, quantity: int = 0
    ) -> Difference:
        """Return mean(a) - mean(b) and its standard error, the groups being independent."""
        where: dict[str, Any] = {"layer": layer, "quantity": quantity}
        errors = [self.standard_error(group, **where) for group in (a, b)]
        return Difference(
            self.mean(a, **where) - self.mean(b, **where),
            (errors[0] ** 2 + errors[1] ** 2).sqrt(),
        )

    def _of(self, group: Group | None, layer: int | str) -> Moments:
        if group is None and len(self.moments) > 1:
            raise ValueError(f"there are several groups, {list(self.groups)}: name one")
        chosen = self.groups[0] if group is None else group
        if chosen not in self.moments:
            raise ValueError(f"there is no group {chosen!r}; there are {list(self.groups)}")
        place = self.layers.index(layer) if layer in self.layers else layer
        if not isinstance(place, int) or place >= len(self.layers):
            raise ValueError(f"there is no layer {layer!r}; there are {list(self.layers)}")
        return self.moments[chosen][place]

    @property
    def headline(self) -> str:
        group, layer, quantity, unit = self._largest()
        examples = counted(sum(layers[0].count for layers in self.moments.values()), "example")
        of = f" in {len(self.moments)} groups" if len(self.moments) > 1 else ""
        where = f" in group {group}" if len(self.moments) > 1 else ""
        mean = give_or_take(unit.mean, unit.standard_error)
        return (
            f"Over {examples}{of}, unit {unit.index} of layer {self.layers[layer]} has the largest "
            f"mean {self.measure} {self.facts['quantities'][quantity]}{where}: {mean}."
        )

    @property
    def measure(self) -> str:
        """What was averaged, with its preposition: ``"contribution to"``, ``"influence on"``."""
        measure = str(self.facts["measure"])
        return f"{measure} {'to' if measure == 'contribution' else 'on'}"

    def _largest(self) -> tuple[Group, int, int, UnitStatistic]:
        """Return the unit of largest mean, and its group, layer and quantity."""
        first = (
            (group, layer, quantity, self.top(1, group, layer=layer, quantity=quantity)[0])
            for group, layer, quantity in self._cells()
        )
        return max(first, key=lambda cell: cell[3].mean)

    def _cells(self) -> Iterable[tuple[Group, int, int]]:
        layers, quantities = range(len(self.layers)), range(self.quantities)
        return [(g, i, q) for g in self.groups for i in layers for q in quantities]

    def plot(
        self, k: int = 8, *, layer: int | str = 0, quantity: int = 0, groups: Sequence[Group] = ()
    ) -> Figure:
        """Draw each group's k top units with their standard errors; without ``groups``, a dozen."""
        return profile_figure(self, k, layer=layer, quantity=quantity, groups=groups)

    def page(self, command: str | None = None) -> Page:
        return profile_page(self, command)

    def to_dict(self) -> dict[str, Any]:
        found: dict[str, Any] = plain(
            {
                "headline": self.headline,
                "layers": self.layers,
                "groups": [{"group": g, "count": self.count(g)} for g in self.groups],
                "units": [self._told(*cell) for cell in self._cells()],
                "facts": self.facts,
                "call": self.call,
                "settings": self.settings,
                "versions": self.asked.versions,
            }
        )
        return found

    def _told(self, group: Group, layer: int, quantity: int) -> dict[str, Any]:
        where: dict[str, Any] = {"layer": layer, "quantity": quantity}
        return {
            "group": group,
            "layer": self.layers[layer],
            "quantity": self.facts["quantities"][quantity],
            "highest": [asdict(unit) for unit in self.top(_TOLD, group, **where)],
            "lowest": [asdict(unit) for unit in self.top(_TOLD, group, lowest=True, **where)],
        }

    def to_frame(self) -> Any:
        """Return a ``pandas.DataFrame`` with a row per group, layer, quantity and unit.

        Raises:
            ImportError: if pandas isn't installed.
        """
        columns: dict[str, list[Any]] = {}
        for group, layer, quantity in self._cells():
            where: dict[str, Any] = {"layer": layer, "quantity": quantity}
            means = self.mean(group, **where).tolist()
            cells: dict[str, list[Any]] = {
                "group": [group] * len(means),
                "layer": [self.layers[layer]] * len(means),
                "quantity": [quantity] * len(means),
                "unit": list(range(len(means))),
                "mean": means,
                "standard_error": self.standard_error(group, **where).tolist(),
                "count": [self.count(group)] * len(means),
            }
            for name, values in cells.items():
                columns.setdefault(name, []).extend(values)
        return frame(columns)
