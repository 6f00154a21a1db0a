import threading

import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack

from captum_influence.network.passes.within import passes_within
from captum_influence.testing.state import unchanged


class Noting(TorchFunctionMode):
    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.names.append(getattr(func, "__name__", ""))
        return func(*args, **(kwargs or {}))


def test_passes_run_in_the_mode_and_nothing_else_does():
    net, x, mode = nn.Sequential(nn.Linear(3, 2), nn.ReLU()), torch.rand(2, 3), Noting()
    with unchanged(net), passes_within(net, mode):
        torch.sigmoid(x)
        assert mode.names == []
        for _ in range(2):
            net(x)
        torch.sigmoid(x)
        assert mode.names == ["linear", "relu"] * 2
    net(x)
    assert len(mode.names) == 4


def test_a_pass_that_fails_leaves_the_mode():
    net, mode = nn.Linear(3, 2), Noting()
    with unchanged(net), passes_within(net, mode):
        with pytest.raises(RuntimeError):
            net(torch.rand(2, 4))
        assert not _get_current_function_mode_stack()


def test_another_threads_passes_are_its_own():
    net, x, mode = nn.Linear(3, 2), torch.rand(2, 3), Noting()
    with passes_within(net, mode):
        thread = threading.Thread(target=net, args=(x,))
        thread.start()
        thread.join()
    assert mode.names == []
