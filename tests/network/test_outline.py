"""The table of layers names all that run, with what comes out of them."""

from collections import OrderedDict
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from captum_influence.network.outline import last_with_places, layer_table
from captum_influence.testing.state import unchanged


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


class _Fire(nn.Module):
    """Two branches side by side, of which neither alone is the layer."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(4, 3, 1), nn.Conv2d(4, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.left(x), self.right(x)], dim=1)


_STEM = [nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True)]
_VGG = OrderedDict(
    features=nn.Sequential(*_STEM, nn.MaxPool2d(2)),
    avgpool=nn.AdaptiveAvgPool2d(3),
    flat=nn.Flatten(),
    classifier=nn.Linear(36, 2),
)
_SQUEEZED = OrderedDict(
    features=nn.Sequential(*_STEM, _Fire()),
    classifier=nn.Sequential(nn.Dropout(), nn.Conv2d(8, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1)),
    flat=nn.Flatten(),
)


@pytest.mark.parametrize(
    ("parts", "layer"),
    [(_VGG, "features.1"), (_SQUEEZED, "features.2")],
    ids=["before the poolings", "both branches, not the maps of scores"],
)
def test_the_last_layer_with_places(parts, layer) -> None:
    network = nn.Sequential(parts)
    assert last_with_places(network, torch.rand(1, 3, 12, 12)) == layer


def test_the_last_block_of_a_transformer() -> None:
    blocks = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2, enable_nested_tensor=False
    )
    network = nn.Sequential(
        OrderedDict(
            patches=nn.Conv2d(1, 8, 2, 2),
            rows=nn.Flatten(2),
            blocks=blocks,
            norm=nn.LayerNorm(8),
            flat=nn.Flatten(),
            head=nn.Linear(64, 3),
        )
    ).eval()
    assert last_with_places(network, torch.rand(1, 1, 8, 4)) == "blocks.layers.1"


class _Mixing(nn.TransformerEncoderLayer):
    """A block of attention as a network may have behind those of all tokens."""

    def __init__(self, kind: str) -> None:
        super().__init__(8, 2, 16, batch_first=True)
        self.kind = kind

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        mixed = super().forward(x)
        return mixed[:, :1] if self.kind == "one token" else (mixed, x)


class _Tail(nn.Module):
    """Tokens, two blocks, and a last block that isn't like them."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.blocks = nn.TransformerEncoder(block, 2, enable_nested_tensor=False)
        self.last, self.norm, self.head = _Mixing(kind), nn.LayerNorm(8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        found = self.last(self.blocks(x))
        return self.head(self.norm(found if isinstance(found, Tensor) else found[0])[:, 0])


@pytest.mark.parametrize(
    ("kind", "layer"), [("one token", "blocks.layers.1"), ("a tuple", "blocks.layers.1")]
)
def test_a_last_block_of_one_place_or_that_returns_several_is_passed_by(kind, layer) -> None:
    assert last_with_places(_Tail(kind).eval(), torch.rand(1, 4, 8)) == layer


def test_a_network_without_places_wants_a_name_and_is_left_as_it_was() -> None:
    network = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).train()
    with (
        unchanged(network),
        pytest.raises(ValueError, match="name the layer that is meant, as layer='fc1'"),
    ):
        last_with_places(network, torch.rand(2, 4))
    assert network.training
