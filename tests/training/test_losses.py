"""Losses by example, their gradients and their curvature, against autograd on single examples."""

from __future__ import annotations

import functools
from typing import Any

import influenced
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from captum_influence import LayerInfluence
from captum_influence.training import (
    EmpiricalFisher,
    ExactFisher,
    Fisher,
    SampledFisher,
    log_odds_loss,
)
from captum_influence.training.losses import ExampleLoss

LABELS = torch.tensor([0, 3, 1, 1, 2])
WEIGHTS = torch.tensor([1.0, 2.0, 0.5, 3.0], dtype=torch.float64)
LOSSES: dict[str, tuple[nn.Module, Tensor]] = {
    "cross-entropy": (nn.CrossEntropyLoss(), LABELS),
    "weighted and smoothed": (
        nn.CrossEntropyLoss(weight=WEIGHTS, label_smoothing=0.1, reduction="sum"),
        LABELS,
    ),
    "squared": (nn.MSELoss(reduction="sum"), torch.arange(20.0).reshape(5, 4).double() / 10),
}


def _output() -> Tensor:
    return torch.randn(5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def _hessians(loss: Any, output: Tensor, target: Tensor) -> Tensor:
    pairs = zip(output, target, strict=True)
    one = torch.autograd.functional.hessian
    return torch.stack([one(lambda o, t=t: loss(o[None], t[None]), x) for x, t in pairs])


def test_losses_of_every_reduction_agree() -> None:
    model, data, queries = influenced.problem()
    scores = [
        LayerInfluence(model, data, loss_fn=loss, batch_size=7, damping=0.1).influence(queries)
        for loss in (
            *influenced.LOSSES,
            nn.CrossEntropyLoss(reduction="none"),
            nn.functional.cross_entropy,
            lambda o, y: nn.functional.cross_entropy(o, y, reduction="sum"),
        )
    ]
    for other in scores[1:]:
        torch.testing.assert_close(scores[0], other)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_and_hessians_are_those_of_single_examples(name: str) -> None:
    function, target = LOSSES[name]
    loss, output = ExampleLoss(function), _output()
    single = nn.CrossEntropyLoss() if name == "cross-entropy" else function
    leaf = output.clone().requires_grad_(True)
    total = sum(single(leaf[i : i + 1], target[i : i + 1]) for i in range(5))
    (wanted,) = torch.autograd.grad(total, leaf)
    if name != "weighted and smoothed":
        torch.testing.assert_close(loss(output, target).sum(), total.detach())
    torch.testing.assert_close(loss.gradient(output, target), wanted)
    torch.testing.assert_close(loss.hessian(output, target), _hessians(single, output, target))


@pytest.mark.parametrize("name", LOSSES)
def test_exact_vectors_multiply_to_the_hessian(name: str) -> None:
    function, target = LOSSES[name]
    output, generator = _output(), torch.Generator()
    vectors = list(ExactFisher().vectors(ExampleLoss(function), output, target, generator))
    found = sum(v[:, :, None] * v[:, None, :] for v in vectors)
    torch.testing.assert_close(found, _hessians(function, output, target))


@pytest.mark.parametrize("name", LOSSES)
def test_sampled_vectors_do_so_on_average(name: str) -> None:
    function, target = LOSSES[name]
    output, loss = _output(), ExampleLoss(function)
    generator = torch.Generator().manual_seed(0)
    found = sum(
        v[:, :, None] * v[:, None, :]
        for v in SampledFisher(draws=4000).vectors(loss, output, target, generator)
    )
    wanted = _hessians(function, output, target)
    assert (found - wanted).norm() < 0.08 * wanted.norm()


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_positions_have_sampled_vectors_of_their_own(reduction: str) -> None:
    """Without a matrix over all classes and positions, which no language model could have."""
    loss = ExampleLoss(nn.CrossEntropyLoss(reduction=reduction))
    output = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0)).double()
    target = torch.tensor([[0, -100, 3], [2, 1, 1]])
    generator = torch.Generator().manual_seed(0)
    found = sum(
        v.flatten(1)[:, :, None] * v.flatten(1)[:, None, :]
        for v in SampledFisher(draws=8000).vectors(loss, output, target, generator)
    )
    wanted = loss.hessian(output, target)
    assert (found - wanted).norm() < 0.08 * wanted.norm()


def test_the_empirical_vector_is_the_gradient_of_the_loss() -> None:
    function, target = LOSSES["cross-entropy"]
    loss, output = ExampleLoss(function), _output()
    (found,) = EmpiricalFisher().vectors(loss, output, target, torch.Generator())
    assert torch.equal(found, loss.gradient(output, target))


def test_log_odds_loss_is_the_negative_logit_of_the_probability() -> None:
    output, target = torch.randn(5, 4, dtype=torch.float64), torch.tensor([0, 3, 1, 1, 2])
    p = output.softmax(1)[torch.arange(5), target]
    torch.testing.assert_close(log_odds_loss(output, target), -torch.log(p / (1 - p)))


def test_fishers_are_known_by_their_names() -> None:
    for name, kind in (("exact", ExactFisher), ("sampled", SampledFisher)):
        assert isinstance(Fisher.ensure(name), kind)
    own = SampledFisher(3)
    assert Fisher.ensure(own) is own
    with pytest.raises(ValueError, match="expected fisher"):
        Fisher.ensure("true")


def test_what_is_no_loss_per_example_is_refused() -> None:
    with pytest.raises(TypeError, match="loss_fn to be callable"):
        ExampleLoss(3)
    with pytest.raises(ValueError, match="one loss per example or a scalar"):
        ExampleLoss(lambda output, target: output.sum(0))(_output(), LABELS)


# The example's own loss --------------------------------------------------------------------------


class Inner(nn.Module):
    """A loss that can't be asked for one number per example."""

    reduction = "mean"

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.inner = nn.CrossEntropyLoss(**settings)

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        return self.inner(output, target)


class Focal(nn.CrossEntropyLoss):
    """A loss of one's own that keeps to torch's reductions."""

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        losses = F.cross_entropy(output, target, reduction="none")
        losses = (1 - torch.exp(-losses)) ** 2 * losses
        return losses if self.reduction == "none" else getattr(losses, self.reduction)()


class SumOfPositions(nn.Module):
    """A loss whose mean is over examples only."""

    reduction = "mean"

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        losses = F.mse_loss(output, target, reduction="none")
        return losses if self.reduction == "none" else losses.sum(1).mean()


def _steps() -> Tensor:
    return torch.randn(5, 4, 6, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def _padded() -> Tensor:
    target = torch.randint(4, (5, 6), generator=torch.Generator().manual_seed(3))
    for i, length in enumerate((6, 1, 4, 6, 2)):
        target[i, length:] = -100
    return target


NUMBERS = torch.arange(5.0).double()
SOFT = torch.softmax(_output(), 1)
CE, BCE = F.cross_entropy, F.binary_cross_entropy_with_logits
# name: the loss, outputs, targets, the loss of one example alone
ALONE: dict[str, tuple[Any, Tensor, Tensor, Any]] = {
    "padding": (nn.CrossEntropyLoss(), _steps(), _padded(), CE),
    "padding, a function": (CE, _steps(), _padded(), CE),
    "padding, summed": (
        lambda o, y: CE(o, y, reduction="sum"),
        _steps(),
        _padded(),
        lambda o, y: CE(o, y, reduction="sum"),
    ),
    "padding, by position": (
        lambda o, y: CE(o, y, reduction="none"),
        _steps(),
        _padded(),
        lambda o, y: CE(o, y, reduction="sum"),
    ),
    "padding and smoothing": (
        nn.CrossEntropyLoss(label_smoothing=0.2),
        _steps(),
        _padded(),
        nn.CrossEntropyLoss(label_smoothing=0.2),
    ),
    "another class ignored": (
        nn.CrossEntropyLoss(ignore_index=1),
        _steps(),
        _padded().clamp(min=0),
        nn.CrossEntropyLoss(ignore_index=1),
    ),
    "log-likelihood": (
        nn.NLLLoss(),
        _steps().log_softmax(1),
        _padded(),
        nn.NLLLoss(),
    ),
    "weights": (
        nn.CrossEntropyLoss(WEIGHTS),
        _output(),
        LABELS,
        nn.CrossEntropyLoss(WEIGHTS, reduction="sum"),
    ),
    "weights, partial": (
        functools.partial(CE, weight=WEIGHTS),
        _output(),
        LABELS,
        nn.CrossEntropyLoss(WEIGHTS, reduction="sum"),
    ),
    "weights, by example": (
        lambda o, y: CE(o, y, WEIGHTS, reduction="none"),
        _output(),
        LABELS,
        nn.CrossEntropyLoss(WEIGHTS, reduction="sum"),
    ),
    "weights, summed over positions": (
        nn.CrossEntropyLoss(WEIGHTS, reduction="sum"),
        _steps(),
        _padded(),
        nn.CrossEntropyLoss(WEIGHTS, reduction="sum"),
    ),
    "smoothing": (
        nn.CrossEntropyLoss(label_smoothing=0.1),
        _output(),
        LABELS,
        nn.CrossEntropyLoss(label_smoothing=0.1),
    ),
    "soft labels": (nn.CrossEntropyLoss(), _output(), SOFT, CE),
    "one number": (lambda o, y: CE(o, y), _output(), LABELS, CE),
    "squeezed": (
        lambda o, y: F.mse_loss(o.squeeze(1), y),
        _output()[:, :1],
        NUMBERS,
        lambda o, y: F.mse_loss(o[0, 0], y[0]),
    ),
    "a module of one's own": (Focal(), _output(), LABELS, Focal()),
    "one that gives one number": (Inner(), _output(), LABELS, CE),
    "a mean over examples only": (SumOfPositions(), _output(), SOFT, SumOfPositions()),
    "functions by entry": (F.l1_loss, _output(), SOFT, F.l1_loss),
    "mean of a batch": (
        nn.KLDivLoss(reduction="batchmean"),
        _output().log_softmax(1),
        SOFT,
        nn.KLDivLoss(reduction="batchmean"),
    ),
}


@pytest.mark.parametrize("name", ALONE)
def test_an_example_s_loss_is_that_of_a_batch_of_one(name: str) -> None:
    function, output, target, alone = ALONE[name]
    loss, leaf = ExampleLoss(function), output.clone().requires_grad_(True)
    wanted = torch.stack([alone(leaf[i : i + 1], target[i : i + 1]) for i in range(5)])
    for size in (5, 2, 1):  # whatever else is in the batch
        parts = zip(output.split(size), target.split(size), strict=True)
        found = torch.cat([loss(o, y) for o, y in parts])
        torch.testing.assert_close(found, wanted.detach())
    (gradient,) = torch.autograd.grad(wanted.sum(), leaf)
    torch.testing.assert_close(loss.gradient(output, target), gradient)


@pytest.mark.filterwarnings("ignore:Using a target size")  # torch's, in a batch of one
@pytest.mark.parametrize("function", [F.mse_loss, BCE])
def test_a_loss_that_cannot_take_a_batch_of_one_is_compared_with_two_of_the_same(
    function: Any,
) -> None:
    output, target = _output()[:, :1], NUMBERS / 5
    found = ExampleLoss(lambda o, y: function(o.squeeze(), y, reduction="none"))(output, target)
    torch.testing.assert_close(found, function(output[:, 0], target, reduction="none"))


def test_an_example_that_is_ignored_has_no_loss_and_no_curvature() -> None:
    target = LABELS.clone()
    target[2] = -100
    loss = ExampleLoss(nn.CrossEntropyLoss())
    assert loss(_output(), target)[2] == 0
    assert loss.gradient(_output(), target)[2].abs().max() == 0
    generator = torch.Generator().manual_seed(0)
    for fisher in (ExactFisher(), SampledFisher(), EmpiricalFisher()):
        for vector in fisher.vectors(loss, _output(), target, generator):
            assert vector[2].abs().max() == 0
            assert vector[1].abs().max() > 0
    wanted = _hessians(CE, _output()[:2], target[:2])
    vectors = list(ExactFisher().vectors(loss, _output(), target, generator))
    found = sum(v[:2, :, None] * v[:2, None, :] for v in vectors)
    torch.testing.assert_close(found, wanted)


SORTED = torch.tensor([0.0, 0.0, 1.0, 1.0, 2.0]).double()
# name: the loss, outputs, targets, what is said, and a cure
REFUSED: dict[str, tuple[Any, Tensor, Tensor, str]] = {
    "broadcast": (nn.MSELoss(), _output()[:, :1], NUMBERS, r"broadcast .* as by y\[:, None\]"),
    "broadcast, summed": (nn.L1Loss(reduction="sum"), _output()[:, :1], NUMBERS, "broadcast"),
    "broadcast, logits": (nn.BCEWithLogitsLoss(), _output()[:, :1], NUMBERS / 5, "broadcast"),
    "broadcast, a function": (F.mse_loss, _output()[:, :1], NUMBERS, "broadcast"),
    "broadcast, inside": (
        lambda o, y: ((o - y) ** 2).mean(),
        _output()[:, :1],
        NUMBERS,
        "mean or the sum .* shapes that differ are broadcast",
    ),
    "broadcast, by example": (
        lambda o, y: ((o - y) ** 2).mean(1),
        _output()[:, :1],
        NUMBERS,
        r"alone in a batch of one, .* \(\d, 1\) and targets of shape \(\d,\)",
    ),
    "broadcast, sorted": (
        lambda o, y: ((o - y) ** 2).mean(1),
        _output()[:, :1],
        SORTED,
        "alone in a batch of one",
    ),
    "weights inside": (lambda o, y: CE(o, y, WEIGHTS), _output(), LABELS, "class weights .* mean"),
    "weights inside, sorted": (
        lambda o, y: CE(o, y, WEIGHTS),
        _output(),
        LABELS.sort().values,
        "class weights",
    ),
    "weights inside a module": (Inner(weight=WEIGHTS), _output(), LABELS, "class weights"),
    "weights over positions": (
        nn.CrossEntropyLoss(WEIGHTS),
        _steps(),
        _padded(),
        'reduction="sum", or',
    ),
    "padding inside": (lambda o, y: CE(o, y), _steps(), _padded(), "ignored positions"),
    "the batch": (lambda o, y: (o - o.mean(0)).square().sum(1), _output(), LABELS, "reduction"),
    "the batch, one number": (lambda o, y: o.amax(0).sum(), _output(), LABELS, "mean or the sum"),
    "by class": (
        lambda o, y: o.square().mean(0),
        _output()[:4],
        LABELS[:4],
        "alone in|one loss per",
    ),
    "one too many": (lambda o, y: o.squeeze(0) * y, _output()[:1], LABELS[:1], "one loss per ex"),
    "no class": (nn.CrossEntropyLoss(), _output(), LABELS + 2, "labels from 0 to 3, .* got 5"),
    "no class, gathered": (log_odds_loss, _output(), LABELS + 2, "labels that the loss has"),
    "no class, indexed": (
        lambda o, y: -o[torch.arange(len(y)), y],
        _output(),
        LABELS + 2,
        "labels that the loss has an output for",
    ),
    "no batch of one": (
        lambda o, y: BCE(o.squeeze(), y / 5),
        _output()[:, :1],
        NUMBERS,
        r"run on one example alone, .* squeeze\(1\)",
    ),
}


@pytest.mark.parametrize("size", [5, 2])
@pytest.mark.parametrize("name", REFUSED)
def test_a_loss_that_is_not_the_example_s_own_is_refused(name: str, size: int) -> None:
    function, output, target, message = REFUSED[name]
    loss = ExampleLoss(function)
    batches = zip(output.split(size), target.split(size), strict=True)
    with pytest.raises(ValueError, match=message):
        _ = [loss.gradient(o, y) for o, y in batches]
