"""Losses by example, their gradients and their curvature, against autograd on single examples."""

from __future__ import annotations

from typing import Any

import influenced
import pytest
import torch
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
