"""Recorded gradients are compared with autograd's, once; what isn't whole is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from captum_influence import LayerInfluence
from captum_influence.data.batch import Batch
from captum_influence.network.recording import Recorder
from captum_influence.training.selection import treatable_layers
from captum_influence.training.shared import modules_of
from captum_influence.training.whole import Comparison, LayerRecorder

N, STEPS = 8, 3


class Net(nn.Module):
    """Two layers, and what may be done between them."""

    def __init__(self, between: Callable[[Net, Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.between = between
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        return self.second(torch.tanh(self.between(self, self.first(x))))


def _x(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(N, *shape, generator=generator, dtype=torch.float64)


def _ask(net: nn.Module, x: Tensor, **options: Any) -> Tensor:
    labels = torch.arange(N) % 4
    influence = LayerInfluence(
        net,
        TensorDataset(x, labels),
        loss_fn=nn.CrossEntropyLoss(),
        curvature="identity",
        **options,
    )
    return influence.influence((x[:2], labels[:2]))


SHARED: dict[str, Callable[[Net, Tensor], Tensor]] = {
    "by a function": lambda net, h: F.linear(h, net.first.weight),
    "by its transpose": lambda net, h: h @ net.first.weight,
    "a bias": lambda net, h: h + net.first.bias,
    "past the hooks": lambda net, h: net.first.forward(h),
    "a penalty's sum": lambda net, h: h + net.first.weight.sum(),
}


@pytest.mark.parametrize("use", SHARED)
def test_a_parameter_that_a_function_shares_is_refused(use: str) -> None:
    with pytest.raises(ValueError, match=r"layer 'first' to be all that .* shares a parameter"):
        _ask(Net(SHARED[use]), _x(4))
    _ask(Net(SHARED[use]), _x(4), layers=["second"])  # the cure


def test_a_layer_that_does_more_than_its_kind_is_refused() -> None:
    class Masked(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return F.linear(x, self.weight * self.weight.gt(0), self.bias)

    net = nn.Sequential(Masked(4, 4), nn.Tanh(), nn.Linear(4, 4)).double()
    with pytest.raises(ValueError, match="does something else than a Masked of torch"):
        _ask(net, _x(4))


COUPLED: dict[str, Callable[[Net, Tensor], Tensor]] = {
    "a mean": lambda net, h: h - h.mean(0),
    "a weak mean": lambda net, h: h - 1e-3 * h.mean(0),
    "softmax": lambda net, h: h.softmax(0),
    "a running sum": lambda net, h: h.cumsum(0),
    "a branch": lambda net, h: h if len(h) > 1 else 2 * h,
    "chance": lambda net, h: F.dropout(h),
    "normalisation": lambda net, h: F.batch_norm(h, None, None, training=True),
}


@pytest.mark.parametrize("kind", COUPLED)
def test_examples_that_influence_one_another_are_refused(kind: str) -> None:
    with pytest.raises((ValueError, RuntimeError), match=r"one another|one example alone"):
        _ask(Net(COUPLED[kind]), _x(4))


@pytest.mark.parametrize("steps", [2, STEPS, 4, N])
def test_layers_that_count_steps_first_are_refused(steps: int) -> None:
    class TimeFirst(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4).double()

        def forward(self, x: Tensor) -> Tensor:
            return torch.tanh(self.layer(x.transpose(0, 1))).sum(0)

    with pytest.raises((ValueError, RuntimeError), match=r"dimension doesn't count|batch first"):
        _ask(TimeFirst(), _x(steps, 4), batch_size=N)


def test_a_network_of_one_size_is_refused() -> None:
    class Fixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4).double()

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x.view(N, 4))

    with pytest.raises(RuntimeError, match=r"run on one example alone.*it raised RuntimeError"):
        LayerInfluence(
            Fixed(),
            TensorDataset(_x(4), torch.arange(N) % 4),
            loss_fn=nn.CrossEntropyLoss(),
            curvature="identity",
        ).self_influence()


def test_what_a_network_raises_is_raised_as_it_is() -> None:
    class Own(Exception):
        pass

    def fail(net: Net, h: Tensor) -> Tensor:
        raise Own("mine")

    with pytest.raises(Own, match="mine"):
        _ask(Net(fail), _x(4))


def test_it_is_compared_once() -> None:
    seen: list[int] = []

    def count(net: Net, h: Tensor) -> Tensor:
        seen.append(len(h))
        return h

    net = Net(count)
    layers, _ = treatable_layers(net, None, skip_unsupported=False)
    comparison = Comparison(layers)
    batch = Batch(0, 0, (_x(4),), None)
    with Recorder(net, modules_of(layers)) as recorder:
        once = LayerRecorder(recorder, comparison)
        output = once.run(batch)
        first, again = len(seen), once.run(batch)
    assert comparison.done
    assert torch.equal(output, again)
    assert len(seen) == first + 1
    assert sum(seen[:first]) <= 2 * N + 8  # the batch twice, and a few examples


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("count", [1, 2, N])
def test_whole_gradients_pass_in_every_precision(dtype: torch.dtype, count: int) -> None:
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 4)).to(dtype)
    layers, _ = treatable_layers(net, None, skip_unsupported=False)
    batch = Batch(0, 0, (_x(1, 4, 4)[:count].to(dtype),), None)
    with Recorder(net, modules_of(layers)) as recorder:
        LayerRecorder(recorder, Comparison(layers)).run(batch)


def test_a_layer_whose_gradient_is_nothing_passes() -> None:
    """The bias of an attention's keys moves all scores alike: its gradient is rounding alone."""

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.shift, self.score = nn.Embedding(1, 1), nn.Linear(4, 1)

        def forward(self, x: Tensor) -> Tensor:
            shift = self.shift(torch.zeros(len(x), 1, dtype=torch.long))
            return ((self.score(x) + shift).softmax(1) * x).sum(1)

    net = Attention()
    layers, _ = treatable_layers(net, None, skip_unsupported=False)
    with Recorder(net, modules_of(layers)) as recorder:
        batch = Batch(0, 0, (_x(STEPS, 4).float(),), None)
        LayerRecorder(recorder, Comparison(layers)).run(batch)
