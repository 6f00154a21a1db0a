"""The answer of ``explain_text``: what matters in a prompt, and what replacing it did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from captum_influence.data.frames import frame
from captum_influence.data.records import plain
from captum_influence.explanations.texts.page import text_page
from captum_influence.explanations.texts.patched import PatchedUnits
from captum_influence.network.predictions import Prediction
from captum_influence.reports.finding import Finding
from captum_influence.reports.page import Page
from captum_influence.units.prompts.spoken import PromptUnit
from captum_influence.visualization.labelled import Grid, grids_figure
from captum_influence.visualization.numbers import number, percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["TextExplanation"]

_NEAR = 0.05  # of the quantity's change: sums that close add up


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class TextExplanation(Finding):
    """Why a language model said what it said about one prompt.

    Attributes:
        network: the class of the network.
        prompt: the text.
        against: what it is compared with; None: activations of zero.
        quantity: what was asked, in words.
        predictions: the next tokens, or the classes, with the highest scores.
        value: the quantity of the prompt.
        tokens: the texts of its tokens.
        others: those of the other prompt.
        layers: ``"embedding"`` and the blocks.
        map: (tokens, layers) contributions at the embedding and at the output of each block.
        changes: of each layer, what the quantity loses when all that is there is replaced: what a
            column of the map adds up to, if it does.
        heads: (layers, heads) contributions, NaN where a layer has fewer heads.
        patched: tokens, heads and neurons, those with the largest estimates replaced for real.
        facts: what else was the case: the distribution in words, number of points, device, ...
        seconds: how long it took.

    Example:
        >>> from captum_influence import TextExplanation
        >>> sorted(TextExplanation.__abstractmethods__)
        []
    """

    network: str
    prompt: str
    against: str | None
    quantity: str
    predictions: tuple[Prediction, ...]
    value: float
    tokens: tuple[str, ...]
    others: tuple[str, ...] | None
    layers: tuple[str, ...]
    map: Tensor
    changes: tuple[float, ...]
    heads: Tensor
    patched: tuple[PatchedUnits, ...]
    facts: Mapping[str, Any]
    seconds: float

    def of(self, kind: str) -> PatchedUnits:
        """Return what was found of the units of a kind: ``"token"``, ``"head"`` or ``"neuron"``.

        Raises:
            ValueError: if there are none.
        """
        for found in self.patched:
            if found.kind == kind:
                return found
        raise ValueError(
            f"expected one of {', '.join(found.kind for found in self.patched)}, got {kind!r}"
        )

    @property
    def replacement(self) -> str:
        """What took a unit's place, in words."""
        return "zero" if self.against is None else "its activation in the other prompt"

    @property
    def adds_up(self) -> bool:
        """Whether each column of the map adds up to what the quantity changes by."""
        return all(abs(total - true) <= _NEAR * abs(true) for _, total, true in self.totals)

    @property
    def totals(self) -> tuple[tuple[str, float, float], ...]:
        """Of each layer, its name, what its column adds up to, and the quantity's change."""
        sums = self.map.sum(dim=0).tolist()
        return tuple(zip(self.layers, sums, self.changes, strict=True))

    @property
    def headline(self) -> str:
        agreed = (p.agreement_in_words() for p in self.patched[1:])
        return " ".join(part for part in (self.answer, self.tested, *agreed) if part)

    @property
    def answer(self) -> str:
        """What the network says, and which token and head matter most to that."""
        first = [found.units[0].name for found in self.patched[:2]]
        what = f"{', and '.join(first)} matter{'s' * (len(first) == 1)} most"
        if not self.predictions:
            return f"{what[:1].upper()}{what[1:]} to {self.quantity}."
        best = self.predictions[0]
        return f"The network says {best.name} ({percent(best.probability)}); {what}."

    @property
    def tested(self) -> str:
        """What replacing them did to the quantity, beside its estimate and random ones."""
        parts = []
        for found in self.patched[:2]:
            unit = found.units[0]
            parts.append(f"{unit.name} {_moved(unit.effect)} (estimated: {_moved(unit.estimate)})")
            if found.count > 1:
                parts[-1] += f", a {found.kind} drawn at random ± {number(found.random_alone)}"
        said = ", ".join(parts)
        return f"Replaced, with {self.replacement} there, they move {self.quantity}: {said}."

    def sum_in_words(self) -> str:
        """Return whether the columns of the map add up."""
        if self.adds_up:
            return (
                "Each column adds up, within 5 %, to what the quantity loses when all that is "
                "there is replaced."
            )
        layer, total, true = max(self.totals, key=lambda row: abs(row[1] - row[2]))
        return (
            f"The columns don't add up: at {layer} contributions come to {number(total)}, and "
            f"replacing all that is there takes {number(true)}. A path does better, "
            "distribution=LinearPath(n=16)."
        )

    def grids(self) -> tuple[Grid, Grid]:
        """Return the maps as figures draw them: tokens by layers, and layers by heads."""
        heads = [str(head) for head in range(self.heads.shape[1])]
        first = Grid(
            values=self.map, rows=self.tokens, columns=self.layers, title="tokens, layer by layer"
        )
        second = Grid(
            values=self.heads, rows=self.layers[1:], columns=heads, title="heads of every block"
        )
        return first, second

    def plot(self) -> Figure:
        """Return the finding as one Matplotlib figure: the tokens in every layer, and the heads."""
        unit = f"contribution to {self.quantity}"
        return grids_figure(self.grids(), title=self.headline, unit=unit)

    def page(self, command: str | None = None) -> Page:
        return text_page(self, command)

    def to_dict(self) -> dict[str, Any]:
        found: dict[str, Any] = plain(
            {
                "headline": self.headline,
                "network": self.network,
                "prompt": self.prompt,
                "against": self.against,
                "quantity": self.quantity,
                "value": self.value,
                "predictions": [asdict(prediction) for prediction in self.predictions],
                "tokens": self.tokens,
                "others": self.others,
                "layers": self.layers,
                "map": self.map,
                "changes": self.changes,
                "adds_up": self.adds_up,
                "heads": self.heads,
                "patched": [found.to_dict() for found in self.patched],
                "facts": self.facts,
                "call": self.call,
                "settings": self.settings,
                "versions": self.asked.versions,
                "seconds": self.seconds,
            }
        )
        return found

    def to_frame(self) -> Any:
        """Return a ``pandas.DataFrame`` with a row per shown token, head and neuron.

        Raises:
            ImportError: if pandas isn't installed.
        """
        units: list[PromptUnit] = [unit for found in self.patched for unit in found.units]
        columns = ("kind", "name", "layer", "index", "estimate", "effect", "at")
        table: dict[str, Any] = {c: [getattr(unit, c) for unit in units] for c in columns}
        return frame({**table, "promotes": [", ".join(unit.promotes) for unit in units]})


def _moved(lost: float) -> str:
    return f"by {number(-lost)}"
