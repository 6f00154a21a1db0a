"""Where channels are, by the nearest module that knows."""

import pytest
import torch
from torch import Tensor, nn

from captum_influence import Cut, explain
from captum_influence.network.axes import channel_of, laid_out
from captum_influence.testing.state import unchanged

IMAGE = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(0))


class Permute(nn.Module):
    def __init__(self, *order: int) -> None:
        super().__init__()
        self.order = order

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(self.order)


class Mean(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean((1, 2))


def swin() -> nn.Sequential:
    """Return a network that puts channels last behind its stem, as Swin and ConvNeXt do."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 2, 2),
        Permute(0, 2, 3, 1),
        nn.LayerNorm(4),
        nn.Linear(4, 4),
        nn.GELU(),
        Permute(0, 3, 1, 2),
        Permute(0, 2, 3, 1),
        Mean(),
        nn.Linear(4, 2),
    ).eval()


@pytest.mark.parametrize(
    ("layer", "channel"),
    [("0", 1), ("1", 3), ("2", 3), ("3", 3), ("4", 3), ("5", 1), ("6", 3), ("7", 1)],
)
@pytest.mark.parametrize("rows", [1, 2])
def test_the_nearest_module_says_where_channels_are(layer: str, channel: int, rows: int) -> None:
    network = swin()
    with unchanged(network):
        assert channel_of(network, Cut(layer), IMAGE.expand(rows, 3, 6, 6)) == channel


@pytest.mark.parametrize(
    ("network", "inputs", "layer", "channel"),
    [
        (nn.Sequential(nn.Conv1d(2, 4, 3), nn.ReLU()), torch.rand(1, 2, 8), "1", 1),
        (nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 3)), torch.tensor([[1, 2]]), "0", 2),
        (nn.Sequential(nn.Identity(), nn.Linear(4, 3)), torch.rand(1, 7, 4), "0", 2),
        (nn.Sequential(nn.Identity(), nn.BatchNorm2d(3).eval()), IMAGE, "0", 1),
        (nn.Sequential(nn.ReLU(), nn.Sigmoid()), IMAGE, "0", None),
    ],
)
def test_those_behind_say_it_where_nobody_before_does(network, inputs, layer, channel) -> None:
    assert channel_of(network, Cut(layer), inputs) == channel


def test_units_of_a_layer_with_channels_last_are_its_channels() -> None:
    network = swin()
    last = explain(network, IMAGE, "4", 0).values
    assert last.shape == (4,)
    torch.testing.assert_close(last, explain(network, IMAGE, "4", 0, axis=3).values)
    torch.testing.assert_close(last, explain(network, IMAGE, "5", 0).values)


class Quarrel(nn.Module):
    """A tensor that a convolution and a linear layer read, and that nobody made."""

    def __init__(self) -> None:
        super().__init__()
        self.here, self.conv, self.linear = nn.Identity(), nn.Conv2d(3, 2, 1), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = self.here(x)
        return self.conv(h).mean((2, 3)) + self.linear(h).mean((1, 2))


def test_who_disagree_are_asked_for_an_axis() -> None:
    network = Quarrel().eval()
    with pytest.raises(ValueError, match=r"along dimensions \[1, 3\]: say it, as by axis=1 or"):
        explain(network, IMAGE, "here", 0)
    assert explain(network, IMAGE, "here", 0, axis=1).values.numel() == 3


def test_a_pass_is_watched_once() -> None:
    network = swin()
    with laid_out(network) as layouts:
        kept: list[Tensor] = []
        handle = network[4].register_forward_hook(lambda m, a, out: kept.append(out))
        network(IMAGE)
        handle.remove()
    assert layouts.channel(kept[0], "4") == 3
    assert not network._forward_hooks
    assert not network._forward_pre_hooks
