"""Where in the picture each tensor of a forward pass looks: its places, followed from the input.

PyTorch calls every function of a pass through a mode, which notes for each tensor that comes of the
picture the centre of its first place and the step to the next. What isn't known to keep places in
order, or to move them by a rule, loses them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from captum_influence.network.cuts import Cut
from captum_influence.network.interventions import intervene
from captum_influence.network.tracing import out_of_place

__all__ = ["Grid", "followed"]

Pair = tuple[float, float]


def followed(model: nn.Module, inputs: Tensor, layer: Cut | nn.Module | str) -> Grid | None:
    """Follow the places of one picture through a copy of the network, up to a layer.

    Args:
        model: the network; it isn't touched.
        inputs: (examples, channels, height, width); the first one is run.
        layer: where to look.

    Returns:
        where the layer's places look; None if something on the way moves them about otherwise.
    """
    # By name: it is looked at in a copy. In any basis, places are the layer's.
    cut = replace(Cut.ensure(layer).by_name(model), basis=None)
    follow, found = _Follow(), list[Grid | None]()

    def look(tensor: Tensor) -> Tensor:
        found.append(follow.place_of(tensor))
        return tensor

    copied, first = out_of_place(model), inputs[:1].detach().clone()
    follow.known[id(first)] = (first, Grid((0.0, 0.0), (1.0, 1.0)))
    with torch.no_grad(), intervene(copied, cut, look), follow:
        copied(first)
    return found[0]


@dataclass(frozen=True)
class Grid:
    """Where the places of a tensor look, in pixels.

    Attributes:
        offset: the centre of the first place, (row, column).
        stride: from one place to the next.
    """

    offset: Pair
    stride: Pair

    @staticmethod
    def even(shape: tuple[int, int], size: tuple[int, int]) -> Grid:
        """Return that of (rows, columns) which divide a picture (height, width) evenly."""
        stride = (size[0] / shape[0], size[1] / shape[1])
        return Grid(((stride[0] - 1) / 2, (stride[1] - 1) / 2), stride)

    def windowed(self, windows: tuple[Pair, Pair]) -> Grid:
        """Return that of windows: the centre of the first, and the step, in places."""
        first, step = windows
        offset = tuple(o + s * f for o, s, f in zip(self.offset, self.stride, first, strict=True))
        stride = tuple(s * p for s, p in zip(self.stride, step, strict=True))
        return Grid((offset[0], offset[1]), (stride[0], stride[1]))


class _Follow(TorchFunctionMode):
    """Notes for every tensor of a pass where its places look, as long as that is known."""

    def __init__(self) -> None:
        super().__init__()
        # With the tensor, so that its id stays its own; None: it comes from the picture, but its
        # place is lost.
        self.known: dict[int, tuple[Tensor, Grid | None]] = {}

    def place_of(self, value: Any) -> Grid | None:
        """Return where a tensor's places look, or None if that isn't known."""
        return self.known[id(value)][1] if id(value) in self.known else None

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        values = [*args, *given.values()]
        inner = [v for value in values for v in (value if isinstance(value, list | tuple) else [])]
        sources = [v for v in [*values, *inner] if id(v) in self.known]
        result = func(*args, **given)
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if sources and isinstance(tensor, Tensor):
                name = getattr(func, "__name__", "") if tensor is result else ""
                found = self._followed(name, args, given, sources, tensor)
                self.known[id(tensor)] = (tensor, found)
        return result

    def _followed(
        self, name: str, args: Any, given: Any, sources: list[Tensor], result: Tensor
    ) -> Grid | None:
        first = self.place_of(sources[0])
        if result.ndim != 4 or (name in _WINDOWS and first is None):
            return None
        if name in _WINDOWS and first is not None:
            windows = _WINDOWS[name](sources[0], result, *args[1:], **given)
            return None if windows is None else first.windowed(windows)
        same = [s for s in sources if s.shape[2:] == result.shape[2:]]
        return _met([self.place_of(s) for s in same]) if name in _IN_PLACE else None


def _met(places: list[Grid | None]) -> Grid | None:
    """Return where branches that meet look: in the middle, if all are known and of one step."""
    grids = [place for place in places if place is not None]
    if not grids or len(grids) < len(places) or any(g.stride != grids[0].stride for g in grids):
        return None
    rows, columns = ([g.offset[i] for g in grids] for i in (0, 1))
    return Grid((sum(rows) / len(grids), sum(columns) / len(grids)), grids[0].stride)


Windows = tuple[Pair, Pair] | None
"""The centre of the first window, and the step to the next, in places; None: it isn't known."""


def _pair(value: Any) -> Pair:
    both = tuple(value) if isinstance(value, tuple | list) else (value, value)
    return (both[0], both[0]) if len(both) == 1 else (both[0], both[1])


def _convolved(
    source: Tensor,
    result: Tensor,
    weight: Tensor,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Windows:
    reach = [d * (k - 1) for k, d in zip(weight.shape[2:], _pair(dilation), strict=True)]
    if padding == "same":  # what is left over goes to the right
        padding = [r // 2 for r in reach]
    before = _pair(0 if padding == "valid" else padding)
    return (reach[0] / 2 - before[0], reach[1] / 2 - before[1]), _pair(stride)


def _pooled(
    source: Tensor,
    result: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    *rest: Any,
    **settings: Any,
) -> Windows:
    spread = dilation if not isinstance(dilation, bool) else 1  # of averages: ceil_mode comes here
    size, before, spread = _pair(kernel_size), _pair(padding), _pair(spread)
    first = [d * (k - 1) / 2 - p for k, d, p in zip(size, spread, before, strict=True)]
    return (first[0], first[1]), _pair(stride or kernel_size)


def _divided(source: Tensor, result: Tensor, *rest: Any, **settings: Any) -> Windows:
    if settings.get("align_corners"):
        return None
    even = Grid.even((result.shape[2], result.shape[3]), (source.shape[2], source.shape[3]))
    return even.offset, even.stride


def _padded(source: Tensor, result: Tensor, pad: Any, *rest: Any, **settings: Any) -> Windows:
    sides = [*pad, 0, 0, 0][:4]
    return (-sides[2], -sides[0]), (1, 1)


_WINDOWS: Mapping[str, Callable[..., Windows]] = {
    "conv2d": _convolved,
    "max_pool2d": _pooled,
    "avg_pool2d": _pooled,
    "lp_pool2d": lambda s, r, norm, *rest, **settings: _pooled(s, r, *rest, **settings),
    "adaptive_avg_pool2d": _divided,
    "adaptive_max_pool2d": _divided,
    "interpolate": _divided,
    "pad": _padded,
}


# Functions after which each place still looks where it did. A list of what is known, not of what
# isn't: a function that nobody thought of loses the place, rather than laying a map wrongly.
_IN_PLACE = frozenset(
    (
        *("relu", "relu_", "relu6", "leaky_relu", "leaky_relu_", "elu", "selu", "celu", "gelu"),
        *("silu", "mish", "tanh", "sigmoid", "hardtanh", "hardswish", "hardsigmoid", "softplus"),
        *("prelu", "softmax", "threshold", "clamp", "clamp_", "exp", "log", "abs", "square"),
        *("batch_norm", "group_norm", "instance_norm", "local_response_norm", "normalize"),
        *("dropout", "dropout2d", "feature_dropout", "alpha_dropout", "clone", "contiguous"),
        *("detach", "to", "float", "double", "half", "type", "cat", "where", "maximum", "minimum"),
        *("add", "add_", "__add__", "__radd__", "__iadd__", "sub", "sub_", "__sub__", "__rsub__"),
        *("__isub__", "mul", "mul_", "__mul__", "__rmul__", "__imul__", "div", "div_", "neg"),
        *("__truediv__", "__itruediv__", "__neg__", "__pow__", "pow", "rsub", "true_divide"),
    )
)
