"""Removing pixels in an order, most or least relevant first, and looking at the output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, pad

from captum_influence.attr import Quantity
from captum_influence.metrics.tables import line_figure, table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["PixelFlipping", "flip_pixels"]

Fill = str | float | Tensor


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
        return table(columns)

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
    fills: Sequence[Fill] = ("mean", "blur"),
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
    relevance = _checked(inputs, maps, (steps, patch, draws, rows))
    generator = torch.Generator().manual_seed(seed)
    squares = _squares(relevance, patch)
    steps = min(steps, squares.shape[1] * squares.shape[2])
    rankings = [squares, -squares] + [torch.zeros_like(squares)] * draws
    masks = [_masks(r, steps, patch, generator, relevance.shape[1:]) for r in rankings]
    gone = torch.stack(masks)  # (orders, examples, steps + 1, height, width)
    filled = {_name(fill, i): _filled(inputs, fill) for i, fill in enumerate(fills)}
    curves = {name: _scores(model, inputs, f, gone, target, rows) for name, f in filled.items()}
    return PixelFlipping(
        shares=torch.linspace(0, 1, steps + 1),
        most={name: c[0] for name, c in curves.items()},
        least={name: c[1] for name, c in curves.items()},
        random={name: c[2:].mean(0) for name, c in curves.items()},
    )


def _scores(
    model: nn.Module, inputs: Tensor, filled: Tensor, gone: Tensor, target: Any, rows: int
) -> Tensor:
    """Return q (orders, examples, steps + 1)."""
    orders, examples, steps = gone.shape[:3]
    whose = torch.arange(examples).repeat_interleave(steps).repeat(orders)
    flat = gone.flatten(0, 2)
    parts = []
    with torch.no_grad():
        quantity = Quantity.ensure(target)
        quantity = quantity.resolve(model(inputs)) if quantity.needs_reference else quantity
        for part, mask in zip(torch.split(whose, rows), torch.split(flat, rows), strict=True):
            here = part.to(inputs.device)
            pictures = torch.where(mask[:, None].to(inputs.device), filled[here], inputs[here])
            parts.append(quantity.rows(part)(model(pictures)))
    return torch.cat(parts).reshape(orders, examples, steps)


def _masks(
    ranking: Tensor, steps: int, patch: int, generator: torch.Generator, size: Sequence[int]
) -> Tensor:
    """Return which pixels are gone, bool (examples, steps + 1, height, width)."""
    flat = ranking.flatten(1)
    shuffle = torch.rand(flat.shape, generator=generator).argsort(1)  # ties go at random
    order = shuffle.gather(1, flat.gather(1, shuffle).argsort(dim=1, descending=True, stable=True))
    place = order.argsort(1)
    counts = torch.linspace(0, flat.shape[1], steps + 1, dtype=torch.float64).round()
    gone = place[:, None] < counts[None, :, None]  # (examples, steps + 1, squares)
    gone = gone.reshape(*gone.shape[:2], *ranking.shape[1:])
    whole: Tensor = gone.repeat_interleave(patch, 2).repeat_interleave(patch, 3)
    return whole[..., : size[0], : size[1]]


def _squares(relevance: Tensor, patch: int) -> Tensor:
    """Return the summed relevance of each square; those at the lower right edge may be cut."""
    height, width = relevance.shape[1:]
    padded = pad(relevance, (0, -width % patch, 0, -height % patch))
    return avg_pool2d(padded[:, None], patch, divisor_override=1)[:, 0]


def _name(fill: Fill, place: int) -> str:
    return f"tensor {place}" if isinstance(fill, Tensor) else str(fill)


def _filled(inputs: Tensor, fill: Fill) -> Tensor:
    if isinstance(fill, Tensor):
        return fill.to(inputs).expand_as(inputs)
    if isinstance(fill, int | float):
        return torch.full_like(inputs, float(fill))
    if fill == "mean":
        return inputs.mean((2, 3), keepdim=True).expand_as(inputs)
    if fill != "blur":
        raise ValueError(f'expected "mean", "blur", a number or a tensor as a fill, got {fill!r}')
    reach = max(1, min(inputs.shape[2:]) // 8)
    for _ in range(3):  # three boxes come close to a Gaussian
        kernel = 2 * reach + 1
        inputs = avg_pool2d(inputs, kernel, stride=1, padding=reach, count_include_pad=False)
    return inputs


def _checked(inputs: Tensor, maps: Tensor, numbers: Sequence[int]) -> Tensor:
    """Return the maps as (examples, height, width) float64 on the CPU."""
    maps = maps.sum(1) if maps.ndim == 4 else maps
    if inputs.ndim != 4 or maps.shape != (len(inputs), *inputs.shape[2:]):
        raise ValueError(
            "expected inputs (examples, channels, height, width) and maps (examples, height, "
            f"width) of one size, got {tuple(inputs.shape)} and {tuple(maps.shape)}"
        )
    if min(numbers) < 1:
        raise ValueError(
            f"expected positive steps, patch, draws and rows, got {', '.join(map(str, numbers))}"
        )
    if not bool(maps.isfinite().all()):
        raise ValueError(f"a map of shape {tuple(maps.shape[1:])} holds NaN or infinity")
    return maps.detach().double().cpu()
