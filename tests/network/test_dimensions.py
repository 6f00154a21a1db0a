"""What becomes of dimensions in PyTorch's functions, seen by dimensions of different lengths."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from captum_influence.network.dimensions import channels_by, followed

SHAPE = (2, 3, 5, 7)

WAYS = {
    "permute": (lambda x: x.permute(0, 2, 3, 1), "permute", (0, 2, 3, 1), {}),
    "permute, a tuple": (lambda x: x.permute((0, 3, 1, 2)), "permute", ((0, 3, 1, 2),), {}),
    "transpose": (lambda x: x.transpose(1, -1), "transpose", (1, -1), {}),
    "transpose, by name": (
        lambda x: torch.transpose(x, dim0=1, dim1=2),
        "transpose",
        (),
        {"dim0": 1, "dim1": 2},
    ),
    "movedim": (lambda x: x.movedim(1, -1), "movedim", (1, -1), {}),
    "mT": (lambda x: x.mT, "mT", (), {}),
    "mean": (lambda x: x.mean((2, 3)), "mean", ((2, 3),), {}),
    "mean, kept": (lambda x: x.mean(1, keepdim=True), "mean", (1, True), {}),
    "select": (lambda x: x.select(1, 0), "select", (1, 0), {}),
    "stack": (lambda x: torch.stack([x, x], 1), "stack", (1,), {}),
    "flatten": (lambda x: x.flatten(2), "flatten", (2,), {}),
    "an index": (
        lambda x: x[:, 0, None, ..., 1:],
        "__getitem__",
        ((slice(None), 0, None, ..., slice(1, None)),),
        {},
    ),
    "relu": (lambda x: x.relu(), "relu", (), {}),
    "cat": (lambda x: torch.cat([x, x], 1), "cat", (), {}),
    "pool": (lambda x: functional.max_pool2d(x, 2), "max_pool2d", (), {}),
}


@pytest.mark.parametrize("way", WAYS)
def test_dimensions_are_followed(way: str) -> None:
    """Entries along each dimension say which it was: x[i, j, ...] holds its own place along it."""
    do, name, args, kwargs = WAYS[way]
    after = do(torch.zeros(SHAPE)).shape
    there = followed(name, SHAPE, tuple(after), (None, *args), kwargs)
    for d in range(len(SHAPE)):
        count = torch.arange(SHAPE[d], dtype=torch.float32)
        marked = do(count.view([-1 if e == d else 1 for e in range(4)]).expand(SHAPE).clone())
        moving = [e for e in range(marked.ndim) if bool((marked.diff(dim=e) != 0).any())]
        assert there[d] is None or moving in ([], [there[d]])
        if moving and marked.shape[moving[0]] in (SHAPE[d], SHAPE[d] // 2, SHAPE[d] - 1):
            assert there[d] == moving[0]


@pytest.mark.parametrize("name", ["matmul", "einsum", "conv2d", "linear", "gather", "max"])
def test_what_mixes_entries_or_drops_them_is_not_followed(name: str) -> None:
    assert followed(name, SHAPE, (2, 3, 5), (), {}) == (None,) * 4


@pytest.mark.parametrize(
    ("name", "args", "channels"),
    [
        ("conv2d", (), 1),
        ("conv_transpose1d", (), 1),
        ("group_norm", (), 1),
        ("linear", (), -1),
        ("embedding", (), -1),
        ("multi_head_attention_forward", (), -1),
        ("layer_norm", (None, (5,)), -1),
        ("layer_norm", (None, (3, 5, 7)), None),
        ("prelu", (None, torch.ones(3)), 1),
        ("prelu", (None, torch.ones(1)), None),
        ("relu", (), None),
        ("softmax", (), None),
    ],
)
def test_who_has_channels_and_where(name: str, args: tuple, channels: int | None) -> None:
    assert channels_by(name, args, {}) == channels


def test_a_prelu_of_its_own_weight_knows_its_channels() -> None:
    assert channels_by("prelu", (torch.zeros(SHAPE), nn.PReLU(3).weight), {}) == 1
