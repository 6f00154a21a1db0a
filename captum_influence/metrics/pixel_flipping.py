"""Removing pixels in an order, most or least relevant first, and looking at the output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, pad
from typing_extensions import Unpack

from captum_influence.metrics.options import RunOptions, chosen_run
from captum_influence.metrics.removal import PixelReplace, removing_pixels
from captum_influence.metrics.result import Columns, Metric
from captum_influence.network.inputs import network_of
from captum_influence.reports.asked import Asked
from captum_influence.reports.words import counted
from captum_influence.units.targets import question
from captum_influence.visualization.lines import line_figure
from captum_influence.visualization.numbers import number
from captum_influence.visualization.style import LIGHT, Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["PixelFlipping", "checked_maps", "flip_pixels", "pixel_facts", "squares"]

_ORDERS = ("most", "least", "random")


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class PixelFlipping(Metric):
    r"""The quantity as pixels go, for each replacement; q(x) comes first in every curve.

    Attributes:
        shares: (steps + 1,), share of the pixels that is gone.
        most: replacement -> (examples, steps + 1), the most relevant pixels first.
        least: the same, the least relevant first.
        random: the same, the mean over random orders.
    """

    topic: ClassVar[str] = "Pixel flipping"
    caveats: ClassVar[tuple[str, ...]] = (
        "A replacement that no picture holds lowers the quantity whatever the order: look at the "
        "random orders, and at another replacement.",
        "The least relevant pixels first: the sign of irrelevant pixels matters there as much as "
        "that of relevant ones.",
        "It asks what is lost with pixels, not whether the network looks for the right reasons.",
    )

    shares: Tensor
    most: Mapping[str, Tensor]
    least: Mapping[str, Tensor]
    random: Mapping[str, Tensor]

    @property
    def headline(self) -> str:
        replace, asked = next(iter(self.most)), self.facts["quantity"]
        most, random = (float(v.mean()) for v in (self.aopc(replace), self.control(replace)))
        least = float(self._drop(self.least[replace]).mean())
        return (
            f"As pixels are replaced ({replace}), the most relevant first, {asked} loses "
            f"{number(most)} on average along the way. It loses {number(random)} in random orders, "
            f"and {number(least)} with the least relevant first, over "
            f"{counted(self.facts['examples'], 'example')}."
        )

    @property
    def method(self) -> str:
        return (
            f"Squares of {counted(self.facts['patch'], 'pixel')} are replaced step by step, in the "
            "order of the map, in the opposite one, and at random, until none is left, and the "
            "quantity is read after each step. What is lost is the mean difference from the "
            "untouched picture over all steps: the area over the curve."
        )

    def aopc(self, replace: str) -> Tensor:
        r"""Area over the curve, :math:`\frac{1}{L+1}\sum_{k=0}^{L} q(x_0) - q(x_k)`, (examples,).

        Most relevant first. Unbounded, in q's units. Pitfall: a replacement that no picture holds
        lowers q whatever the order, so look at :attr:`random` and at another one.
        Source: Samek et al. 2017, arXiv 1509.06321.
        """
        return self._drop(self.most[replace])

    def abpc(self, replace: str) -> Tensor:
        r"""Area between the curves, least minus most relevant first, (examples,).

        :math:`\frac{1}{L+1}\sum_k q(x_k^{least}) - q(x_k^{most})`. Unbounded, in q's units; 0 in
        the mean for random maps, which cancels most of what the replacement itself does. Pitfall:
        the sign of irrelevant pixels matters as much as that of relevant ones.
        Source: Schulz et al. 2020, arXiv 2001.00396.
        """
        return self._drop(self.most[replace]) - self._drop(self.least[replace])

    def control(self, replace: str) -> Tensor:
        """The AOPC of random orders, (examples,): what any order gets."""
        return self._drop(self.random[replace])

    def columns(self) -> Columns:
        """Return the columns of its table: a row per example, replacement, order and step."""
        columns: dict[str, list[Any]] = {}
        for order in _ORDERS:
            for fill, curves in getattr(self, order).items():
                for example, curve in enumerate(curves.tolist()):
                    for share, score in zip(self.shares.tolist(), curve, strict=True):
                        row = (example, fill, order, share, score)
                        for name, value in zip(_COLUMNS, row, strict=True):
                            columns.setdefault(name, []).append(value)
        return columns

    def figure(self, theme: Theme = LIGHT) -> Figure:
        """Draw all curves, averaged over the examples."""
        lines = {
            f"{order}, {fill}": curves.mean(0)
            for order in _ORDERS
            for fill, curves in getattr(self, order).items()
        }
        return line_figure(
            self.shares.tolist(),
            lines,
            xlabel="share of pixels gone",
            ylabel="quantity",
            theme=theme,
        )

    @staticmethod
    def _drop(curve: Tensor) -> Tensor:
        return (curve[:, :1] - curve).mean(1)


_COLUMNS = ("example", "fill", "order", "share", "score")


def flip_pixels(
    model: nn.Module,
    inputs: Tensor,
    maps: Tensor,
    target: Any,
    *,
    replace: PixelReplace | Sequence[PixelReplace] = ("mean", "blur"),
    steps: int = 20,
    patch: int = 1,
    draws: int = 5,
    **options: Unpack[RunOptions],
) -> PixelFlipping:
    """Replace pixels step by step, in the order of a map, in the opposite one, and at random.

    All pixels are gone at the last step. Equal entries go in a random, seeded order, so that a
    constant map scores as a random one. For what it measures, and its pitfalls, see
    :meth:`PixelFlipping.aopc` and :meth:`PixelFlipping.abpc`.

    Args:
        model: the network.
        inputs: (examples, channels, height, width).
        maps: (examples, height, width), or with a channel dimension, which is summed.
        target: a class by number or name, one for each example, or a :class:`Quantity`.
        replace: what takes the place of pixels: ``"mean"`` (of each channel of the picture),
            ``"blur"``, a number, or a tensor that expands to the inputs; or several of these, each
            for itself. Tensors are named ``tensor 0``, ... by their place.
        steps: how many steps, of equally many pixels.
        patch: side of the squares that go as one, ranked by their summed relevance.
        draws: how many random orders.
        options: how it is run, see :class:`Run`; ``seed`` is that of the random orders, on a
            generator of its own; ``class_names``.

    Raises:
        ValueError: if shapes disagree or a number is out of range.

    Source: Bach et al. 2015, PLoS ONE 10(7); Samek et al. 2017, arXiv 1509.06321.
    """
    asked = Asked.of(flip_pixels, locals())
    run, names = chosen_run("flip_pixels", options), options.get("class_names")
    kinds = [replace] if isinstance(replace, str | int | float | Tensor) else list(replace)
    if not kinds:
        raise ValueError('expected at least one replacement, got none: e.g. replace="mean"')
    checked = checked_maps(inputs, maps, steps=steps, patch=patch, draws=draws)
    ranking, quantity = squares(checked, patch), question(target, names=names)
    generator = torch.Generator().manual_seed(run.seed)
    steps = min(steps, ranking.shape[1])
    rankings = [ranking, -ranking] + [torch.zeros_like(ranking)] * draws
    gone = torch.cat([_gone(r, steps, generator) for r in rankings], dim=1)
    curves = {}
    for name, kind in zip(_names(kinds), kinds, strict=True):
        removal = removing_pixels(model, inputs, quantity, replace=kind, patch=patch, run=run)
        curves[name] = removal.without(gone).chunk(len(rankings), dim=1)
    return PixelFlipping(
        asked=asked,
        facts=pixel_facts(model, inputs, quantity.in_words(names), patch, kinds),
        shares=torch.linspace(0, 1, steps + 1),
        most={name: c[0] for name, c in curves.items()},
        least={name: c[1] for name, c in curves.items()},
        random={name: torch.stack(c[2:]).mean(0) for name, c in curves.items()},
    )


def _gone(ranking: Tensor, steps: int, generator: torch.Generator) -> Tensor:
    """Return which squares are gone at each step, bool (examples, steps + 1, squares)."""
    shuffle = torch.rand(ranking.shape, generator=generator).argsort(1)  # ties go at random
    sorted_ = ranking.gather(1, shuffle).argsort(dim=1, descending=True, stable=True)
    place = shuffle.gather(1, sorted_).argsort(1)
    counts = torch.linspace(0, ranking.shape[1], steps + 1, dtype=torch.float64).round()
    return place[:, None] < counts[None, :, None]


def squares(relevance: Tensor, patch: int) -> Tensor:
    """Return each square's summed relevance, (examples, squares); the last ones may be cut."""
    height, width = relevance.shape[1:]
    padded = pad(relevance, (0, -width % patch, 0, -height % patch))
    return avg_pool2d(padded[:, None], patch, divisor_override=1).flatten(1)


def pixel_facts(
    model: nn.Module, inputs: Tensor, quantity: str, patch: int, kinds: Sequence[PixelReplace]
) -> dict[str, Any]:
    """Return what is asked of which pictures, in words."""
    return {
        "network": type(network_of(model)).__name__,
        "quantity": quantity,
        "examples": len(inputs),
        "size": " × ".join(map(str, inputs.shape[1:])),
        "patch": patch,
        "replaced by": _names(kinds),
    }


def _names(kinds: Sequence[PixelReplace]) -> list[str]:
    """Return what replacements are called."""
    return [
        f"tensor {i}" if isinstance(kind, Tensor) else str(kind) for i, kind in enumerate(kinds)
    ]


def checked_maps(inputs: Tensor, maps: Tensor, **numbers: int) -> Tensor:
    """Return the maps as (examples, height, width) float64 on the CPU."""
    maps = maps.sum(1) if maps.ndim == 4 else maps
    if inputs.ndim != 4 or maps.shape != (len(inputs), *inputs.shape[2:]):
        raise ValueError(
            "expected inputs (examples, channels, height, width) and maps (examples, height, "
            f"width) of one size, got {tuple(inputs.shape)} and {tuple(maps.shape)}"
        )
    if min(numbers.values()) < 1:
        given = ", ".join(f"{name}={value}" for name, value in numbers.items())
        raise ValueError(f"expected positive numbers; got {given}: ask for at least one of each")
    if not bool(maps.isfinite().all()):
        raise ValueError(f"a map of shape {tuple(maps.shape[1:])} holds NaN or infinity")
    return maps.detach().double().cpu()
