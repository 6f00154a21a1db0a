"""Visits read, replace and root the tensors that pass a cut, whatever the module does to them.

Truth: the gradient of the rest of the network with respect to the tensor, written by hand.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from captum_influence import Cut, DistributionalInfluence, LinearPath, Mixture, Point, Samples

X = torch.sin(torch.arange(12, dtype=torch.float64)).reshape(4, 3)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(3)


def _influence(model: nn.Module, layer: Any, x: Any = X, target: Any = 1, **settings: Any) -> Any:
    settings.setdefault("distribution", Point())
    return DistributionalInfluence(model, layer, **settings).attribute(x, target=target)


def _gradient(onward: Callable[[Tensor], Tensor], units: Tensor) -> Tensor:
    units = units.detach().clone().requires_grad_()
    return torch.autograd.grad(onward(units)[:, 1].sum(), units)[0]


class Doubled(nn.Module):
    """An in-place module that isn't idempotent, so that running it twice shows."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mul_(2)


# Which call, which arguments ----------------------------------------------------------------------


class ByKeyword(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.join, self.last = nn.Linear(3, 4), Join(), nn.Linear(4, 2)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(input=x)
        return self.last(input=self.join(hidden, scale=hidden.tanh()))


class Join(nn.Module):
    def forward(self, hidden: Tensor, *, scale: Tensor) -> Tensor:
        return hidden * scale


@pytest.mark.parametrize("layer", ["first", Cut("last", "input")])
def test_layers_called_by_keyword(layer: Any) -> None:
    model = ByKeyword()
    hidden = model.first(X)
    if layer == "first":
        expected = _gradient(lambda z: model.last(z * z.tanh()), hidden)
    else:
        expected = _gradient(model.last, hidden * hidden.tanh())
    assert torch.allclose(_influence(model, layer), expected, atol=1e-14)


def test_inputs_given_by_position_and_by_keyword_are_both_attributed() -> None:
    model = ByKeyword()
    hidden = model.first(X).detach()
    found = _influence(model, Cut("join", "input"))
    assert torch.allclose(found[0], _gradient(lambda z: model.last(z * hidden.tanh()), hidden))
    assert torch.allclose(found[1], _gradient(lambda z: model.last(hidden * z), hidden.tanh()))


class Reused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear, self.last = nn.Linear(3, 3).double(), nn.Linear(3, 2).double()
        self.alias = self.linear

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.alias(self.linear(x).tanh()).tanh())


def test_one_of_several_calls() -> None:
    model = Reused()
    first = model.linear(X)
    second = model.linear(first.tanh())
    expected = [
        _gradient(lambda z: model.last(model.linear(z.tanh()).tanh()), first),
        _gradient(lambda z: model.last(z.tanh()), second),
    ]
    found = _influence(model, [Cut("linear", call=0), Cut(model.linear, call=1)])
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, atol=1e-14)


def test_layers_upstream_of_one_another_and_twice_the_same() -> None:
    torch.manual_seed(0)
    model = _in_place_network()
    cuts = ["0", "1", Cut("1", "input"), "3", "3", Cut("4", "input"), "4"]
    together = _influence(model, cuts)
    for cut, found in zip(cuts, together, strict=True):
        assert torch.equal(found, _influence(model, cut))


# In-place modules and views ----------------------------------------------------------------------


def _in_place_network() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(3, 4), Doubled(), nn.Unflatten(1, (2, 2)), nn.Flatten(), Doubled(),
        nn.ReLU(inplace=True), nn.Linear(4, 4), nn.ELU(inplace=True), nn.Linear(4, 2),
    ).double()  # fmt: skip


@pytest.mark.parametrize("name", [str(number) for number in range(9)])
@pytest.mark.parametrize("side", ["input", "output"])
def test_in_place_modules_on_either_side(name: str, side: Any) -> None:
    model = _in_place_network()
    cut = int(name) + (side == "output")
    with torch.no_grad():
        units = model[:cut](X.clone()) if cut else X.clone()
    expected = _gradient(lambda z: model[cut:](z.clone()), units)
    x = X.clone()
    assert torch.allclose(_influence(model, Cut(name, side), x), expected, atol=1e-14)
    assert torch.equal(x, X)


class Chunked(nn.Module):
    """Views of one layer, changed in place, one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.split, self.last = nn.Linear(3, 4), Split(), nn.Linear(2, 2)
        self.act = nn.ReLU(inplace=True)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        left, right = self.split(self.first(x).tanh())
        left = left.mul_(3)
        right = self.act(right)
        return self.last(left * right)


class Split(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return x.chunk(2, dim=1)


def test_views_before_in_place_modules() -> None:
    model = Chunked()
    with torch.no_grad():
        hidden = model.first(X)
    left, right = hidden.tanh().chunk(2, dim=1)
    found = _influence(model, ["first", "split"])

    def onward(z: Tensor) -> Tensor:
        a, b = z.tanh().chunk(2, dim=1)
        return model.last(3 * a * b.relu())

    assert torch.allclose(found[0], _gradient(onward, hidden), atol=1e-14)
    expected = _gradient(lambda z: model.last(3 * z * right.relu()), left)
    assert torch.allclose(found[1][0], expected, atol=1e-14)
    expected = _gradient(lambda z: model.last(3 * left * z.relu()), right)
    assert torch.allclose(found[1][1], expected, atol=1e-14)


@pytest.mark.parametrize("examples", [1, 4])
def test_in_place_modules_at_the_start_and_behind_the_points(examples: int) -> None:
    model = nn.Sequential(
        Doubled(), nn.Linear(3, 3), Doubled(), nn.Tanh(), nn.Linear(3, 2)
    ).double()
    x, far = X[:examples].clone(), torch.cos(X[:1])
    twice = Mixture([(0.5, Point()), (0.5, Point())])
    for where in (None, "1"):
        once = _influence(model, "1", x, sample_at=where)
        assert torch.allclose(_influence(model, "1", x, sample_at=where, distribution=twice), once)
        for baseline in (0.0, far if where is None else 2 * far):
            path = LinearPath(baseline, n=64)
            influence = DistributionalInfluence(
                model, "1", distribution=path, sample_at=where, multiply_by_inputs=True
            )
            _, delta = influence.attribute(x, target=1, return_convergence_delta=True)
            assert float(delta.abs().max()) < 1e-12
    samples = X.clone()
    _influence(model, "1", x, distribution=Samples(samples))
    assert torch.equal(x, X[:examples])
    assert torch.equal(samples, X)


# Networks that set the grad mode themselves ------------------------------------------------------


class Enabling(nn.Module):
    """Computes its features under a grad mode of its own, as networks with inner gradients do."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.act = nn.Linear(3, 4, dtype=torch.float64), nn.Tanh()
        self.last = nn.Linear(4, 2, dtype=torch.float64)

    def forward(self, x: Tensor) -> Tensor:
        with torch.enable_grad():
            slope = x.detach().clone().requires_grad_()
            (force,) = torch.autograd.grad(self.first(slope).sum(), slope)
            z = self.act(self.first(x + 0 * force.detach()))
        return self.last(z)


def test_a_grad_mode_of_the_networks_own_is_no_obstacle() -> None:
    model = Enabling()
    cut = Cut("first", call=1)
    units = model.first(X)
    expected = _gradient(lambda z: model.last(model.act(z)), units)
    assert torch.allclose(_influence(model, cut), expected, atol=1e-14)
