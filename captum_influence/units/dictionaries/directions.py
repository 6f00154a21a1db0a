"""Directions of a layer's channels, and how much of each is in what passes there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from captum_influence.network.modes import without_graph

__all__ = ["Directions", "channel_among", "nonnegative_codes"]

_SWEEPS = 200  # some 25 suffice in float32 for what a factorisation of real activations finds


@dataclass(frozen=True, eq=False, kw_only=True)
class Directions:
    r"""Directions :math:`d_j` of the channels; activations are their sum, weighed by the codes.

    Each place of a layer is coded by itself: its codes :math:`c` are those for which
    :math:`\lVert z - m - \sum_j c_j d_j\rVert` is least.

    Attributes:
        vectors: (k, channels), one direction each.
        offset: (channels,) m, what codes of zero stand for; None: zero.
        nonnegative: whether codes are at least zero.
        axis: the dimension of a layer's tensor that counts channels; None: by their number.

    Raises:
        ValueError: if they aren't directions.
    """

    vectors: Tensor
    offset: Tensor | None = None
    nonnegative: bool = False
    axis: int | None = None

    def __post_init__(self) -> None:
        vectors, offset = self.vectors, self.offset
        if vectors.ndim != 2 or not vectors.is_floating_point():
            raise ValueError(
                "expected directions as floating-point numbers (k, channels), one row each, got "
                f"{vectors.dtype} {tuple(vectors.shape)}"
            )
        if not bool(vectors.isfinite().all()) or not bool(vectors.any(dim=1).all()):
            raise ValueError(
                "expected directions that are finite and not zero, got at least one that isn't: "
                "leave it out"
            )
        if offset is not None and offset.shape != vectors.shape[1:]:
            raise ValueError(
                f"expected an offset of shape {tuple(vectors.shape[1:])}, one number for each "
                f"channel, got {tuple(offset.shape)}"
            )

    def encode(self, activations: Tensor) -> Tensor:
        """Return the codes of activations, laid out as they are."""
        channel = channel_among(activations.ndim, self.axis)
        rows = activations.movedim(channel, -1)
        if rows.shape[-1] != self.vectors.shape[1]:
            raise ValueError(
                f"expected activations of {self.vectors.shape[1]} channels along dimension "
                f"{channel}, got shape {tuple(activations.shape)}: a dictionary fits the layer it "
                "was made for; where channels lie elsewhere, say axis="
            )
        rows = rows.to(torch.promote_types(rows.dtype, torch.float32))  # half can't solve
        if self.offset is not None:
            rows = rows - self.offset.to(rows)
        if self.nonnegative:
            vectors = self.vectors.to(rows)
            codes: Tensor = nonnegative_codes(rows @ vectors.T, vectors @ vectors.T)
        else:
            codes = rows @ self._inverse.to(rows)
        return codes.movedim(-1, channel).to(activations.dtype)

    def decode(self, codes: Tensor) -> Tensor:
        """Return the activations that codes stand for."""
        channel = channel_among(codes.ndim, self.axis)
        rows = codes.movedim(channel, -1)
        found: Tensor = rows @ self.vectors.to(rows)
        found = found if self.offset is None else found + self.offset.to(rows)
        return found.movedim(-1, channel)

    @cached_property
    def _inverse(self) -> Tensor:
        inverse: Tensor = torch.linalg.pinv(self.vectors.double())
        return inverse


def channel_among(ndim: int, axis: int | None) -> int:
    """Return which of a tensor's dimensions counts channels: the one that is said, or the usual.

    Raises:
        ValueError: if there is no such dimension beside the examples'.
    """
    if axis is None:
        return 2 if ndim == 3 else 1  # (N, T, C) tokens
    if not -ndim < axis < ndim or axis % ndim == 0:
        raise ValueError(
            f"expected the dimension of the channels, axis={axis}, among 1 to {ndim - 1} of a "
            f"layer with {ndim} dimensions, of which 0 counts examples"
        )
    return axis % ndim


def nonnegative_codes(products: Tensor, gram: Tensor) -> Tensor:
    r"""Return the codes :math:`c \ge 0` for which :math:`\lVert z - cD\rVert` is least.

    Coordinate descent, all rows at once. Gradients are those of the solution: where the codes above
    zero stay the same ones, it is that of least squares on these.

    Args:
        products: (..., k) :math:`zD^\top`.
        gram: (k, k) :math:`DD^\top`.
    """
    rows = products.reshape(-1, len(gram))
    with without_graph():
        codes = _descended(rows.detach(), gram)
    if rows.requires_grad:
        codes = codes + _moving(rows, gram, codes > 0)
    return codes.reshape(products.shape)


def _descended(rows: Tensor, gram: Tensor) -> Tensor:
    products, codes = rows.T.contiguous(), torch.zeros_like(rows.T)
    scale, enough = gram.diagonal(), torch.finfo(rows.dtype).eps
    for _ in range(_SWEEPS):
        before = codes.clone()
        for j in range(len(gram)):
            step = (products[j] - gram[j] @ codes) / scale[j]
            codes[j] = (codes[j] + step).clamp(min=0)
        if not len(rows) or float((codes - before).abs().max()) <= enough * float(codes.max()):
            break
    return codes.T


def _moving(rows: Tensor, gram: Tensor, held: Tensor) -> Tensor:
    """Return zero, whose derivative by the rows is that of the codes."""
    among = held[:, :, None] & held[:, None, :]
    slight = torch.finfo(gram.dtype).eps * gram.diagonal().max()  # directions may be alike
    identity = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    system = torch.where(among, gram, 0) + torch.where(held[:, None, :], slight, 1.0) * identity
    found: Tensor = torch.linalg.solve(system, (rows - rows.detach()) * held)
    return found
