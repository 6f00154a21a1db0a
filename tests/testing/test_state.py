"""What checks watch: each thing that may be left changed is noticed, and named."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from captum_influence.testing.state import preserved, quietly, seed_all, unchanged

DRAWS: dict[str, Callable[[], Any]] = {
    "torch": lambda: torch.rand(1),
    "python": random.random,
    "numpy": np.random.rand,  # the legacy state is what is watched
}


def _drawn() -> list[float]:
    return [float(np.asarray(draw()).reshape(-1)[0]) for draw in DRAWS.values()]


def test_the_random_state_is_restored_also_by_an_error() -> None:
    with preserved():
        seed_all(1)
        first = _drawn()
    with preserved():
        seed_all(1)
        with pytest.raises(ZeroDivisionError), preserved():
            _drawn()[0] / 0
        assert _drawn() == first


@pytest.mark.parametrize("name", DRAWS)
def test_a_draw_from_a_global_generator_is_noticed(name: str) -> None:
    with pytest.raises(AssertionError, match="it moved the global random state: use a generator"):
        quietly(DRAWS[name], [], "it")


def test_a_grad_mode_that_is_left_changed_is_noticed() -> None:
    with torch.enable_grad():
        with pytest.raises(AssertionError, match="it left the grad mode changed"):
            quietly(lambda: torch.set_grad_enabled(False), [], "it")
        torch.set_grad_enabled(True)


def test_a_tensor_that_is_changed_in_place_is_noticed() -> None:
    x = torch.ones(2)
    assert quietly(lambda: x + 1, [x], "it").tolist() == [2, 2]
    with pytest.raises(AssertionError, match="it changed a tensor that it was given, in place"):
        quietly(lambda: x.mul_(2), [x], "it")


def _backward(model: nn.Module) -> None:
    model(torch.ones(1, 2)).sum().backward()


def _in_place(model: nn.Module) -> None:
    with torch.no_grad():
        next(model.parameters()).mul_(2)


CHANGES: dict[str, tuple[Callable[[nn.Module], Any], str]] = {
    "a hook": (lambda m: m.register_forward_hook(lambda *_: None), "hooks"),
    "a hook before": (lambda m: m.register_forward_pre_hook(lambda *_: None), "hooks"),
    "the mode": (lambda m: m.train(not m.training), "the mode"),
    "an attribute": (lambda m: setattr(m, "note", 1), "a method or attribute"),
    "a gradient asked for": (lambda m: m.requires_grad_(False), "requires_grad"),
    "a gradient": (_backward, "the gradients"),
    "a parameter": (_in_place, "parameters or buffers"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_of_the_network_is_named(name: str) -> None:
    change, words = CHANGES[name]
    model = nn.Linear(2, 2)
    with pytest.raises(AssertionError, match=f"left {words}.* changed"), unchanged(model):
        change(model)
    with unchanged(model):
        model(torch.ones(1, 2))


def test_a_function_has_nothing_to_change() -> None:
    with unchanged(lambda x: x):
        pass
