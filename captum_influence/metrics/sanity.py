"""Does an explanation change with the weights, stay with the seed, and agree with others?"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from captum_influence.metrics.ranks import spearman
from captum_influence.metrics.result import Columns, Metric
from captum_influence.network.inputs import network_of
from captum_influence.network.modes import without_graph
from captum_influence.reports.asked import Asked
from captum_influence.reports.words import counted
from captum_influence.visualization.lines import bar_figure, line_figure
from captum_influence.visualization.numbers import number, percent
from captum_influence.visualization.style import LIGHT, Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Agreement", "Randomization", "Stability", "agreement", "randomize", "stability"]


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Randomization(Metric):
    """How alike explanations stay as layers lose their training, from the output down.

    Attributes:
        layers: names of the randomised modules, in the order in which they were.
        similarity: (layers + 1, examples), rank correlation with the original explanation; the
            first row, before anything is randomised, is 1. NaN where an explanation is constant.
    """

    topic: ClassVar[str] = "Weights randomised"
    caveats: ClassVar[tuple[str, ...]] = (
        "It is a smoke test: an explanation that doesn't react looks at the picture only; one that "
        "reacts may be wrong all the same.",
        "How much it reacts ranks nothing.",
        "Weights are permuted by one draw; another seed is another draw.",
    )

    layers: tuple[str, ...]
    similarity: Tensor

    @property
    def headline(self) -> str:
        if bool(self.similarity.isnan().all()):
            return "The explanation is constant: there is nothing to compare."
        first, last = (float(self.similarity[k].nanmean()) for k in (1, -1))
        over = f"on average over {counted(self.similarity.shape[1], 'example')}"
        words = (
            f"With the weights of {counted(len(self.layers), 'module')} permuted, the "
            f"explanation's rank correlation with the original is {number(last)}"
        )
        if len(self.layers) == 1:
            return f"{words}, {over}."
        return f"{words}. With those of {self.layers[0]} alone it is {number(first)}, {over}."

    @property
    def method(self) -> str:
        return (
            "On a copy of the network the parameters of one module after the other, the last "
            "first, were permuted within each tensor, so that their distribution stays, and the "
            f"explanation was made again. Compared are {self.facts['compared']}."
        )

    def columns(self) -> Columns:
        """Return the columns of its table, which has a row per randomised layer and example."""
        examples, names = self.similarity.shape[1], ("(none)", *self.layers)
        return {
            "randomized down to": [name for name in names for _ in range(examples)],
            "example": list(range(examples)) * len(names),
            "similarity": self.similarity.flatten(),
        }

    def figure(self, theme: Theme = LIGHT) -> Figure:
        """Draw the similarity, averaged over the examples, against the layers randomised."""
        return line_figure(
            range(len(self.similarity)),
            {"similarity": self.similarity.nanmean(1)},
            xlabel="layers randomised, from the output down",
            ylabel="rank correlation",
            theme=theme,
        )


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Stability(Metric):
    """How much an explanation that draws at random depends on the draw.

    Attributes:
        similarity: (pairs, examples), rank correlation of each two repeats, in [-1, 1].
        deviation: (examples,), root mean square of the deviations from the mean over that of the
            mean; 0 for no spread, unbounded above, NaN where the mean is zero.
    """

    topic: ClassVar[str] = "Repeats compared"
    caveats: ClassVar[tuple[str, ...]] = (
        "A constant or a wrong explanation is perfectly stable: this says only whether there were "
        "enough samples.",
        "An explanation that draws nothing at random agrees with itself; that says nothing.",
    )

    similarity: Tensor
    deviation: Tensor

    @property
    def headline(self) -> str:
        repeats, examples = self.facts["repeats"], counted(len(self.deviation), "example")
        if bool(self.similarity.isnan().all()):
            return f"Over {repeats} repeats the explanation is constant: nothing to compare."
        alike, apart = (float(v.nanmean()) for v in (self.similarity, self.deviation))
        return (
            f"Over {repeats} repeats the explanation's rank correlation with itself is "
            f"{number(alike)}. It deviates from its mean by {percent(apart)} of that, on average "
            f"over {examples}."
        )

    @property
    def method(self) -> str:
        return (
            "The same was explained with several seeds. Each two answers were compared by rank "
            "correlation; the deviation is the root mean square of what sets the answers apart "
            "from their mean, over that of the mean."
        )

    def columns(self) -> Columns:
        """Return the columns of its table, which has a row per example."""
        return {"similarity": self.similarity.nanmean(0), "deviation": self.deviation}

    def figure(self, theme: Theme = LIGHT) -> Figure:
        """Draw the mean similarity of repeats for each example."""
        means = self.similarity.nanmean(0).tolist()
        bars = {f"example {number}": value for number, value in enumerate(means)}
        return bar_figure(bars, title="rank correlation of repeats", theme=theme)


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Agreement(Metric):
    """How alike methods answer the same question.

    Attributes:
        names: of the methods.
        spearman: (methods, methods), mean rank correlation over the examples, in [-1, 1].
        overlap: (methods, methods), mean share of the k largest entries in common, in [0, 1].
        chance: the overlap that random maps would have.
    """

    names: tuple[str, ...]
    spearman: Tensor
    overlap: Tensor
    chance: float

    topic: ClassVar[str] = "Methods compared"
    caveats: ClassVar[tuple[str, ...]] = (
        "Agreement isn't truth: methods of one family agree in their mistakes.",
        "Rank correlation weighs the order of the many small entries as much as that of the few "
        "large ones.",
    )

    @property
    def headline(self) -> str:
        known = [pair for pair in self._pairs() if not bool(self.spearman[pair].isnan())]
        if not known:
            return f"{counted(len(self.names), 'method')}, and no two that can be compared."
        (a, b), (c, d) = (of(known, key=lambda pair: self.spearman[pair]) for of in (max, min))
        most, least = float(self.spearman[a, b]), float(self.spearman[c, d])
        common = percent(float(self.overlap[a, b]))
        words = (
            f"{self.names[a]} and {self.names[b]} agree most: their rank correlation is "
            f"{number(most)}. They have {common} of their largest entries in common, random maps "
            f"{percent(self.chance)}."
        )
        if len(known) == 1:
            return words
        return f"{words} {self.names[c]} and {self.names[d]} agree least, by {number(least)}."

    @property
    def method(self) -> str:
        return (
            "Each two methods' answers to one question were compared, by rank correlation over "
            f"all entries, and by what the largest {percent(self.chance)} of the entries have in "
            "common; both are averages over the examples."
        )

    def columns(self) -> Columns:
        """Return the columns of its table, which has a row per pair of methods."""
        pairs = self._pairs()
        return {
            "first": [self.names[a] for a, _ in pairs],
            "second": [self.names[b] for _, b in pairs],
            "spearman": [float(self.spearman[pair]) for pair in pairs],
            "overlap": [float(self.overlap[pair]) for pair in pairs],
        }

    def figure(self, theme: Theme = LIGHT) -> Figure:
        """Draw the rank correlation of each pair."""
        names = self.names
        bars = {f"{names[a]} / {names[b]}": float(self.spearman[a, b]) for a, b in self._pairs()}
        return bar_figure(bars, title="rank correlation", theme=theme)

    def _pairs(self) -> list[tuple[int, int]]:
        return list(combinations(range(len(self.names)), 2))


def randomize(
    model: nn.Module,
    inputs: Tensor,
    explain: Callable[[nn.Module, Tensor], Tensor],
    *,
    absolute: bool = True,
    seed: int = 0,
) -> Randomization:
    r"""Randomise the parameters of one module after the other, the last first; explain each time.

    :math:`\rho_k = \mathrm{spearman}(|R|, |R_k|)` with the k last modules randomised. Range
    [-1, 1]. Weights are permuted within each tensor, so their distribution stays; the model is
    copied, so it stays. Pitfall: a smoke test. A method that doesn't react looks at the picture
    only; one that reacts may be wrong all the same, and how much it reacts ranks nothing.

    Args:
        model: the network.
        inputs: handed on to ``explain``.
        explain: given a network and the inputs, returns attributions (examples, ...).
        absolute: compare sizes, as the paper mostly does; False: signed values.
        seed: of the permutations, on a generator of its own.

    Source: Adebayo et al. 2018, arXiv 1810.03292.

    Raises:
        ValueError: if the model has no parameters.
    """
    asked = Asked.of(randomize, locals())
    copied = copy.deepcopy(model)
    own = [(n, m) for n, m in copied.named_modules() if list(m.parameters(recurse=False))]
    if not own:
        raise ValueError("expected a model with parameters, got one without: nothing to randomise")
    generator = torch.Generator().manual_seed(seed)

    def found() -> Tensor:
        values = explain(copied, inputs).detach().flatten(1)
        return values.abs() if absolute else values

    original = found()
    rows = [spearman(original, original)]
    for _, module in reversed(own):
        _permute(module, generator)
        rows.append(spearman(original, found()))
    return Randomization(
        asked=asked,
        facts={
            "network": type(network_of(model)).__name__,
            "examples": len(original),
            "compared": "sizes" if absolute else "signed values",
        },
        layers=tuple(name for name, _ in reversed(own)),
        similarity=torch.stack(rows),
    )


def stability(explain: Callable[[int], Tensor], *, repeats: int = 5) -> Stability:
    r"""Explain with several seeds and compare: :math:`\rho(R_a, R_b)` for each pair, and spread.

    Range [-1, 1]; the spread from 0. Pitfall: a constant or wrong explanation is perfectly stable;
    and 1 for a method that doesn't draw says nothing. It answers only whether there were enough
    samples. Source: none of its own; it is the reliability of a measurement that is repeated.

    Args:
        explain: given a seed, returns attributions (examples, ...).
        repeats: how many seeds, from 0.

    Raises:
        ValueError: for less than two repeats.
    """
    asked = Asked.of(stability, locals())
    if repeats < 2:
        raise ValueError(f"expected at least two repeats to compare, got {repeats}")
    found = torch.stack([explain(seed).detach().double().flatten(1) for seed in range(repeats)])
    pairs = [spearman(found[a], found[b]) for a, b in combinations(range(repeats), 2)]
    mean = found.mean(0)
    spread = (found - mean).square().mean((0, 2)).sqrt()
    return Stability(
        asked=asked,
        facts={"repeats": repeats, "examples": found.shape[1]},
        similarity=torch.stack(pairs),
        deviation=spread / mean.square().mean(1).sqrt(),
    )


def agreement(maps: Mapping[str, Tensor], *, top: float = 0.1) -> Agreement:
    r"""Compare methods' answers: rank correlation, and overlap of the largest entries.

    :math:`|T_a \cap T_b| / k`, with T the k largest entries (a share ``top`` of all; of equal ones
    the first). Range [0, 1], the correlation [-1, 1]. Pitfall: agreement isn't truth; methods of
    one family agree in their mistakes.

    Args:
        maps: method -> attributions (examples, ...), all of one shape.
        top: the share of entries that counts as largest.

    Source: Krishna et al. 2022, arXiv 2202.01602.

    Raises:
        ValueError: if shapes differ or ``top`` isn't in (0, 1].
    """
    asked = Asked.of(agreement, locals())
    shapes = {tuple(values.shape) for values in maps.values()}
    if len(shapes) != 1 or not 0 < top <= 1:
        raise ValueError(
            f"expected maps of one shape and 0 < top <= 1, got shapes {sorted(shapes)}, top={top}"
        )
    flat = [values.detach().flatten(1) for values in maps.values()]
    count = max(1, round(top * flat[0].shape[1]))
    tops = [_top(values, count) for values in flat]
    rank = [[float(spearman(a, b).nanmean()) for b in flat] for a in flat]
    shared = [[float((a & b).sum(1).double().mean()) / count for b in tops] for a in tops]
    chance = count / flat[0].shape[1]
    return Agreement(
        asked=asked,
        facts={
            "methods": list(maps),
            "examples": len(flat[0]),
            "entries": flat[0].shape[1],
            "largest": count,
        },
        names=tuple(maps),
        spearman=torch.tensor(rank),
        overlap=torch.tensor(shared),
        chance=chance,
    )


def _top(values: Tensor, count: int) -> Tensor:
    order = values.argsort(dim=1, descending=True, stable=True)[:, :count]
    return torch.zeros_like(values, dtype=torch.bool).scatter_(1, order, True)


def _permute(module: nn.Module, generator: torch.Generator) -> None:
    with without_graph():
        for parameter in module.parameters(recurse=False):
            order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
            parameter.copy_(parameter.flatten()[order].view_as(parameter))
