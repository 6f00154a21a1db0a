"""Losses per example, and their curvature at the model's output: the output's Fisher vectors."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

__all__ = [
    "EmpiricalFisher",
    "ExactFisher",
    "ExampleLoss",
    "Fisher",
    "SampledFisher",
    "log_odds_loss",
]


@dataclass(frozen=True, eq=False)
class ExampleLoss:
    """One loss per example, whatever the reduction of the function it is made from.

    A torch loss with a ``reduction`` is run with "none" and reduced within each example only;
    any other callable may return one loss per example or a scalar (it is then called example by
    example, so that a sum and a mean over the batch come to the same).

    Attributes:
        function: ``function(output, target)``.

    Raises:
        TypeError: if it can't be called.
    """

    function: Callable[[Tensor, Any], Tensor]

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise TypeError(
                f"expected loss_fn to be callable as loss_fn(output, target), got "
                f"{type(self.function).__name__}; pass e.g. torch.nn.CrossEntropyLoss()"
            )

    def __call__(self, output: Tensor, target: Any) -> Tensor:
        """Return the losses, shape (batch,)."""
        reduction = getattr(self.function, "reduction", None)
        if isinstance(self.function, nn.Module) and reduction in ("none", "mean", "sum"):
            losses: Tensor = _unreduced(self.function)(output, target).reshape(len(output), -1)
            return losses.mean(1) if reduction == "mean" else losses.sum(1)
        losses = self.function(output, target)
        if losses.ndim and len(losses) == len(output):
            return losses.reshape(len(output), -1).sum(1)
        return torch.stack([self._single(output, target, i) for i in range(len(output))])

    def _single(self, output: Tensor, target: Any, i: int) -> Tensor:
        loss = self.function(output[i : i + 1], target[i : i + 1])
        if loss.numel() != 1:
            raise ValueError(
                "expected loss_fn to return one loss per example or a scalar, got shape "
                f"{tuple(loss.shape)} for one example; reduce it over all other dimensions"
            )
        return loss.reshape(())

    def gradient(self, output: Tensor, target: Any) -> Tensor:
        """Return the gradient of each example's loss at its own output, shaped like the output.

        Cross-entropy's is taken in float64: p − 1 of an example that the network is sure of has no
        correct digit in float32, and dividing by self-influence would blow that error up.
        """
        loss, wide, target = self._widened(output.detach(), target)
        leaf = wide.requires_grad_(True)
        return torch.autograd.grad(loss(leaf, target).sum(), leaf)[0].to(output.dtype)

    def _widened(self, output: Tensor, target: Any) -> tuple[ExampleLoss, Tensor, Any]:
        if not isinstance(self.function, nn.CrossEntropyLoss) or output.device.type == "mps":
            return self, output.clone(), target
        floats = isinstance(target, Tensor) and target.is_floating_point()
        loss = ExampleLoss(copy.deepcopy(self.function).double())
        return loss, output.double().clone(), target.double() if floats else target

    def hessian(self, output: Tensor, target: Any) -> Tensor:
        """Return second derivatives at the output, (batch, n, n) for n outputs per example."""
        leaf = output.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(self(leaf, target).sum(), leaf, create_graph=True)
        flat = gradient.reshape(len(output), -1)
        if not flat.requires_grad:
            return output.new_zeros(len(output), flat.shape[1], flat.shape[1])
        rows = [_derivative(flat[:, i], leaf) for i in range(flat.shape[1])]
        return torch.stack(rows, 1)

    @property
    def is_softmax(self) -> bool:
        """Whether this is plain cross-entropy, whose curvature has a closed form."""
        return (
            isinstance(self.function, nn.CrossEntropyLoss)
            and self.function.weight is None
            and self.function.ignore_index < 0
        )


def _unreduced(function: nn.Module) -> nn.Module:
    plain = copy.copy(function)
    setattr(plain, "reduction", "none")  # noqa: B010  (a torch loss; mypy sees a Module)
    return plain


def _derivative(column: Tensor, leaf: Tensor) -> Tensor:
    (row,) = torch.autograd.grad(column.sum(), leaf, retain_graph=True, allow_unused=True)
    return (torch.zeros_like(leaf) if row is None else row).reshape(len(leaf), -1)


def log_odds_loss(output: Tensor, target: Tensor) -> Tensor:
    """Return −log(p/(1 − p)) of the target class: a test loss that never saturates.

    Where the network is sure, cross-entropy has no gradient left to attribute; the log-odds
    have (Park et al. 2023). Shapes: output (batch, classes), target (batch,) -> (batch,).
    """
    own = output.gather(1, target.unsqueeze(1)).squeeze(1)
    hidden = torch.zeros_like(output).scatter(1, target.unsqueeze(1), float("-inf"))
    return (output + hidden).logsumexp(1) - own


class Fisher(ABC):
    """Vectors v at the output with E[v vᵀ] = the curvature of the loss there."""

    name: str

    @abstractmethod
    def vectors(
        self, loss: ExampleLoss, output: Tensor, target: Any, generator: torch.Generator
    ) -> Iterator[Tensor]:
        """Yield vectors shaped like ``output``; their outer products sum to the curvature."""

    @staticmethod
    def ensure(value: str | Fisher) -> Fisher:
        """Return ``"exact"``, ``"sampled"`` or ``"empirical"`` as the object.

        Raises:
            ValueError: for another string.
        """
        if isinstance(value, Fisher):
            return value
        known: dict[str, Fisher] = {
            f.name: f for f in (ExactFisher(), SampledFisher(), EmpiricalFisher())
        }
        if value not in known:
            raise ValueError(
                f"expected fisher to be a Fisher or one of {sorted(known)}, got {value!r}"
            )
        return known[value]


@dataclass(frozen=True)
class ExactFisher(Fisher):
    """The generalised Gauss-Newton matrix: one vector per output (Martens 2020).

    The vectors are the columns of a square root of each example's loss Hessian.

    Attributes:
        max_outputs: refuse more outputs per example than this; every output costs one
            backward pass.
    """

    max_outputs: int = 512
    name: str = "exact"

    def vectors(
        self, loss: ExampleLoss, output: Tensor, target: Any, generator: torch.Generator
    ) -> Iterator[Tensor]:
        n = output[0].numel()
        if n > self.max_outputs:
            raise ValueError(
                f"expected at most {self.max_outputs} outputs per example for fisher='exact', "
                f"got {n} (output of shape {tuple(output.shape)}); use fisher='sampled'"
            )
        roots = _roots(loss, output, target)  # (batch, n, n)
        for column in roots.unbind(2):
            yield column.reshape(output.shape)


@dataclass(frozen=True)
class SampledFisher(Fisher):
    """An unbiased estimate from ``draws`` Gaussian combinations of the exact vectors.

    These are S·ε/√draws with ε ~ N(0, I) from the generator and SSᵀ the loss Hessian.

    Attributes:
        draws: vectors per example.
    """

    draws: int = 1
    name: str = "sampled"

    def vectors(
        self, loss: ExampleLoss, output: Tensor, target: Any, generator: torch.Generator
    ) -> Iterator[Tensor]:
        flat = output.reshape(len(output), -1)
        root = None if _plain_softmax(loss, output) else _roots(loss, output, target)
        for _ in range(self.draws):
            noise = torch.randn(flat.shape, generator=generator, dtype=torch.float64)
            noise = noise.to(flat) / self.draws**0.5
            if root is None:
                p = output.detach().softmax(1)
                mixed = p.sqrt() * noise - p * (p.sqrt() * noise).sum(1, keepdim=True)
            else:
                mixed = (root @ noise.unsqueeze(2)).squeeze(2)
            yield mixed.reshape(output.shape)


@dataclass(frozen=True)
class EmpiricalFisher(Fisher):
    """The gradients of the training loss itself; cheap, and biased where the model fits well."""

    name: str = "empirical"

    def vectors(
        self, loss: ExampleLoss, output: Tensor, target: Any, generator: torch.Generator
    ) -> Iterator[Tensor]:
        yield loss.gradient(output, target)


def _plain_softmax(loss: ExampleLoss, output: Tensor) -> bool:
    return loss.is_softmax and output.ndim == 2


def _roots(loss: ExampleLoss, output: Tensor, target: Any) -> Tensor:
    """Return S with SSᵀ = the loss Hessian (its positive part), shape (batch, n, n)."""
    if _plain_softmax(loss, output):
        p = output.detach().softmax(1)
        root = p.sqrt()
        return root.diag_embed() - p.unsqueeze(2) * root.unsqueeze(1)
    hessian = loss.hessian(output, target)
    values, vectors = torch.linalg.eigh((hessian + hessian.mT) / 2)
    scaled: Tensor = vectors * values.clamp(min=0).sqrt().unsqueeze(1)
    return scaled
