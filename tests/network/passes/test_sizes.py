from collections import Counter
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from captum_influence import Cut
from captum_influence.network.passes.sizes import Sizes, deeper_than_hooks, measured


def _run(network: nn.Module, x: Tensor, marks) -> None:
    with marks[0].hooked(Counter()):
        network(x)


@pytest.fixture
def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 3)).double()


def test_what_is_returned_before_and_behind_the_cut(network: nn.Sequential) -> None:
    x = torch.zeros(1, 2, dtype=torch.float64)
    cut = Cut("1").within(network)
    found = measured(partial(_run, network, x), network, (x,), [cut])
    # What passes the cut lies before it; behind are the last layer's 3 numbers, and the network's.
    assert found == Sizes(64, 24, 24 + 24)
    assert not any(m._forward_hooks for m in network.modules())


def test_places_at_which_a_weight_of_a_convolution_is_used() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.Conv2d(2, 3, 3, 2, bias=False))
    x = torch.zeros(1, 1, 9, 9)
    found = measured(partial(_run, network, x), network, (x,), [Cut("1").within(network)])
    assert found.positions == (18 * 7 * 7 + 54 * 3 * 3) / (18 + 54)


def test_a_function_shows_its_inputs_only(network: nn.Sequential) -> None:
    x = torch.zeros(1, 2, dtype=torch.float64)
    assert measured(lambda marks: network(x), lambda x: network(x), (x,), []) == Sizes(16, 0, 0)


def test_deep_networks_are_told() -> None:
    deep: nn.Module = nn.Identity()
    for _ in range(70):
        deep = nn.Sequential(deep)
    assert deeper_than_hooks(deep)
    assert not deeper_than_hooks(nn.Sequential(nn.Identity()))
