"""The table of layers names all that run, with what comes out of them."""

import pytest
import torch
from torch import Tensor, nn

from captum_influence.network.outline import layer_table


class Odd(nn.Module):
    """A layer that runs twice, one that returns two tensors, one that never runs."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
        self.twice, self.idle = nn.Identity(), nn.Linear(2, 2)
        self.gru, self.last = nn.GRU(4, 5, batch_first=True), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        z = self.twice(self.twice(self.stem(x))).flatten(2).mT
        return self.last(self.gru(z)[0][:, -1]).sum(1)


def test_a_line_for_each_layer_that_runs() -> None:
    model = Odd()
    lines = layer_table(model, torch.ones(2, 3, 6, 6)).split("\n")
    rows = [line.split(maxsplit=2) for line in lines]
    assert rows == [
        ["stem", "Sequential", "(4, 4, 4)"],
        ["stem.0", "Conv2d", "(4, 4, 4)"],
        ["stem.1", "ReLU", "(4, 4, 4)"],
        ["twice", "Identity", "(4, 4, 4), runs 2 times: add --call 0 to 1"],
        ["gru", "GRU", "tuple; in Python, Cut(..., select=...) picks a tensor of it"],
        ["last", "Linear", "(2)"],
    ]
    assert len({line.index(row[1]) for line, row in zip(lines, rows, strict=True)}) == 1


def test_nothing_is_left_behind_also_by_an_error() -> None:
    model = Odd()
    with pytest.raises(RuntimeError, match="channels"):
        layer_table(model, torch.ones(2, 1, 6, 6))
    layer_table(model, torch.ones(2, 3, 6, 6))
    assert not any(module._forward_hooks for module in model.modules())


def test_a_network_of_one_piece_has_no_layers() -> None:
    assert layer_table(nn.Linear(2, 2), torch.ones(1, 2)) == ""


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_scripted_parts_are_left_alone() -> None:
    model = nn.Sequential(nn.Linear(2, 3), torch.jit.script(nn.Tanh()))
    assert layer_table(model, torch.ones(1, 2)).split() == ["0", "Linear", "(3)"]
