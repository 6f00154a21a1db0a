"""What runs before the points enter is replayed, and the answer is the same to the last digit."""

from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from captum_influence import Cut, DistributionalInfluence, LinearPath
from captum_influence.network.slices import Slice

X = torch.sin(torch.arange(3 * 5, dtype=torch.float64)).reshape(3, 5)


class Counted(nn.Linear):
    """A linear layer that counts the rows it has seen."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__(a, b, dtype=torch.float64)
        self.rows = 0

    def forward(self, x: Tensor) -> Tensor:
        self.rows += len(x)
        return super().forward(x)


class Skipping(nn.Module):
    """Carries an early tensor around the place where the points enter, by ``how``."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.first, self.second, self.third = Counted(5, 4), Counted(4, 4), Counted(4, 4)
        self.act = nn.Tanh()
        self.last = Counted(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        early = self.first(x)
        z = self.act(self.second(early))
        if self.how == "sum":
            z = self.third(z) + early
        elif self.how == "gate":
            z = self.third(z) * (early > 0)
        elif self.how == "in place":
            z = self.third(z)
            early.mul_(2)
            z = z + early
        elif self.how == "reused":
            z = self.act(self.third(z))
        return self.last(z)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(5)


class Returning(nn.Module):
    """A prefix that is needed behind the points, changed in place, reused and partly a view."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.shared, self.act = nn.Linear(3, 4), nn.Linear(4, 4), nn.ReLU(inplace=True)
        self.flat, self.last = nn.Flatten(), nn.Linear(4, 2)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        stem = self.flat(self.act(self.stem(x)).unsqueeze(2))
        once = self.shared(stem).tanh()
        return self.last(self.act(self.shared(once)) + once * stem.mul_(2))


def _attribute(model: nn.Module, layer: Any, **settings: Any) -> Tensor:
    influence = DistributionalInfluence(
        model, layer, sample_at=layer, distribution=LinearPath(0.1, 7), **settings
    )
    return influence.attribute(X, target=1)


@pytest.mark.parametrize("how", ["plain", "sum", "gate", "in place", "reused"])
@pytest.mark.parametrize("multiply", [False, True])
def test_a_replay_changes_nothing(
    how: str, multiply: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Skipping(how)
    layer = Cut(model.act, call=0)
    replayed = _attribute(model, layer, multiply_by_inputs=multiply)
    monkeypatch.setattr(Slice, "_can_replay", lambda self: False)
    assert torch.equal(replayed, _attribute(model, layer, multiply_by_inputs=multiply))


def test_the_prefix_runs_once_per_example_and_the_suffix_once_per_point() -> None:
    model = Skipping("plain")
    _attribute(model, "second")  # also looks once whether rows see one another
    model.first.rows = model.last.rows = 0
    _attribute(model, "second")
    assert model.first.rows == len(X)
    assert model.last.rows >= 7 * len(X)


def test_a_skip_connection_does_not_run_the_prefix_again() -> None:
    model = Skipping("sum")
    _attribute(model, "second")
    model.first.rows = 0
    _attribute(model, "second")
    assert model.first.rows == len(X)


def test_the_model_is_left_as_it_was_found() -> None:
    model = Skipping("sum")
    _attribute(model, "second")
    assert not any("forward" in module.__dict__ for module in model.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_a_forward_of_the_users_own_survives() -> None:
    model = Skipping("plain")
    original = model.first.forward
    own = lambda x: original(x) + 1  # noqa: E731  # an instance's own forward
    model.first.forward = own  # type: ignore[method-assign]
    _attribute(model, "second")
    assert model.first.forward is own


def test_users_hooks_before_the_points_act_once() -> None:
    model = Skipping("sum")
    handle = model.first.register_forward_hook(lambda module, args, output: output * 2)
    hooked = _attribute(model, "second")
    handle.remove()
    with torch.no_grad():
        model.first.weight.mul_(2)
        model.first.bias.mul_(2)
    assert torch.allclose(hooked, _attribute(model, "second"), atol=1e-14)


def test_calls_left_out_are_counted() -> None:
    """A module that ran inside a replayed one keeps its numbering."""

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.shared = nn.Tanh()
            self.inner = nn.Sequential(Counted(5, 4), self.shared)
            self.middle, self.last = Counted(4, 4), Counted(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(self.shared(self.middle(self.inner(x))))

    model = Twice()
    found = DistributionalInfluence(
        model, Cut(model.shared, call=1), sample_at="middle", distribution=LinearPath(0.0, 5)
    ).attribute(X, target=0)
    expected = model.last.weight[0].expand(3, 4)
    assert torch.allclose(found, expected, atol=1e-14)
    assert Counter(type(m).__name__ for m in model.modules())["Tanh"] == 1


@pytest.mark.parametrize("rows", [1, 3, 64])
def test_points_inside_a_network_whose_beginning_is_needed_again(rows: int) -> None:
    model, x = Returning(), torch.sin(torch.arange(12, dtype=torch.float64)).reshape(4, 3)
    far = torch.cos(torch.arange(4, dtype=torch.float64))
    influence = DistributionalInfluence(
        model,
        Cut("shared", call=1),
        distribution=LinearPath(far, n=8),
        sample_at=Cut("shared", call=0),
    )
    found = influence.attribute(x, target=1, internal_batch_size=rows)
    with torch.no_grad():
        stem = model.stem(x).relu()
        origin = model.shared(stem)
    expected = torch.zeros_like(found)
    for weight, (point,), _ in LinearPath(far, n=8).points((origin,)):
        once = point.tanh()
        onward = lambda z, once=once: model.last(z.relu() + once * stem * 2)  # noqa: E731
        units = model.shared(once).detach().requires_grad_()
        expected += weight * torch.autograd.grad(onward(units)[:, 1].sum(), units)[0]
    assert torch.allclose(found, expected, atol=1e-13)
