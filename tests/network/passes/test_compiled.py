"""Regions without a cut are compiled; the answer and the network stay the same."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from captum_influence import DistributionalInfluence
from captum_influence.attr import Execution
from captum_influence.network.passes.compiled import compiled_regions, regions


def _model() -> nn.Sequential:
    torch.manual_seed(0)
    head = nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU(inplace=True))
    parts = [nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), head, nn.Flatten(), nn.Linear(64, 2)]
    return nn.Sequential(*parts).eval()


def test_regions_are_the_largest_modules_without_a_cut() -> None:
    model = _model()
    assert regions(model, [model[1]]) == [model[0], model[1], model[2], model[3], model[4]]
    inside = regions(model, [model[2][0]])
    assert inside == [model[0], model[1], model[2][0], model[2][1], model[3], model[4]]


def test_lists_of_modules_are_looked_into() -> None:
    model = nn.Module()
    model.parts = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
    assert regions(model, [model.parts[0]]) == list(model.parts)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[Callable[..., Any]]:
    """Stand in for the compiler: it takes minutes, and what it does is not ours to test."""
    compiled: list[Callable[..., Any]] = []

    def fake(function: Callable[..., Any], mode: str) -> Callable[..., Any]:
        compiled.append(function)
        return function

    monkeypatch.setattr(torch, "compile", fake)
    return compiled


def test_each_region_is_compiled_once(counted: list[Callable[..., Any]]) -> None:
    model, x = _model(), torch.rand(2, 3, 8, 8)
    influence = DistributionalInfluence(model, "1", execution=Execution(compile="default"))
    first = influence.attribute(x, target=1)
    assert len(counted) == 5
    assert torch.equal(first, influence.attribute(x, target=1))
    assert len(counted) == 5
    assert torch.allclose(first, DistributionalInfluence(model, "1").attribute(x, target=1))
    assert not any("forward" in module.__dict__ for module in model.modules())


def test_what_was_compiled_is_not_copied(counted: list[Callable[..., Any]]) -> None:
    influence = DistributionalInfluence(_model(), "1", execution=Execution(compile="default"))
    influence.attribute(torch.rand(1, 3, 8, 8), target=0)
    assert influence._compiled
    assert not copy.deepcopy(influence)._compiled
    assert not pickle.loads(pickle.dumps(influence))._compiled


def test_the_forward_comes_back_after_an_error(counted: list[Callable[..., Any]]) -> None:
    model = _model()
    with pytest.raises(KeyError), compiled_regions(model, [model[1]], "default", {}):
        raise KeyError
    assert not any("forward" in module.__dict__ for module in model.modules())


@pytest.mark.filterwarnings("ignore")  # the compiler's own, some of which it can't bear as errors
def test_the_compiler_itself_gives_the_same_answer(caplog: pytest.LogCaptureFixture) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).eval()
    x = torch.rand(4, 3)
    plain = DistributionalInfluence(model, "0").attribute(x, target=1)
    influence = DistributionalInfluence(model, "0", execution=Execution(compile="default"))
    compiled = influence.attribute(x, target=1)
    assert torch.allclose(plain, compiled, atol=1e-6)
    refused = [message for message in caplog.messages if "runs uncompiled" in message]
    if refused and all("compiler" in message.lower() for message in refused):
        pytest.skip("torch.compile has no C++ compiler here")
    assert not refused


def test_what_cannot_be_compiled_runs_as_it_is(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*args: Any) -> Any:
        raise RuntimeError("no CUDA graph: a copy from the CPU\nand a long trace")

    monkeypatch.setattr(torch, "compile", lambda function, mode: refuse)
    model, x = _model(), torch.rand(2, 3, 8, 8)
    execution = Execution(compile="reduce-overhead")
    found = DistributionalInfluence(model, "1", execution=execution).attribute(x, target=1)
    assert torch.equal(found, DistributionalInfluence(model, "1").attribute(x, target=1))
    assert "Linear runs uncompiled: no CUDA graph: a copy from the CPU" in caplog.messages
    assert len(caplog.messages) == 5


def test_an_error_of_the_network_s_own_is_the_one_that_is_seen(
    counted: list[Callable[..., Any]],
) -> None:
    influence = DistributionalInfluence(_model(), "1", execution=Execution(compile="default"))
    with pytest.raises(RuntimeError, match="channels"):
        influence.attribute(torch.rand(1, 2, 8, 8), target=0)
