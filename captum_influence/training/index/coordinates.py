"""Where an index keeps a layer's gradients: along the steepest directions of its curvature."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from captum_influence.network.recording import Record
from captum_influence.training.curvature import Basis, DenseBlock, IdentityBlock, KroneckerBlock
from captum_influence.training.gradients import LayerGradient, MatrixGradient
from captum_influence.training.scoring import Group

__all__ = ["Coordinates"]


@dataclass(frozen=True, eq=False)
class Coordinates(ABC):
    """Some coordinates of h = (H + δI)^(-1/2) g in the eigenbasis of the layer's curvature.

    The score of two examples is the product of their h. Of all its coordinates those with the
    largest eigenvalues are kept: h's mean square along one is λ / (λ + δ), so what is left out is
    what damping has made small, and a kept coordinate is exact.

    Attributes:
        layer: whose gradients they are.
    """

    layer: LayerGradient

    @staticmethod
    def of(group: Group, dimension: int | None) -> Coordinates:
        """Return the coordinates of a layer's block.

        Args:
            group: the layer and its curvature.
            dimension: how many to keep; None, or more than there are: all.

        Raises:
            ValueError: if the block has no eigenbasis to choose from, or is of several layers.
        """
        if len(group.layers) > 1:
            raise ValueError(
                "expected a curvature with one block per layer, since a layer's slice of a joint "
                f"product isn't symmetric, got one block of {[x.name for x in group.layers]}; use "
                "curvature='ekfac' or 'ggn'"
            )
        layer, block = group.layers[0], group.block
        if isinstance(block, KroneckerBlock):
            return KroneckerCoordinates.chosen(block, dimension)
        if isinstance(block, DenseBlock):
            return DenseCoordinates.chosen(layer, block, dimension)
        if isinstance(block, IdentityBlock) and (dimension is None or dimension >= layer.size):
            return AllCoordinates(layer)
        raise ValueError(
            f"expected a curvature with an eigenbasis, of which layer '{layer.name}' keeps the "
            f"steepest directions, got {type(block).__name__}; use curvature='ekfac' or 'ggn', or "
            "dimension=None with 'identity' to keep whole gradients"
        )

    @property
    @abstractmethod
    def size(self) -> int:
        """How many there are."""

    @abstractmethod
    def read(self, record: Record) -> Tensor:
        """Return the coordinates of a record's examples, (batch, size)."""


@dataclass(frozen=True, eq=False)
class AllCoordinates(Coordinates):
    """The gradient itself: H = I."""

    @property
    def size(self) -> int:
        return self.layer.size

    def read(self, record: Record) -> Tensor:
        return self.layer.flat(record)


@dataclass(frozen=True, eq=False)
class DenseCoordinates(Coordinates):
    """Of an exact block: products with its eigenvectors, over the roots of its eigenvalues.

    Attributes:
        pieces: lengths of the block's diagonal pieces.
        vectors: of each piece, (length, kept), over the roots.
    """

    pieces: Sequence[int]
    vectors: Sequence[Tensor]

    @staticmethod
    def chosen(layer: LayerGradient, block: DenseBlock, dimension: int | None) -> DenseCoordinates:
        """Return those with the largest eigenvalues."""
        pieces = [len(values) for values in block.values]
        places = torch.arange(sum(pieces), device=block.values[0].device)
        kept = torch.isin(places, _steepest(torch.cat(list(block.values)), dimension))
        vectors = [
            (v / w.sqrt())[:, mask]
            for v, w, mask in zip(
                block.vectors, block.values, torch.split(kept, pieces), strict=True
            )
        ]
        return DenseCoordinates(layer, pieces, vectors)

    @property
    def size(self) -> int:
        return sum(v.shape[1] for v in self.vectors)

    def read(self, record: Record) -> Tensor:
        parts = torch.split(self.layer.flat(record), list(self.pieces), 1)
        return torch.cat([g @ v.to(g) for g, v in zip(parts, self.vectors, strict=True)], 1)


@dataclass(frozen=True, eq=False)
class KroneckerCoordinates(Coordinates):
    """Of a Kronecker-factored block: each factor is turned onto the directions that are kept.

    With G = Σ_t d_t a_tᵀ, h at (i, j) is Σ_t (u_i · d_t)(v_j · a_t) / √λ_ij: neither the whole
    eigenbasis nor the whole G is needed.

    Attributes:
        rows: directions of the outputs that occur, (groups, out, rows).
        columns: directions of the inputs that occur, (groups, in, columns).
        places: (group, row, column) of each coordinate, (3, size).
        roots: √λ of each.
    """

    layer: MatrixGradient
    rows: Tensor
    columns: Tensor
    places: Tensor
    roots: Tensor

    @staticmethod
    def chosen(block: KroneckerBlock, dimension: int | None) -> KroneckerCoordinates:
        """Return those with the largest eigenvalues."""
        kept = _steepest(block.values.flatten(), dimension)
        group, row, column = torch.unravel_index(kept, block.values.shape)
        rows, row = torch.unique(row, return_inverse=True)
        columns, column = torch.unique(column, return_inverse=True)
        return KroneckerCoordinates(
            block.layer,
            rows=_directions(block.outputs, rows),
            columns=_directions(block.inputs, columns),
            places=torch.stack([group, row, column]),
            roots=block.values.flatten()[kept].sqrt(),
        )

    @property
    def size(self) -> int:
        return len(self.roots)

    def read(self, record: Record) -> Tensor:
        d = self.layer.outputs(record)
        d, a = d @ self.rows.to(d), self.layer.turned(record, self.columns.to(d))
        group, row, column = self.places
        if a.shape[2] == 1:  # one position: an outer product, of which each entry is a product
            return d[:, group, 0, row] * a[:, group, 0, column] / self.roots.to(a)
        return (d.mT @ a)[:, group, row, column] / self.roots.to(a)


def _steepest(values: Tensor, dimension: int | None) -> Tensor:
    """Return the places of the largest values, in order; of equal ones, the first."""
    order = values.argsort(descending=True, stable=True)
    return order[:dimension].sort().values


def _directions(basis: Basis, kept: Tensor) -> Tensor:
    """Return columns of an orthogonal matrix that is given by its diagonal pieces."""
    groups = basis.pieces[0].shape[0]
    size = sum(piece.shape[-1] for piece in basis.pieces)
    found = basis.pieces[0].new_zeros(groups, size, len(kept))
    start = 0
    for piece in basis.pieces:
        inside = (kept >= start) & (kept < start + piece.shape[-1])
        found[:, start : start + piece.shape[-1], inside] = piece[:, :, kept[inside] - start]
        start += piece.shape[-1]
    return found
