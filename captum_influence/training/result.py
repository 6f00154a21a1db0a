"""The scores of all training examples: which help a test example, which harm it, through what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor

from captum_influence.data.frames import frame
from captum_influence.data.records import plain
from captum_influence.reports.finding import Finding
from captum_influence.reports.page import Page
from captum_influence.reports.words import counted
from captum_influence.training.page import Table, training_page
from captum_influence.training.scoring import RawScores
from captum_influence.visualization.maps import unit_bars
from captum_influence.visualization.numbers import number, share
from captum_influence.visualization.style import LIGHT, Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["LayerScores"]

_SHOWN = 5  # training examples of each end

_METHOD = (
    "A score predicts how much a test example's loss would rise if the training example were left "
    "out and the layer retrained: the gradient of the one, through the inverse curvature of the "
    "layer, times the gradient of the other. Scores of layers add up to the global ones."
)
_CAVEATS = (
    "Scores are predictions from the curvature at the present weights. Retraining measures; where "
    "the two disagree, believe the retraining.",
    "A training example that the network is certain of has no gradient left and so no influence, "
    "however much it shaped the weights on the way there.",
)


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class LayerScores(Finding):
    """All training examples' influence on test examples, layer by layer, from one pass.

    Attributes:
        scores: raw scores, layer -> (test examples, training examples).
        self_influence: of each training example on itself, layer -> (training examples,).
    """

    any_ending: ClassVar[bool] = True

    scores: Mapping[str, Tensor]
    self_influence: Mapping[str, Tensor]

    @property
    def raw(self) -> RawScores:
        """The scores alone, without the question."""
        return RawScores(self.scores, self.self_influence)

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the layers."""
        return self.raw.layers

    def of(self, layer: str | None, *, normalized: bool) -> Tensor:
        """Return one layer's scores, or with None all layers' sum, (test, training).

        Args:
            layer: its name, or None.
            normalized: divide by the root of each training example's influence on itself.
        """
        return self.raw.of(layer, normalized=normalized)

    def self_of(self, layer: str | None) -> Tensor:
        """Return one layer's self-influences, or with None all layers' sum."""
        return self.raw.self_of(layer)

    @property
    def shares(self) -> dict[str, float]:
        """Each layer's part of the absolute scores, summing to one."""
        strength = {name: float(self.raw.strength(name).mean()) for name in self.layers}
        total = sum(strength.values())
        return {name: value / total if total else 0.0 for name, value in strength.items()}

    @property
    def headline(self) -> str:
        (helpful, gain), *_ = self._extremes(None, largest=True)
        (harmful, loss), *_ = self._extremes(None, largest=False)
        tested, trained = self.of(None, normalized=False).shape
        layer, part = max(self.shares.items(), key=lambda item: item[1])
        return (
            f"Of {trained} training examples, number {helpful} helps the answers to "
            f"{counted(tested, 'test example')} most (mean influence {number(gain)}) and number "
            f"{harmful} harms them most ({number(loss)}); {_named(layer)} has the largest share of "
            f"all influence, {share(part)}."
        )

    def _means(self, layer: str | None) -> Tensor:
        return self.of(layer, normalized=False).detach().cpu().mean(0)

    def _extremes(self, layer: str | None, *, largest: bool) -> list[tuple[int, float]]:
        means = self._means(layer)
        best = means.topk(min(_SHOWN, len(means)), largest=largest)
        return list(zip(best.indices.tolist(), best.values.tolist(), strict=True))

    def plot(self) -> Figure:
        """Draw the training examples that help most and harm most, over all layers."""
        return self._figure(LIGHT)

    def _figure(self, theme: Theme) -> Figure:
        both = dict(self._extremes(None, largest=True))
        both |= dict(reversed(self._extremes(None, largest=False)))
        names = [f"number {index}" for index in both]
        return unit_bars(names, list(both.values()), unit="mean influence", theme=theme)

    def page(self, command: str | None = None) -> Page:
        return training_page(
            self,
            list(self._tables()),
            self._figure,
            method=_METHOD,
            caveats=_CAVEATS,
            command=command,
        )

    def _tables(self) -> Iterator[Table]:
        shares = [(_named(name), share(part)) for name, part in self.shares.items()]
        caption = (
            "The sum of absolute raw scores over all training examples, averaged over the test "
            "examples; a layer with more parameters tends to have more."
        )
        yield Table("Share of influence", ("layer", "share"), shares, caption)
        layers = self.layers if len(self.layers) > 1 else ()  # through the only one is over all
        for layer in (None, *layers):
            title = "Over all layers" if layer is None else f"Through {_named(layer)}"
            pairs = zip(
                self._extremes(layer, largest=True),
                self._extremes(layer, largest=False),
                strict=True,
            )
            columns = ("helps most", "mean influence", "harms most", "mean influence")
            found = [
                (f"number {a}", number(x), f"number {b}", number(y)) for (a, x), (b, y) in pairs
            ]
            yield Table(title, columns, found)

    def to_dict(self) -> dict[str, Any]:
        """Return the extremes and the shares; all scores are in the saved file."""
        found: dict[str, Any] = plain(
            {
                "headline": self.headline,
                "layers": self.layers,
                "examples": list(self.of(None, normalized=False).shape),
                "shares": self.shares,
                "helpful": self._told(largest=True),
                "harmful": self._told(largest=False),
                "call": self.call,
                "settings": self.settings,
                "versions": self.asked.versions,
            }
        )
        return found

    def _told(self, *, largest: bool) -> dict[str, Sequence[Mapping[str, Any]]]:
        keys: dict[str, str | None] = {"all layers": None} | {name: name for name in self.layers}
        return {
            key: [{"index": i, "score": s} for i, s in self._extremes(layer, largest=largest)]
            for key, layer in keys.items()
        }

    def to_frame(self) -> Any:
        """Return a ``pandas.DataFrame`` with a row per layer and training example.

        ``score`` is the mean over the test examples.

        Raises:
            ImportError: if pandas isn't installed.
        """
        columns: dict[str, list[Any]] = {}
        for name in self.layers:
            means = self._means(name).tolist()
            cells: dict[str, list[Any]] = {
                "layer": [name] * len(means),
                "example": list(range(len(means))),
                "score": means,
                "self_influence": self.self_of(name).tolist(),
            }
            for key, values in cells.items():
                columns.setdefault(key, []).extend(values)
        return frame(columns)


def _named(layer: str) -> str:
    return f"layer {layer}" if layer else "the layer"
