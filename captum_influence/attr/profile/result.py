"""The measure over a data set: mean influences of every unit, group by group, in one pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    own_path,
    packed,
    passed,
    unpacked,
)
from captum_influence.data.files import read_tensors, write_tensors
from captum_influence.data.sharding import PATIENCE, joined_shard
from captum_influence.visualization.style import (
    BLUE,
    LIGHT,
    ORANGE,
    draw_title,
    empty_figure,
    plain_axes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Difference", "InfluenceProfile", "UnitStatistic"]


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


@dataclass(frozen=True, eq=False)
class InfluenceProfile:
    """Count, mean and variance of each unit's influence, by group.

    Made by :meth:`over`. Statistics are float64 tensors (units,), addressed by group, and where
    there are several by ``layer`` (name or place) and ``quantity`` (place).

    Attributes:
        layers: names of the layers.
        quantities: how many quantities there are.
        moments: for each group, for each layer, the moments of (quantities, units).
        settings: how it was made, JSON-able.
    """

    layers: tuple[str, ...]
    quantities: int
    moments: Mapping[Group, tuple[Moments, ...]]
    settings: Mapping[str, Any]

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
            influence: the question. If it has no quantity, that is the score of the label.
            loader: yields inputs, or (inputs, labels).
            group_by: ``"label"``, ``"predicted"``, a function of (inputs, labels) that returns a
                group for each example, or None: one group, ``"all"``.
            aggregate: how a unit's positions are summed up: ``"sum"``, ``"mean"``, ``"max"``, or a
                function from (..., units, positions) to (..., units).
            axis: the dimension that counts units: 1 for channels, 2 for features of tokens.
            checkpoint: a file; a run that was killed goes on from it, and ends as if it hadn't
                been. It is removed at the end.
            checkpoint_every: batches between two checkpoints.
            internal_batch_size: (example, point) rows per pass.
            patience: seconds that a process which is done waits for the others, under torchrun. One
                that dies fails the run without that; checkpoints are kept.
            show_progress: show a progress bar over the batches.

        Raises:
            ValueError: if the loader is empty, or the checkpoint belongs to another question.
            RuntimeError: if another process of the run has died, or lets wait too long.
        """
        run = Questioner(influence, group_by, aggregate, axis, internal_batch_size)
        shard = joined_shard(run.device, patience)
        path = None if checkpoint is None else own_path(Path(checkpoint), shard)
        state = State.resumed(path, loader, run, shard)
        state = passed(run, state, shard, path, checkpoint_every, show_progress)
        moments = merged(state.moments, shard)
        if path is not None:
            path.unlink(missing_ok=True)
        if not moments:
            raise ValueError("the loader is empty: expected at least one batch")
        return InfluenceProfile(run.layers, run.quantities, moments, run.settings)

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

    def save(self, path: str | Path) -> None:
        """Write the profile as safetensors with a JSON header; needs safetensors."""
        header = {"layers": self.layers, "quantities": self.quantities, "settings": self.settings}
        groups, tensors = packed(self.moments)
        write_tensors(Path(path), "profile", {**header, "groups": groups}, tensors)

    @staticmethod
    def load(path: str | Path) -> InfluenceProfile:
        """Read a saved profile.

        Raises:
            ValueError: if the file is truncated, foreign, or of a later version.
        """
        header, tensors = read_tensors(Path(path), "profile")
        moments = unpacked(header["groups"], tensors)
        layers = tuple(header["layers"])
        return InfluenceProfile(layers, header["quantities"], moments, header["settings"])

    def plot(
        self, k: int = 8, *, layer: int | str = 0, quantity: int = 0, groups: Sequence[Group] = ()
    ) -> Figure:
        """Draw each group's k top units, with their standard errors."""
        chosen = tuple(groups) or self.groups
        figure = empty_figure(2.6 * len(chosen), 0.32 * k + 1.2, LIGHT)
        for place, group in enumerate(chosen, start=1):
            axes = figure.add_subplot(1, len(chosen), place)
            self._draw(axes, group, self.top(k, group, layer=layer, quantity=quantity))
        figure.axes[0].set_ylabel("unit", fontsize=9, color=LIGHT.ink)
        return figure

    def _draw(self, axes: Axes, group: Group, units: Sequence[UnitStatistic]) -> None:
        places, means = range(len(units)), [unit.mean for unit in units]
        known = [0.0 if isnan(unit.standard_error) else unit.standard_error for unit in units]
        axes.barh(places, means, color=[ORANGE if mean >= 0 else BLUE for mean in means])
        axes.errorbar(means, places, xerr=known, fmt="none", ecolor=LIGHT.ink, capsize=2)
        axes.axvline(0, color=LIGHT.ink, linewidth=0.8)
        axes.set_yticks(places, [str(unit.index) for unit in units])
        axes.invert_yaxis()
        draw_title(axes, f"{group} (n = {self.count(group)})", LIGHT)
        measured = "contribution" if self.settings.get("multiply_by_inputs") else "influence"
        axes.set_xlabel(f"mean {measured}", fontsize=9, color=LIGHT.ink)
        plain_axes(axes, LIGHT)
