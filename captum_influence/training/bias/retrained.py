"""What retraining changed: losses and accuracies of groups, before, in a control, and after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from captum_influence.data.frames import frame
from captum_influence.data.records import plain
from captum_influence.reports.finding import Finding
from captum_influence.reports.page import Page
from captum_influence.reports.words import counted
from captum_influence.training.page import Table, training_page
from captum_influence.visualization.maps import unit_bars
from captum_influence.visualization.numbers import number, share
from captum_influence.visualization.style import LIGHT, Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Performance", "RetrainingResult"]

_METHOD = (
    "Copies of the network were trained on from its weights by the same recipe, once on the "
    "unchanged data, the control, and once on the changed data. Compare the last with the control: "
    "what the two share, retraining alone does."
)
_CAVEATS = (
    "One run of each: another order of the examples would give somewhat other losses.",
    "A loss that rises in the control too says that the recipe is too coarse, not what the images "
    "do.",
)


@dataclass(frozen=True)
class Performance:
    """How a model does on a group: mean loss, and accuracy where targets are classes."""

    loss: float
    accuracy: float | None


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class RetrainingResult(Finding):
    """Losses per group: as it was, retrained on all data (control), and on the changed data.

    The effect of the images is ``changed`` against ``control``; ``before`` shows what retraining
    alone does.

    Attributes:
        layers: those that were retrained.
        removed: how many training examples were left out.
        repaired: how many were replaced.
        before: each group's performance before retraining.
        control: after retraining on the unchanged data.
        changed: after retraining on the changed data.
    """

    layers: tuple[str, ...]
    removed: int
    repaired: int
    before: Mapping[str, Performance]
    control: Mapping[str, Performance]
    changed: Mapping[str, Performance]

    def effect(self, group: str) -> float:
        """Return how much the group's mean loss falls, against the control."""
        return self.control[group].loss - self.changed[group].loss

    @property
    def stages(self) -> dict[str, Mapping[str, Performance]]:
        """All performances, by stage and group."""
        return {"before": self.before, "control": self.control, "changed": self.changed}

    @property
    def headline(self) -> str:
        changes = {
            f"without {counted(self.removed, 'training example')}": self.removed,
            f"with {counted(self.repaired, 'training example')} repaired": self.repaired,
        }
        done = " and ".join(words for words, count in changes.items() if count)
        group = max(self.before, key=lambda name: abs(self.effect(name)))
        return (
            f"Retrained {done}, the mean loss on {group} is {number(self.changed[group].loss)}; "
            f"retrained in the same way on all of them, {number(self.control[group].loss)}."
        )

    def plot(self) -> Figure:
        """Draw each group's mean loss before, in the control and on the changed data."""
        return self._figure(LIGHT)

    def _figure(self, theme: Theme) -> Figure:
        losses = {
            f"{group}, {stage}": found[group].loss
            for group in self.before
            for stage, found in self.stages.items()
        }
        return unit_bars(list(losses), list(losses.values()), unit="mean loss", theme=theme)

    def page(self, command: str | None = None) -> Page:
        return training_page(
            self, self.tables(), self._figure, method=_METHOD, caveats=_CAVEATS, command=command
        )

    def tables(self) -> list[Table]:
        """Return what a page shows: losses, and accuracies where targets are classes."""
        columns = ("group", *self.stages)
        losses = [
            (group, *(number(found[group].loss) for found in self.stages.values()))
            for group in self.before
        ]
        accuracies = [
            (group, *(_percent(found[group].accuracy) for found in self.stages.values()))
            for group in self.before
            if self.before[group].accuracy is not None
        ]
        found = [Table("Mean loss", columns, losses)]
        return [*found, Table("Accuracy", columns, accuracies)] if accuracies else found

    def to_dict(self) -> dict[str, Any]:
        found: dict[str, Any] = plain(
            {
                "headline": self.headline,
                "layers": self.layers,
                "removed": self.removed,
                "repaired": self.repaired,
                **self.stages,
                "effect": {group: self.effect(group) for group in self.before},
                "call": self.call,
                "settings": self.settings,
                "versions": self.asked.versions,
            }
        )
        return found

    def to_frame(self) -> Any:
        """Return a ``pandas.DataFrame`` with a row per group and stage.

        Raises:
            ImportError: if pandas isn't installed.
        """
        rows = [
            {"group": group, "stage": stage, **asdict(found[group])}
            for group in self.before
            for stage, found in self.stages.items()
        ]
        return frame({name: [row[name] for row in rows] for name in rows[0]})


def _percent(accuracy: float | None) -> str:
    return "–" if accuracy is None else share(accuracy)
