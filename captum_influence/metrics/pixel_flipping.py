"""Removing pixels in an order, most or least relevant first, and looking at the output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, pad

from captum_influence.data.frames import frame
from captum_influence.metrics.removal import PixelFill, removing_pixels
from captum_influence.visualization.lines import line_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["PixelFlipping", "checked_maps", "flip_pixels", "squares"]


@dataclass(frozen=True, eq=False)
class PixelFlipping:
    r"""The quantity as pixels go, for each replacement; q(x) comes first in every curve.

    Attributes:
        shares: (steps + 1,), share of the pixels that is gone.
        most: fill -> (examples, steps + 1), the most relevant pixels first.
        least: the same, the least relevant first.
        random: the same, the mean over random orders.
    """

    shares: Tensor
    most: Mapping[str, Tensor]
    least: Mapping[str, Tensor]
    random: Mapping[str, Tensor]

    def aopc(self, fill: str) -> Tensor:
        r"""Area over the curve, :math:`\frac{1}{L+1}\sum_{k=0}^{L} q(x_0) - q(x_k)`, (examples,).

        Most relevant first. Unbounded, in q's units. Pitfall: a replacement that no picture holds
        lowers q whatever the order, so look at :attr:`random` and at another fill.
        Source: Samek et al. 2017, arXiv 1509.06321.
        """
        return self._drop(self.most[fill])

    def abpc(self, fill: str) -> Tensor:
        r"""Area between the curves, least minus most relevant first, (examples,).

        :math:`\frac{1}{L+1}\sum_k q(x_k^{least}) - q(x_k^{most})`. Unbounded, in q's units; 0 in
        the mean for random maps, which cancels most of what the replacement itself does. Pitfall:
        the sign of irrelevant pixels matters as much as that of relevant ones.
        Source: Schulz et al. 2020, arXiv 2001.00396.
        """
        return self._drop(self.most[fill]) - self._drop(self.least[fill])

    def control(self, fill: str) -> Tensor:
        """The AOPC of random orders, (examples,): what any order gets."""
        return self._drop(self.random[fill])

    def to_frame(self) -> Any:
        """Return a pandas table with one row per example, fill, order and step."""
        columns: dict[str, list[Any]] = {}
        for order in ("most", "least", "random"):
            for fill, curves in getattr(self, order).items():
                for example, curve in enumerate(curves.tolist()):
                    for share, score in zip(self.shares.tolist(), curve, strict=True):
                        row = (example, fill, order, share, score)
                        for name, value in zip(_COLUMNS, row, strict=True):
                            columns.setdefault(name, []).append(value)
        return frame(columns)

    def plot(self) -> Figure:
        """Draw all curves, averaged over the examples."""
        lines = {
            f"{order}, {fill}": curves.mean(0)
            for order in ("most", "least", "random")
            for fill, curves in getattr(self, order).items()
        }
        return line_figure(
            self.shares.tolist(), lines, xlabel="share of pixels gone", ylabel="quantity"
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
    fills: Sequence[PixelFill] = ("mean", "blur"),
    steps: int = 20,
    patch: int = 1,
    draws: int = 5,
    rows: int = 64,
    seed: int = 0,
) -> PixelFlipping:
    """Replace pixels step by step, in the order of a map, in the opposite one, and at random.

    All pixels are gone at the last step. Equal entries go in a random, seeded order, so that a
    constant map scores as a random one. For what it measures, and its pitfalls, see
    :meth:`PixelFlipping.aopc` and :meth:`PixelFlipping.abpc`.

    Args:
        model: the network.
        inputs: (examples, channels, height, width).
        maps: (examples, height, width), or with a channel dimension, which is summed.
        target: a class, or a :class:`Quantity`.
        fills: ``"mean"`` (of each channel of the picture), ``"blur"``, a number, or a tensor that
            expands to the inputs. Tensors are named ``tensor 0``, ... by their place.
        steps: how many steps, of equally many pixels.
        patch: side of the squares that go as one, ranked by their summed relevance.
        draws: how many random orders.
        rows: pictures per pass.
        seed: of the random orders, on a generator of its own.

    Raises:
        ValueError: if shapes disagree or a number is out of range.

    Source: Bach et al. 2015, PLoS ONE 10(7); Samek et al. 2017, arXiv 1509.06321.
    """
    numbers = {"steps": steps, "patch": patch, "draws": draws, "rows": rows}
    ranking = squares(checked_maps(inputs, maps, **numbers), patch)
    generator = torch.Generator().manual_seed(seed)
    steps = min(steps, ranking.shape[1])
    rankings = [ranking, -ranking] + [torch.zeros_like(ranking)] * draws
    gone = torch.cat([_gone(r, steps, generator) for r in rankings], dim=1)
    curves = {}
    for place, fill in enumerate(fills):
        removal = removing_pixels(model, inputs, target, fill=fill, patch=patch, rows=rows)
        curves[_name(fill, place)] = removal.without(gone).chunk(len(rankings), dim=1)
    return PixelFlipping(
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


def _name(fill: PixelFill, place: int) -> str:
    return f"tensor {place}" if isinstance(fill, Tensor) else str(fill)


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
