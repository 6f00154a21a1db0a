"""Losses per example, and their curvature at the model's output: the output's Fisher vectors."""

from __future__ import annotations

import copy
import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from captum_influence.attr.targets import BY_ENTRY_FUNCTIONS, check_labels, with_labels
from captum_influence.training.alone import Alone, one_by_one

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

    It is the loss of that example alone in a batch of one: a mean is over the example's own
    positions, without those that ``ignore_index`` leaves out. Class weights multiply it, as they do
    within a batch; alone they would cancel. A function that returns one number for a batch is
    called example by example, if that number is the sum or the mean of theirs.

    Attributes:
        function: ``function(output, target)``: a module, or any other callable.

    Raises:
        TypeError: if it can't be called.
    """

    function: Callable[[Tensor, Any], Tensor]
    _alone: Alone = field(init=False, repr=False)
    _form: _Form = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise TypeError(
                f"expected loss_fn to be callable as loss_fn(output, target), got "
                f"{type(self.function).__name__}; pass e.g. torch.nn.CrossEntropyLoss()"
            )
        object.__setattr__(self, "_alone", Alone(self.function))
        object.__setattr__(self, "_form", _Form.of(self.function))

    def __call__(self, output: Tensor, target: Any) -> Tensor:
        """Return the losses, shape (batch,).

        Raises:
            ValueError: if labels are out of range, or an example's loss depends on the others.
        """
        check_labels(self._form.function, output, target)
        losses = self._vectorised(output, target)
        if losses is not None:
            exact = self._form.is_entropy
            if exact or self._alone.agrees(self._always_vectorised, output, target):
                return losses
            if self._form.reduction in (None, "none"):
                self._alone.refuse(output, target)
        losses = one_by_one(self.function, output, target)
        self._alone.check_number(output, target, losses)
        return losses

    def _always_vectorised(self, output: Tensor, target: Any) -> Tensor:
        losses = self._vectorised(output, target)
        return output.new_full((len(output),), torch.nan) if losses is None else losses

    def _vectorised(self, output: Tensor, target: Any) -> Tensor | None:
        """Return the losses from one call; None if the function returns one number."""
        losses = with_labels(self._form.unreduced, output, target)
        if not losses.ndim or len(losses) != len(output):
            return None
        losses = losses.reshape(len(output), -1)
        if self._form.reduction != "mean":
            return losses.sum(1)
        return losses.sum(1) / self._form.counted(losses, target)

    def gradient(self, output: Tensor, target: Any) -> Tensor:
        """Return the gradient of each example's loss at its own output, shaped like the output.

        Cross-entropy's is taken in float64: p − 1 of an example that the network is sure of has no
        correct digit in float32, and dividing by self-influence would blow that error up.
        """
        loss, wide, target = self._widened(output.detach(), target)
        leaf = wide.requires_grad_(True)
        return torch.autograd.grad(loss(leaf, target).sum(), leaf)[0].to(output.dtype)

    def _widened(self, output: Tensor, target: Any) -> tuple[ExampleLoss, Tensor, Any]:
        function = self._form.function
        entropy = isinstance(function, nn.CrossEntropyLoss) and self._form.is_entropy
        if not entropy or output.device.type == "mps":
            return self, output.clone(), target
        floats = isinstance(target, Tensor) and target.is_floating_point()
        loss = ExampleLoss(copy.deepcopy(function).double())
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
        function = self._form.function
        plain = isinstance(function, nn.CrossEntropyLoss) and self._form.is_entropy
        return plain and function.weight is None

    def shares(self, output: Tensor, target: Any) -> Tensor:
        """Return by what an example's loss weighs cross-entropy, (batch, 1, *positions).

        0 where it is ignored, else 1, or one over the number of positions that a mean is over.
        """
        kept = output.new_ones(len(output), 1, *output.shape[2:])
        if isinstance(target, Tensor) and not target.is_floating_point():
            kept = target.ne(self._form.function.ignore_index).to(output).reshape(kept.shape)
        if self._form.reduction != "mean":
            return kept
        counted = self._form.counted(kept.flatten(1), target)
        return kept / counted.reshape(-1, *[1] * (kept.ndim - 1))


_ENTROPIES = (nn.CrossEntropyLoss, nn.NLLLoss)
_ENTROPY_FUNCTIONS: dict[Any, type[nn.Module]] = {
    F.cross_entropy: nn.CrossEntropyLoss,
    F.nll_loss: nn.NLLLoss,
}


@dataclass(frozen=True, eq=False)
class _Form:
    """A loss function, and how it is reduced.

    Attributes:
        function: a module for cross-entropy, however it was given.
        unreduced: the same without a reduction, if it can be switched off.
        reduction: what was switched off; None: nothing was.
    """

    function: Any
    unreduced: Callable[[Tensor, Any], Tensor]
    reduction: str | None

    @staticmethod
    def of(function: Any) -> _Form:
        inner, given = _parts(function)
        if inner in _ENTROPY_FUNCTIONS and given is not None:
            function = _ENTROPY_FUNCTIONS[inner](**given)
        reduction = getattr(function, "reduction", None)
        if isinstance(function, nn.Module) and reduction in ("none", "mean", "sum"):
            plain = copy.copy(function)
            setattr(plain, "reduction", "none")  # noqa: B010  (a torch loss; mypy sees a Module)
            return _Form(function, plain, str(reduction))
        if inner in BY_ENTRY_FUNCTIONS and given is not None:
            reduction = given.get("reduction", "mean")
            if reduction in ("none", "mean", "sum"):
                return _Form(function, functools.partial(function, reduction="none"), reduction)
        return _Form(function, function, None)

    @property
    def is_entropy(self) -> bool:
        """Whether it is torch's own cross-entropy, whose mean is known without comparing."""
        forward = getattr(type(self.function), "forward", None)
        return any(forward is kind.forward for kind in _ENTROPIES)

    def counted(self, losses: Tensor, target: Any) -> Tensor:
        """Return over how many positions each example's mean is, (batch,)."""
        everywhere = losses.new_full((len(losses),), losses.shape[1])
        by_class = isinstance(target, Tensor) and not target.is_floating_point()
        if not self.is_entropy or not by_class:
            return everywhere
        if self.function.weight is not None and losses.shape[1] > 1:
            raise ValueError(
                "expected a loss whose mean over an example's positions is its own, got class "
                'weights with reduction="mean", which divides by the weights of a batch\'s labels: '
                'pass reduction="sum", or a function that returns one loss per example'
            )
        kept: Tensor = target.ne(self.function.ignore_index).reshape(len(losses), -1).sum(1)
        return kept.clamp(min=1).to(losses)  # of an example that is ignored the loss is 0


def _parts(function: Any) -> tuple[Any, dict[str, Any] | None]:
    """Return a function and the keywords that it was given; None for positional arguments."""
    if not isinstance(function, functools.partial):
        return (function if isinstance(function, FunctionType) else None), {}
    inner = function.func if isinstance(function.func, FunctionType) else None
    return inner, None if function.args else dict(function.keywords)


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
        mixed = _mixing(loss, output, target)
        for _ in range(self.draws):
            noise = torch.randn(output.shape, generator=generator, dtype=torch.float64)
            yield mixed(noise.to(output) / self.draws**0.5)


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


def _mixing(loss: ExampleLoss, output: Tensor, target: Any) -> Callable[[Tensor], Tensor]:
    """Return the product of S, with SSᵀ = the loss Hessian, and noise shaped like the output."""
    if not loss.is_softmax or output.ndim < 2:
        roots = _roots(loss, output, target)
        return lambda noise: (roots @ noise.reshape(len(noise), -1, 1)).reshape(output.shape)
    # Given the output, positions are independent: each has the closed form of one alone. A matrix
    # over all classes and positions would be too large for a language model.
    p, shares = output.detach().softmax(1), loss.shares(output, target)

    def mixed(noise: Tensor) -> Tensor:
        spread = p.sqrt() * noise
        return shares.sqrt() * (spread - p * spread.sum(1, keepdim=True))

    return mixed


def _roots(loss: ExampleLoss, output: Tensor, target: Any) -> Tensor:
    """Return S with SSᵀ = the loss Hessian (its positive part), shape (batch, n, n)."""
    if _plain_softmax(loss, output):
        p = output.detach().softmax(1)
        root = p.sqrt()
        roots = root.diag_embed() - p.unsqueeze(2) * root.unsqueeze(1)
        return roots * loss.shares(output, target).unsqueeze(2)
    hessian = loss.hessian(output, target)
    values, vectors = torch.linalg.eigh((hessian + hessian.mT) / 2)
    scaled: Tensor = vectors * values.clamp(min=0).sqrt().unsqueeze(1)
    return scaled
