"""Rows that see one another are noticed, whatever hides it."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from captum_influence import DistributionalInfluence, Function, LinearPath, Point

X = torch.sin(torch.arange(12.0, dtype=torch.float64)).reshape(4, 3)


class Net(nn.Module):
    def __init__(self, middle: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.middle = nn.Linear(3, 4), nn.Linear(4, 2), middle
        self.double().eval()

    def forward(self, x: Tensor) -> Tensor:
        return self.b(torch.tanh(self.middle(self.a(x))))


def _neighbours(h: Tensor) -> Tensor:
    return h + h.roll(1, 0)


def _branch(h: Tensor) -> Tensor:
    return h * 2 if h.sum() > 0 else h


TOGETHER = {
    "statistics": lambda h: h - h.mean(0),
    "softmax": lambda h: h.softmax(0),
    "graph": _neighbours,
    "branch": _branch,
    "order": lambda h: h.cumsum(0),
    "norm": lambda h: h / h.norm(),
}


@pytest.mark.parametrize("kind", TOGETHER)
@pytest.mark.parametrize("form", ["module", "lambda", "partial", "method"])
def test_rows_that_see_one_another_are_refused(kind: str, form: str) -> None:
    net = Net(TOGETHER[kind])
    function: Any = {
        "module": net,
        "lambda": lambda x: net(x),
        "partial": partial(net),
        "method": net.forward,
    }[form]
    with pytest.raises(RuntimeError, match=r"rows beside it.*internal_batch_size=1"):
        DistributionalInfluence(function, net.a).attribute(X, target=1)


@pytest.mark.parametrize("kind", TOGETHER)
def test_the_cure_that_is_named_is_the_definition(kind: str) -> None:
    net = Net(TOGETHER[kind])
    influence = DistributionalInfluence(net, "a", distribution=Point())
    found = influence.attribute(X, target=1, internal_batch_size=1)
    for i in range(len(X)):
        leaf = net.a(X[i : i + 1]).detach().requires_grad_()
        score = net.b(torch.tanh(net.middle(leaf)))[:, 1].sum()
        torch.testing.assert_close(found[i : i + 1], torch.autograd.grad(score, leaf)[0])


@pytest.mark.parametrize("form", ["module", "lambda"])
def test_batch_norm_in_training_is_refused_and_left_as_it_was(form: str) -> None:
    layers = nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    net = nn.Sequential(*layers).train()
    before = net[1].running_mean.clone()
    function: Any = net if form == "module" else lambda x: net(x)
    with pytest.raises(RuntimeError, match=r"normalises over the batch.*model\.eval\(\)"):
        DistributionalInfluence(function, net[0]).attribute(torch.randn(3, 2, 5, 5), target=0)
    torch.testing.assert_close(net[1].running_mean, before, rtol=0, atol=0)


def test_dropout_in_training_is_refused() -> None:
    net = Net(nn.Dropout()).train()
    with pytest.raises(RuntimeError, match=r"middle, a Dropout, is in training mode"):
        DistributionalInfluence(net, "a").attribute(X, target=0)
    DistributionalInfluence(net.eval(), "a").attribute(X, target=0)


def test_a_network_that_draws_gives_the_same_twice_and_leaves_the_state() -> None:
    net = Net(lambda h: h + torch.randn_like(h))
    torch.manual_seed(3)
    state = torch.get_rng_state()
    influence = DistributionalInfluence(net, "a")
    first, second = (influence.attribute(X, target=1) for _ in range(2))
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("rows", [None, 4])
def test_batches_of_one_size_only(rows: int | None) -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.Flatten(0), nn.Unflatten(0, (4, 4))).double()
    influence = DistributionalInfluence(net, "0")
    if rows is None:
        with pytest.raises(ValueError, match="internal_batch_size="):
            influence.attribute(X, target=1)
        return
    found = influence.attribute(X, target=1, internal_batch_size=rows)
    torch.testing.assert_close(found, torch.eye(4, dtype=torch.float64)[[1] * 4])
    with pytest.raises(ValueError, match="internal_batch_size=4"):
        influence.attribute(X, target=1)


def test_an_error_of_the_users_own_is_handed_on_as_it_is() -> None:
    class Mine(Exception):
        pass

    def raising(h: Tensor) -> Tensor:
        if len(h) > 1:
            raise Mine("not now")
        return h

    net = Net(raising)
    with pytest.raises(ValueError, match="internal_batch_size=1") as caught:
        DistributionalInfluence(net, "a").attribute(X, target=0)
    assert isinstance(caught.value.__cause__, Mine)
    net.middle = lambda h: (_ for _ in ()).throw(Mine("never"))
    with pytest.raises(Mine, match="never"):
        DistributionalInfluence(net, "a").attribute(X, target=0)


def test_a_quantity_that_holds_tensors_per_example_is_refused() -> None:
    net, gain = Net(nn.Identity()), torch.rand(4, dtype=torch.float64)
    quantity = Function(lambda out: out[:, 1] * gain)
    influence = DistributionalInfluence(net, "a", quantity=quantity, distribution=Point())
    with pytest.raises(ValueError, match=r"must not mix rows, nor hold tensors per example"):
        influence.attribute(X)


def test_it_runs_once_for_a_network_and_a_shape() -> None:
    calls = []
    net = Net(lambda h: calls.append(len(h)) or h)
    influence = DistributionalInfluence(net, "a", distribution=LinearPath(0.0, 2))
    influence.attribute(X, target=0)
    once = len(calls)
    influence.attribute(X, target=0)
    assert len(calls) < 2 * once
    influence.attribute(X[:2], target=0)
    assert 1 not in calls[once:]
