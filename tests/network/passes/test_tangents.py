"""How activations change as points move: truth by central differences and closed forms."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from captum_influence.network.cuts import Cut
from captum_influence.network.passes.arguments import Bound
from captum_influence.network.passes.tangents import Moving, apart, forward_mode, moving, rates
from captum_influence.network.slices import Slice

X = torch.sin(torch.arange(12, dtype=torch.float64)).reshape(4, 3)
V = torch.cos(torch.arange(12, dtype=torch.float64)).reshape(4, 3)


class _Cubed(torch.autograd.Function):
    """Known to reverse mode alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grad * 3 * x**2


class _CubedOnce(_Cubed):
    """Known to reverse mode, and only once."""

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grad * 3 * x**2


class Cube(nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function.apply(x)


def _network(*first: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    layers = nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 4), nn.ReLU(inplace=True), nn.Linear(4, 2)
    return nn.Sequential(*first, *layers).double()


def _rates(model: nn.Module, cuts: list[Any], **given: Any) -> list[Tensor]:
    slice_ = Slice(model, [Cut.ensure(cut) for cut in cuts], **given)
    with slice_.opened():
        moving = Moving((X,), Bound(), torch.arange(4), (X,), (V,))
        return [z for cut in rates(slice_, slice_.cuts, moving) for z in cut]


def _differences(model: nn.Module, layers: int, step: float = 1e-5) -> Tensor:
    ends = [model[:layers](X + sign * step * V).detach() for sign in (1, -1)]
    return (ends[0] - ends[1]) / (2 * step)


@pytest.mark.parametrize("first", [[], [Cube(_Cubed)]], ids=["forward mode", "backward twice"])
def test_they_are_central_differences_at_all_cuts_at_once(first: list[nn.Module]) -> None:
    model, before = _network(*first), len(first)
    places = [before + 1, before + 3]
    found = _rates(model, [*map(str, places), Cut(str(before + 4), "input")])
    for place, rate in zip([*places, places[1]], found, strict=True):
        torch.testing.assert_close(rate, _differences(model, place + 1), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("first", [[], [Cube(_Cubed)]], ids=["forward mode", "backward twice"])
def test_what_does_not_move_has_none(first: list[nn.Module]) -> None:
    model = _network(*first)
    inner = Cut(str(len(first) + 1))  # the points enter behind the first layer
    slice_ = Slice(model, [Cut(str(len(first)))], sample_at=inner)
    with slice_.opened():
        points = (torch.zeros(4, 4).double(),)
        moving = Moving((X,), Bound(), torch.arange(4), points, (points[0] + 1,))
        ((found,),) = rates(slice_, slice_.cuts, moving)
    assert torch.equal(found, torch.zeros(4, 4).double())


def test_what_can_do_neither_is_refused_with_a_cure_that_runs() -> None:
    model = _network(Cube(_CubedOnce))
    with pytest.raises(
        RuntimeError, match=r"Give that autograd\.Function a jvp, or ask for"
    ) as said:
        _rates(model, ["1"])
    assert "jvp function" in str(said.value)
    assert "once_differentiable" in str(said.value)


def test_the_network_runs_only_as_far_as_it_must() -> None:
    model, ran = _network(), list[str]()
    model[4].register_forward_hook(lambda *given: ran.append("the last layer"))
    _rates(model, ["1", "3"])
    assert not ran


def test_nothing_is_left_behind_also_by_what_fails() -> None:
    for model, fails in ((_network(), False), (_network(Cube(_CubedOnce)), True)):
        fused = torch.backends.cuda.flash_sdp_enabled()
        try:
            _rates(model, ["1"])
        except RuntimeError:
            assert fails
        assert torch.backends.cuda.flash_sdp_enabled() == fused
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
        assert all(p.requires_grad and p.grad is None for p in model.parameters())


def test_within_forward_mode_rates_go_through_functions() -> None:
    x, v = torch.tensor([1.0, 2.0]).double(), torch.tensor([3.0, -1.0]).double()
    with torch.no_grad(), forward_mode():
        values, rates = apart(moving(x, v) ** 2)
        _, none = apart(x)
    torch.testing.assert_close(values, x**2)
    torch.testing.assert_close(rates, 2 * x * v)
    assert not none.any()


def test_what_has_no_forward_mode_is_refused_with_a_cure() -> None:
    class Backward(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return 2 * x

        @staticmethod
        def backward(ctx: Any, slope: Tensor) -> Tensor:
            return 2 * slope

    x = torch.ones(2)
    with pytest.raises(RuntimeError, match="jvp"), forward_mode():
        Backward.apply(moving(x, x))
