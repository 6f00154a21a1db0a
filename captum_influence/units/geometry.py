"""Geometry: where in the picture a layer's places look, followed through the forward pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import grid_sample
from torch.overrides import TorchFunctionMode

from captum_influence.attr.distributions import Point
from captum_influence.attr.influence import DistributionalInfluence
from captum_influence.attr.quantities import Unit
from captum_influence.network.cuts import Cut
from captum_influence.network.interventions import intervene
from captum_influence.network.tracing import out_of_place
from captum_influence.units.axes import Selector

__all__ = ["Box", "Geometry", "receptive_fields"]

Pair = tuple[float, float]


@dataclass(frozen=True)
class Geometry:
    """Where the receptive fields of a layer's places are centred, in pixels of the picture.

    Place (i, j) looks at the pixels around ``(offset[0] + stride[0] * i, offset[1] + stride[1] *
    j)``; pixel (0, 0) is the centre of the upper left one. Layers without padding, or with strides
    that don't divide the picture, don't cover it evenly: enlarged as if they did, a map is shifted.

    Attributes:
        size: height and width of the picture.
        offset: the centre of place (0, 0).
        stride: from one place to the next.

    Example:
        >>> valid = torch.nn.Sequential(torch.nn.Conv2d(3, 4, kernel_size=11, stride=4))
        >>> Geometry.of(valid, torch.rand(1, 3, 31, 31), "0")
        Geometry(size=(31, 31), offset=(5.0, 5.0), stride=(4.0, 4.0))
    """

    size: tuple[int, int]
    offset: Pair
    stride: Pair

    @staticmethod
    def even(shape: tuple[int, int], size: tuple[int, int]) -> Geometry:
        """Return that of a layer (height, width) whose places divide the picture evenly."""
        stride = (size[0] / shape[0], size[1] / shape[1])
        return Geometry(size, ((stride[0] - 1) / 2, (stride[1] - 1) / 2), stride)

    @staticmethod
    def of(model: nn.Module, inputs: Tensor, layer: Cut | nn.Module | str) -> Geometry:
        """Follow one picture's places through a copy of the network, up to a layer.

        Args:
            model: the network; it isn't touched.
            inputs: (examples, channels, height, width); the first one is run.
            layer: (examples, channels, height, width).

        Raises:
            ValueError: if what happens on the way to the layer moves places about in a way that
                can't be followed (tokens, say), or the layer has none.
        """
        if inputs.ndim != 4:
            raise ValueError(
                f"expected pictures (examples, channels, height, width), got {tuple(inputs.shape)}"
            )
        found = Cut.ensure(layer).within(model)
        name = next(n for n, m in model.named_modules(remove_duplicate=False) if m is found.module)
        cut = Cut(name, found.side, call=found.call, select=found.select)
        follow, at = _Follow(), []

        def look(tensor: Tensor) -> Tensor:
            at.append(follow.place_of(tensor))
            return tensor

        copied, first = out_of_place(model), inputs[:1].detach().clone()
        follow.known[id(first)] = (first, _Grid((0.0, 0.0), (1.0, 1.0)))
        with torch.no_grad(), intervene(copied, cut, look), follow:
            copied(first)
        if at[0] is None:
            raise ValueError(f"where the places of {cut} look can't be followed to the picture")
        height, width = inputs.shape[2:]
        return Geometry((int(height), int(width)), at[0].offset, at[0].stride)

    def centre(self, row: float, column: float) -> Pair:
        """Return the pixel, (row, column), at which a place's receptive field is centred."""
        return self.offset[0] + self.stride[0] * row, self.offset[1] + self.stride[1] * column

    def scaled(self, size: tuple[int, int]) -> Geometry:
        """Return the same on the picture at another size."""
        factors = (size[0] / self.size[0], size[1] / self.size[1])
        offset = [(o + 0.5) * f - 0.5 for o, f in zip(self.offset, factors, strict=True)]
        stride = [s * f for s, f in zip(self.stride, factors, strict=True)]
        return Geometry(size, (offset[0], offset[1]), (stride[0], stride[1]))

    def enlarged(self, maps: Tensor) -> Tensor:
        """Lay maps (examples, channels, rows, columns) on the picture, each entry on its centre.

        Between centres it is bilinear; beyond the outermost ones, their values go on.
        """
        exact = maps.to(torch.promote_types(maps.dtype, torch.float32))  # half can't count pixels
        rows, columns = (
            _positions(self.size[i], self.offset[i], self.stride[i], maps.shape[2 + i], exact)
            for i in (0, 1)
        )
        grid = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1)
        grid = grid.expand(len(maps), -1, -1, -1)
        found = grid_sample(exact, grid, padding_mode="border", align_corners=True)
        return found.to(maps.dtype)


def _positions(pixels: int, offset: float, stride: float, places: int, like: Tensor) -> Tensor:
    """Return where pixels lie among places, from -1 for the first to 1 for the last."""
    pixel = torch.arange(pixels, dtype=like.dtype, device=like.device)
    return 2 * (pixel - offset) / (stride * max(places - 1, 1)) - 1


@dataclass(frozen=True)
class _Grid:
    """Where the places of a tensor look, in pixels."""

    offset: Pair
    stride: Pair

    def windowed(self, windows: tuple[Pair, Pair]) -> _Grid:
        """Return that of windows: the centre of the first, and the step, in places."""
        first, step = windows
        offset = tuple(o + s * f for o, s, f in zip(self.offset, self.stride, first, strict=True))
        stride = tuple(s * p for s, p in zip(self.stride, step, strict=True))
        return _Grid((offset[0], offset[1]), (stride[0], stride[1]))


class _Follow(TorchFunctionMode):
    """Notes for every tensor of a pass where its places look, as long as that is known."""

    def __init__(self) -> None:
        super().__init__()
        # With the tensor, so that its id stays its own; None: it comes of the picture, but lost.
        self.known: dict[int, tuple[Tensor, _Grid | None]] = {}

    def place_of(self, value: Any) -> _Grid | None:
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
    ) -> _Grid | None:
        first = self.place_of(sources[0])
        if result.ndim != 4 or (name in _WINDOWS and first is None):
            return None
        if name in _WINDOWS and first is not None:
            windows = _WINDOWS[name](sources[0], result, *args[1:], **given)
            return None if windows is None else first.windowed(windows)
        same = [s for s in sources if s.shape[2:] == result.shape[2:]]
        return _met([self.place_of(s) for s in same]) if name in _IN_PLACE else None


def _met(places: list[_Grid | None]) -> _Grid | None:
    """Return where branches that meet look: in the middle, if all are known and of one step."""
    grids = [place for place in places if place is not None]
    if not grids or len(grids) < len(places) or any(g.stride != grids[0].stride for g in grids):
        return None
    rows, columns = ([g.offset[i] for g in grids] for i in (0, 1))
    return _Grid((sum(rows) / len(grids), sum(columns) / len(grids)), grids[0].stride)


Windows = tuple[Pair, Pair] | None


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
    even = Geometry.even((result.shape[2], result.shape[3]), (source.shape[2], source.shape[3]))
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


# Functions after which each place still looks where it did.
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


Box = tuple[int, int, int, int]


def receptive_fields(
    model: nn.Module, images: Tensor, cut: Cut, selector: Selector
) -> list[Box | None]:
    """Return what each picture's most active entry of a unit sees: (top, left, bottom, right).

    That is the smallest box around the pixels whose slope isn't zero: what the entry depends on in
    *this* picture, to first order. Behind max-pooling and ReLUs it may be smaller than what the
    layers' sizes allow; with attention it is usually all of the picture.

    Args:
        model: the network.
        images: (examples, channels, height, width).
        cut: the layer.
        selector: the unit's entries there; the most active one counts, or all that tie.

    Returns:
        for each picture the box, bottom and right outside; None if the unit is silent there.
    """
    measure = DistributionalInfluence(
        model,
        Cut(model, "input"),
        distribution=Point(),
        quantity=Unit(cast(Any, selector), reduce="max"),
        measure_at=cut,
    )
    slopes: Tensor = measure.attribute(images)
    return [_box(pixels) for pixels in (slopes != 0).any(dim=1)]


def _box(pixels: Tensor) -> Box | None:
    rows, columns = pixels.nonzero(as_tuple=True)
    if not len(rows):
        return None
    return int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1
