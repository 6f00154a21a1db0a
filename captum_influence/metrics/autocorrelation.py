"""Shattering: how much of an explanation is left when the input moves a little."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from captum_influence.metrics.result import Columns, Metric
from captum_influence.reports.asked import Asked
from captum_influence.reports.words import counted
from captum_influence.visualization.lines import line_figure
from captum_influence.visualization.numbers import number, percent
from captum_influence.visualization.style import LIGHT, Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Autocorrelation", "shattering"]


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Autocorrelation(Metric):
    """How like an explanation is to itself some way further along.

    Attributes:
        distance: (lags + 1,), the way, as a share of the whole path.
        values: (examples, lags + 1), from 1 at no distance; around 0: nothing is left. NaN where
            the explanation doesn't change at all.
    """

    topic: ClassVar[str] = "Shattering"
    caveats: ClassVar[tuple[str, ...]] = (
        "Multiplying by the input, which moves slowly, makes any explanation look smoother.",
        "A smooth explanation need not be a true one.",
        "This is about these paths: in other places the network may bend more, or less.",
    )

    distance: Tensor
    values: Tensor

    @property
    def headline(self) -> str:
        paths = counted(len(self.values), "path")
        if bool(self.values.isnan().all()):
            return f"The explanation doesn't change along {paths}: there is nothing to correlate."
        near, far = (float(self.values[:, lag].nanmean()) for lag in (1, -1))
        first, last = (percent(float(self.distance[lag])) for lag in (1, -1))
        return (
            f"After {first} of the way an explanation is like itself to {number(near)}, after "
            f"{last} to {number(far)}. That is its autocorrelation, on average over {paths}: 1 is "
            "the same, around 0 nothing is left."
        )

    @property
    def method(self) -> str:
        return (
            f"The explanation was taken at {self.facts['points']} points of a straight path "
            "between two inputs. Less its mean over the path, it was multiplied with itself some "
            "steps further along, and the sum divided by that with no step between."
        )

    def columns(self) -> Columns:
        """Return the columns of its table, which has a row per example and distance."""
        examples, lags = self.values.shape
        return {
            "example": torch.arange(examples).repeat_interleave(lags),
            "distance": self.distance.repeat(examples),
            "autocorrelation": self.values.flatten(),
        }

    def figure(self, theme: Theme = LIGHT) -> Figure:
        """Draw the mean over the examples."""
        return line_figure(
            self.distance.tolist(),
            {"mean": self.values.nanmean(0)},
            xlabel="share of the path",
            ylabel="autocorrelation",
            theme=theme,
        )


def shattering(
    explain: Callable[[Tensor], Tensor],
    start: Tensor,
    end: Tensor,
    *,
    points: int = 64,
    lags: int = 16,
    internal_batch_size: int = 256,
) -> Autocorrelation:
    r"""Follow an explanation along straight paths between inputs, and correlate it with itself.

    With :math:`d_t` the attribution at point t of T less the mean over all points,
    :math:`A(l) = \sum_{t \le T - l} \langle d_t, d_{t+l}\rangle \,/\, \sum_t \|d_t\|^2`, in
    [-1, 1]. The gradient of a deep ReLU network comes close to white noise, whose
    autocorrelation is 0 from the first lag on: the slope here says nothing about the slope nearby.

    Pitfall: multiplying by the input, which moves slowly, makes any explanation look smoother; and
    a smooth explanation need not be a true one.

    Args:
        explain: given inputs (rows, ...), returns attributions (rows, ...).
        start: (examples, ...), where paths begin.
        end: shaped alike, where they end.
        points: on each path, both ends among them.
        lags: how many distances, of one step each.
        internal_batch_size: points per call.

    Raises:
        ValueError: if shapes disagree, there are no more points than lags, or a number isn't
            positive.

    Source: Balduzzi et al. 2017, arXiv 1702.08591; smoothness of relevance: Montavon et al. 2018,
    Digital Signal Processing 73.

    Example:
        >>> found = shattering(lambda x: x, torch.zeros(1, 2), torch.ones(1, 2), points=9, lags=2)
        >>> bool(found.values[0, 1] > 0.5)  # what moves evenly is like itself nearby
        True
    """
    asked = Asked.of(shattering, locals())
    if start.shape != end.shape or start.ndim < 2:
        raise ValueError(
            "expected starts and ends (examples, ...) of one shape, got "
            f"{tuple(start.shape)} and {tuple(end.shape)}"
        )
    if min(lags, internal_batch_size) < 1 or points <= lags:
        raise ValueError(
            "expected a positive number of lags and an internal_batch_size, and more points than "
            f"lags, got points={points}, lags={lags}, internal_batch_size={internal_batch_size}"
        )
    share = torch.linspace(0, 1, points, dtype=start.dtype, device=start.device)
    along = [
        _followed(explain, a, b, share, internal_batch_size)
        for a, b in zip(start, end, strict=True)
    ]
    return Autocorrelation(
        asked=asked,
        facts={"paths": len(start), "points": points},
        distance=torch.arange(lags + 1) / (points - 1),
        values=torch.stack([_autocorrelation(found, lags) for found in along]),
    )


def _followed(
    explain: Callable[[Tensor], Tensor], start: Tensor, end: Tensor, share: Tensor, rows: int
) -> Tensor:
    """Return the attributions along one path, (points, entries), float64 on the CPU."""
    weights = share.reshape(-1, *[1] * start.ndim)
    path = start + weights * (end - start)
    parts = [explain(part).detach().flatten(1) for part in torch.split(path, rows)]
    return torch.cat(parts).double().cpu()


def _autocorrelation(along: Tensor, lags: int) -> Tensor:
    centred = along - along.mean(0)
    products = [(centred[: len(along) - lag] * centred[lag:]).sum() for lag in range(lags + 1)]
    return torch.stack(products) / products[0]  # 0 / 0 is NaN
