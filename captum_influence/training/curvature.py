"""Curvature: how steeply the training loss rises around the trained parameters, layer by layer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from captum_influence.network.recording import Record
from captum_influence.training.gradients import EmbeddingGradient, LayerGradient, MatrixGradient

__all__ = ["EKFAC", "Block", "Curvature", "DenseGGN", "Estimator", "Identity"]

MAX_NUMBERS = 2**28  # of one layer's exact blocks: 2 GB in float64
DAMPING_SHARE = 0.1  # the default damping, as a share of a block's mean eigenvalue


class Block(ABC):
    """The damped inverse curvature of one or several layers."""

    @abstractmethod
    def solve(self, gradients: Tensor) -> Tensor:
        """Return (H + δI)⁻¹ applied to every row of ``gradients``, (n, parameters) -> the same."""

    def own(self, gradients: Tensor, records: Mapping[str, Record]) -> Tensor:
        """Return terms (n, parameters) that sum, layer by layer, to a gradient's gᵀ(H + δI)⁻¹g."""
        return gradients * self.solve(gradients)


class Estimator(ABC):
    """Sums a block's statistics over the data, in one or more stages; ``sums`` is all its state.

    Args:
        layers: the layers whose parameters the block covers, in this order.
    """

    stages: int = 1

    def __init__(self, layers: Sequence[LayerGradient]) -> None:
        self.layers = tuple(layers)
        self.sums: dict[str, Tensor] = {}

    @abstractmethod
    def add(self, stage: int, records: Mapping[str, Record], *, first: bool) -> None:
        """Add a batch for one Fisher vector; ``first`` marks the batch's first vector."""

    @abstractmethod
    def finish(self, stage: int, count: int) -> None:
        """Close a stage; ``count`` is the number of examples seen."""

    @abstractmethod
    def block(self, damping: float | None) -> Block:
        """Return the block, with δ = ``damping`` or a tenth of the mean eigenvalue."""

    def is_open(self, stage: int, key: str) -> bool:
        """Return whether a sum is still being added to in this stage."""
        return True

    def _accumulate(self, key: str, value: Tensor) -> None:
        value = value.detach()
        # Batches are summed in float64, where there is one: MPS has none.
        value = value if value.device.type == "mps" else value.double()
        self.sums[key] = self.sums[key] + value if key in self.sums else value


class Curvature(ABC):
    """What stands for the Hessian; ``name`` is the string that :class:`LayerInfluence` accepts."""

    name: str
    scaled: bool = True  # whether scores are leave-one-out effects: divided by the data's size

    @abstractmethod
    def estimators(self, layers: Sequence[LayerGradient]) -> list[Estimator]:
        """Return one estimator per diagonal block; together they cover ``layers`` once each.

        Raises:
            ValueError: for a layer that is too large.
        """

    @staticmethod
    def ensure(value: str | Curvature) -> Curvature:
        """Return ``"ekfac"``, ``"identity"``, ``"ggn"`` or ``"ggn_joint"`` as the object.

        Raises:
            ValueError: for another string.
        """
        if isinstance(value, Curvature):
            return value
        known: dict[str, Curvature] = {
            "ekfac": EKFAC(),
            "identity": Identity(),
            "ggn": DenseGGN(),
            "ggn_joint": DenseGGN(joint=True),
        }
        if value not in known:
            raise ValueError(
                f"expected curvature to be a Curvature or one of {sorted(known)}, got {value!r}"
            )
        return known[value]


@dataclass(frozen=True)
class Identity(Curvature):
    """H = I: influence is the dot product of gradients, as in TracInCP (Pruthi et al. 2020)."""

    name: str = field(default="identity", init=False)
    scaled: bool = field(default=False, init=False)

    def estimators(self, layers: Sequence[LayerGradient]) -> list[Estimator]:
        return [IdentityEstimator([layer]) for layer in layers]


@dataclass(frozen=True)
class EKFAC(Curvature):
    """Eigenvalue-corrected Kronecker factors (George et al. 2018), one block per layer.

    For a matrix layer with inputs a and output gradients d, the eigenvectors of E[aaᵀ] and
    E[ddᵀ] give a basis in which the block's exact diagonal E[(u_dᵀ G u_a)²] is measured.
    Embeddings and normalisations get their exact blocks.

    Attributes:
        max_factor: the largest Kronecker factor; a larger one is split into equal diagonal
            pieces, which only costs accuracy of the basis.
        max_block: the same for the exact blocks, in parameters.
    """

    max_factor: int = 2048
    max_block: int = 2048
    name: str = field(default="ekfac", init=False)

    def estimators(self, layers: Sequence[LayerGradient]) -> list[Estimator]:
        return [self._estimator(layer) for layer in layers]

    def _estimator(self, layer: LayerGradient) -> Estimator:
        if isinstance(layer, MatrixGradient):
            return KroneckerEstimator(layer, self.max_factor)
        return DenseEstimator([layer], self._pieces(layer))

    def _pieces(self, layer: LayerGradient) -> list[int]:
        pieces = _aligned_pieces(layer, self.max_block)
        numbers = sum(size**2 for size in pieces)
        if numbers > MAX_NUMBERS:
            raise ValueError(
                f"expected exact blocks of at most {MAX_NUMBERS} numbers, but layer "
                f"'{layer.name}' of {layer.size} parameters needs {numbers}; leave it out of "
                "layers=, or lower EKFAC(max_block=...)"
            )
        return pieces


@dataclass(frozen=True)
class DenseGGN(Curvature):
    """The whole generalised Gauss-Newton matrix of each layer, or of all layers together.

    Attributes:
        joint: False keeps one block per layer (the influence of retraining that layer
            alone). True keeps the blocks between layers too: a layer's score is then its
            slice of the global inverse-Hessian product.
        max_size: refuse blocks of more parameters than this.
    """

    joint: bool = False
    max_size: int = 5000
    name: str = field(default="ggn", init=False)

    def estimators(self, layers: Sequence[LayerGradient]) -> list[Estimator]:
        groups = [list(layers)] if self.joint else [[layer] for layer in layers]
        return [self._estimator(group) for group in groups]

    def _estimator(self, group: Sequence[LayerGradient]) -> Estimator:
        size = sum(layer.size for layer in group)
        if size > self.max_size:
            raise ValueError(
                f"expected at most {self.max_size} parameters in a dense block, got {size} in "
                f"{[layer.name for layer in group]}; use curvature='ekfac', name smaller "
                "layers in layers=, or raise DenseGGN(max_size=...)"
            )
        return DenseEstimator(group, [size])


class IdentityEstimator(Estimator):
    """Nothing to estimate."""

    stages = 0

    def add(self, stage: int, records: Mapping[str, Record], *, first: bool) -> None:
        """Do nothing."""

    def finish(self, stage: int, count: int) -> None:
        """Do nothing."""

    def block(self, damping: float | None) -> Block:
        return IdentityBlock()


class IdentityBlock(Block):
    """I⁻¹ = I."""

    def solve(self, gradients: Tensor) -> Tensor:
        return gradients


class DenseEstimator(Estimator):
    """Sums g gᵀ over consecutive pieces of the parameters; eigenvectors at the end."""

    def __init__(self, layers: Sequence[LayerGradient], pieces: Sequence[int]) -> None:
        super().__init__(layers)
        self.pieces = list(pieces)

    def add(self, stage: int, records: Mapping[str, Record], *, first: bool) -> None:
        gradients = torch.cat([layer.flat(records[layer.name]) for layer in self.layers], 1)
        for i, piece in enumerate(torch.split(gradients, self.pieces, 1)):
            self._accumulate(f"outer{i}", piece.mT @ piece)

    def finish(self, stage: int, count: int) -> None:
        for i in range(len(self.pieces)):
            values, vectors = _decomposed(self.sums.pop(f"outer{i}") / count)
            self.sums |= {f"values{i}": values.clamp(min=0), f"vectors{i}": vectors}

    def block(self, damping: float | None) -> Block:
        n = range(len(self.pieces))
        values = [self.sums[f"values{i}"] for i in n]
        delta = _damping(torch.cat(values), damping, self.layers)
        return DenseBlock([self.sums[f"vectors{i}"] for i in n], [v + delta for v in values])


@dataclass(frozen=True, eq=False)
class DenseBlock(Block):
    """Diagonal pieces V diag(λ) Vᵀ with the damping already in λ."""

    vectors: Sequence[Tensor]
    values: Sequence[Tensor]

    def solve(self, gradients: Tensor) -> Tensor:
        solved = [
            ((part @ v.to(part)) / w.to(part)) @ v.to(part).mT
            for part, v, w in zip(
                torch.split(gradients, [len(w) for w in self.values], 1),
                self.vectors,
                self.values,
                strict=True,
            )
        ]
        return torch.cat(solved, 1)


class KroneckerEstimator(Estimator):
    """Two stages: the factors' eigenvectors, then the curvature along their products."""

    stages = 2

    def __init__(self, layer: MatrixGradient, max_factor: int) -> None:
        super().__init__([layer])
        self.layer = layer
        self._kept: Tensor | None = None
        _, out, width = layer.shape
        self.pieces = {"in": _even_pieces(width, max_factor), "out": _even_pieces(out, max_factor)}

    def add(self, stage: int, records: Mapping[str, Record], *, first: bool) -> None:
        record = records[self.layer.name]
        rows = self.layer.rows(record)
        for part in record.split(rows):
            if stage == 0:
                self._add_factor("out", self.layer.outputs(part))
                if first:  # the inputs are the same for every Fisher vector
                    self._add_factor("in", self.layer.inputs(part))
            else:
                a = self._rotated_inputs(part, first=first, whole=rows >= record.batch)
                self._add_squares(a, self._basis("out").rotate(self.layer.outputs(part)))

    def _add_factor(self, side: str, x: Tensor) -> None:
        x = x.transpose(0, 1).flatten(1, 2)  # (groups, batch * positions, features)
        for i, piece in enumerate(torch.split(x, self.pieces[side], 2)):
            self._accumulate(f"{side}{i}", piece.mT @ piece)

    def _rotated_inputs(self, part: Record, *, first: bool, whole: bool) -> Tensor:
        """Return the inputs in their eigenbasis, kept for a batch's other vectors if small."""
        if not whole:
            return self._basis("in").rotate(self.layer.inputs(part))
        if first or self._kept is None:
            self._kept = self._basis("in").rotate(self.layer.inputs(part))
        return self._kept

    def _add_squares(self, a: Tensor, d: Tensor) -> None:
        # The mean of (u_dᵀ G u_a)² is the curvature along each product of eigenvectors: it is what
        # EK-FAC measures where K-FAC multiplies eigenvalues. With one position G is an outer
        # product, and its squares are the outer product of the squares: one product of matrices
        # sums them over the batch, without a matrix per example. With several positions G is a sum
        # of outer products, and its squares don't factor.
        if a.shape[2] == 1:
            left = d.square().permute(1, 3, 0, 2).flatten(2)
            squares = left @ a.square()[:, :, 0].transpose(0, 1)
        else:
            squares = (d.mT @ a).square().sum(0)
        self._accumulate("values", squares)

    def finish(self, stage: int, count: int) -> None:
        self._kept = None
        if stage == 1:
            self.sums["values"] = self.sums["values"] / count
            return
        for side, pieces in self.pieces.items():
            for i in range(len(pieces)):
                self.sums[f"{side}{i}"] = _decomposed(self.sums[f"{side}{i}"])[1]

    def block(self, damping: float | None) -> Block:
        values = self.sums["values"]
        delta = _damping(values.flatten(), damping, self.layers)
        return KroneckerBlock(self.layer, self._basis("in"), self._basis("out"), values + delta)

    def is_open(self, stage: int, key: str) -> bool:
        return (key == "values") == (stage == 1)

    def _basis(self, side: str) -> Basis:
        return Basis([self.sums[f"{side}{i}"] for i in range(len(self.pieces[side]))])


@dataclass(frozen=True, eq=False)
class Basis:
    """An orthogonal change of the last dimension, in diagonal pieces of (groups, n, n)."""

    pieces: Sequence[Tensor]

    def rotate(self, x: Tensor) -> Tensor:
        """Turn into the basis: (batch, groups, rows, n) -> the same."""
        return self._apply(x, [p.to(x) for p in self.pieces])

    def rotate_back(self, x: Tensor) -> Tensor:
        """Turn out of the basis."""
        return self._apply(x, [p.to(x).mT for p in self.pieces])

    def _apply(self, x: Tensor, pieces: Sequence[Tensor]) -> Tensor:
        parts = torch.split(x, [p.shape[-1] for p in pieces], -1)
        return torch.cat([x @ p for x, p in zip(parts, pieces, strict=True)], -1)


@dataclass(frozen=True, eq=False)
class KroneckerBlock(Block):
    """(U_out ⊗ U_in) diag(λ) (U_out ⊗ U_in)ᵀ with the damping already in λ (groups, out, in)."""

    layer: MatrixGradient
    inputs: Basis
    outputs: Basis
    values: Tensor

    def own(self, gradients: Tensor, records: Mapping[str, Record]) -> Tensor:
        # In the eigenbasis the sums are the same, and the factors are turned into it one by one:
        # that spares turning the whole matrix there and back.
        record = records[self.layer.name]
        a = self.inputs.rotate(self.layer.inputs(record))
        d = self.outputs.rotate(self.layer.outputs(record))
        return ((d.mT @ a).square() / self.values.to(a)).flatten(1)

    def solve(self, gradients: Tensor) -> Tensor:
        matrix = gradients.reshape(-1, *self.values.shape)
        rotated = self.outputs.rotate(self.inputs.rotate(matrix).mT).mT / self.values.to(matrix)
        return self.outputs.rotate_back(self.inputs.rotate_back(rotated).mT).mT.flatten(1)


def _decomposed(matrices: Tensor) -> tuple[Tensor, Tensor]:
    """Return eigenvalues and eigenvectors, laid out as a file gives them back.

    ``eigh`` returns its vectors by columns. Products of matrices sum in an order that depends on
    the layout, so a curvature that was read back would give scores that differ in the last bit.
    """
    values, vectors = torch.linalg.eigh(matrices)
    return values, vectors.contiguous()


def _damping(values: Tensor, damping: float | None, layers: Sequence[LayerGradient]) -> Any:
    delta = DAMPING_SHARE * float(values.mean()) if damping is None else damping
    if float(values.min()) + delta > 0:
        return delta
    raise ValueError(
        f"expected a positive definite curvature for {[layer.name for layer in layers]}, got a "
        "zero eigenvalue without damping; pass damping= a positive number, or None for a tenth "
        "of the mean eigenvalue"
    )


def _even_pieces(size: int, cap: int) -> list[int]:
    n = -(-size // cap)
    return [size // n + (i < size % n) for i in range(n)]


def _aligned_pieces(layer: LayerGradient, cap: int) -> list[int]:
    """Return pieces of whole rows for an embedding, even pieces otherwise."""
    if not isinstance(layer, EmbeddingGradient):
        return _even_pieces(layer.size, cap)
    rows, width = layer.module.get_parameter("weight").shape
    if width > cap:
        return _even_pieces(width, cap) * rows
    return [n * width for n in _even_pieces(rows, max(1, cap // width))]
