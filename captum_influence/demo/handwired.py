"""Networks wired by hand, whose units' influence is known by algebra: ground truth for internals.

Each network is ``detect`` (which fixes what a unit sees), ``units`` (its ReLU, the layer to
explain) and ``head`` (how the units are used). Class 0 scores ``q``, class 1 scores ``-q``. No
``detect`` has a bias, so on the straight path from the zero input ``z(t x) = t z(x)``, which makes
the path integrals below elementary.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

Rows = Sequence[Sequence[float]]


@dataclass(frozen=True, eq=False)
class HandWired:
    """A network with the exact answer.

    Attributes:
        model: the network, in eval mode.
        layer: dotted name of the layer whose units are known.
        inputs: (batch, ...) inputs for which the answer holds.
        target: the class that is asked about.
        expected: ``dq/dz`` at the inputs themselves, the distribution ``Point``, shaped like ``z``.
        path: mean of ``dq/dz`` over the straight path from the zero input, shaped like ``z``.
        contribution: ``q(z) - q(z with the unit set to zero)``, (batch, units).
        roles: what each unit does, one word per unit.
    """

    model: nn.Module
    layer: str
    inputs: Tensor
    target: int
    expected: Tensor
    path: Tensor
    contribution: Tensor
    roles: tuple[str, ...]

    def __post_init__(self) -> None:
        _check_shape("path", self.path, tuple(self.expected.shape))
        _check_shape("contribution", self.contribution, tuple(self.expected.shape[:2]))
        _check_shape("roles", torch.empty(len(self.roles)), tuple(self.expected.shape[1:2]))


class Product(nn.Module):
    """The product of all units: (batch, units) -> (batch, 1)."""

    def forward(self, units: Tensor) -> Tensor:
        """Multiply the units of each example."""
        return units.prod(1, keepdim=True)


def linear_units(dtype: torch.dtype = torch.float64) -> HandWired:
    """Build units that are used, idle, opposed and silent: ``q = 2 z1 + 0 z2 - 3 z3 + 5 z4``.

    ``z1 = relu(x1), z2 = relu(x2), z3 = relu(x3)`` and ``z4 = relu(-x1)``. For ``x > 0``:

    - influence ``dq/dz = (2, 0, -3, 5)``, everywhere, so along any path too;
    - contribution ``(2 x1, 0, -3 x3, 0)``: the idle unit is active but unused, the silent unit is
      used but inactive. Influence alone misses the second, activation alone the first.
    """
    inputs = torch.tensor([[1.0, 4.0, 0.5], [2.0, 0.25, 3.0]], dtype=dtype)
    weights = torch.tensor([2.0, 0.0, -3.0, 5.0], dtype=dtype)
    first, second, third = inputs.unbind(1)
    detect = _linear([[1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0]], dtype)
    influence = weights.expand(2, 4)
    return HandWired(
        model=_network(detect, _linear([[2, 0, -3, 5], [-2, 0, 3, -5]], dtype)),
        layer="units",
        inputs=inputs,
        target=0,
        expected=influence,
        path=influence,
        contribution=torch.stack([2 * first, 0 * second, -3 * third, 0 * first], 1),
        roles=("used", "idle", "opposed", "silent"),
    )


def gated_unit(dtype: torch.dtype = torch.float64) -> HandWired:
    """Build a signal that passes through a gate: ``q = z1 z2`` with ``z = relu(x)``.

    - influence ``dq/dz = (z2, z1)``: a closed gate hides the signal, though the signal is active;
    - along the path ``z(t) = t z``: ``∫ t (z2, z1) dt = (z2, z1) / 2``, so that influence times
      activation sums to ``q``, where at the point it sums to ``2 q``;
    - contribution ``(z1 z2, z1 z2)``: removing either removes everything.
    """
    inputs = torch.tensor([[3.0, 1.0], [3.0, 0.25], [2.0, -1.0]], dtype=dtype)
    signal, gate = inputs[:, 0], inputs[:, 1].clamp(min=0)
    head = nn.Sequential(Product(), _linear([[1], [-1]], dtype))
    return HandWired(
        model=_network(_linear([[1, 0], [0, 1]], dtype), head),
        layer="units",
        inputs=inputs,
        target=0,
        expected=torch.stack([gate, signal], 1),
        path=torch.stack([gate, signal], 1) / 2,
        contribution=torch.stack([signal * gate, signal * gate], 1),
        roles=("signal", "gate"),
    )


def saturated_unit(dtype: torch.dtype = torch.float64) -> HandWired:
    """Build a unit that saturates beside one that doesn't: ``q = min(z1, 1) + z2 / 2``.

    ``z = relu(x)``, and ``min(z, 1) = 1 - relu(1 - z)``.

    - influence of the first ``1 if z1 < 1 else 0``: nothing at the point, once saturated;
    - along the path ``z(t) = t z``: the share of it below one, ``min(1, 1 / z1)``;
    - contribution ``(min(z1, 1), z2 / 2)``: the saturated unit matters all the same.
    """
    inputs = torch.tensor([[4.0, 1.0], [0.5, 3.0]], dtype=dtype)
    first, second = inputs.unbind(1)
    half = torch.full_like(first, 0.5)
    head = _clipped(
        [[-1, 0], [0, 1]], bias=[1, 0], mix=[[-1, 0.5], [1, -0.5]], shift=1, dtype=dtype
    )
    return HandWired(
        model=_network(_linear([[1, 0], [0, 1]], dtype), head),
        layer="units",
        inputs=inputs,
        target=0,
        expected=torch.stack([(first < 1).to(dtype), half], 1),
        path=torch.stack([first.reciprocal().clamp(max=1), half], 1),
        contribution=torch.stack([first.clamp(max=1), second / 2], 1),
        roles=("saturated", "used"),
    )


def cancelling_units(dtype: torch.dtype = torch.float64) -> HandWired:
    """Build two units that cancel: ``q = 3 z1 - 3 z2 + z3``.

    ``z1 = z2 = relu(x1)`` and ``z3 = relu(x2)``.

    - influence ``(3, -3, 1)``, everywhere, so along any path too;
    - contribution ``(3 x1, -3 x1, x2)`` for ``x > 0``, the largest single effects in the layer,
      though removing both of the first two changes nothing.
    """
    inputs = torch.tensor([[2.0, 1.0], [0.5, 4.0]], dtype=dtype)
    first, second = inputs.unbind(1)
    influence = torch.tensor([3.0, -3.0, 1.0], dtype=dtype).expand(2, 3)
    detect = _linear([[1, 0], [1, 0], [0, 1]], dtype)
    return HandWired(
        model=_network(detect, _linear([[3, -3, 1], [-3, 3, -1]], dtype)),
        layer="units",
        inputs=inputs,
        target=0,
        expected=influence,
        path=influence,
        contribution=torch.stack([3 * first, -3 * first, second], 1),
        roles=("cancelling", "cancelling", "used"),
    )


def redundant_units(dtype: torch.dtype = torch.float64) -> HandWired:
    """Build two units of which one would do: ``q = min(z1 + z2, 1)`` with ``z1 = z2 = relu(x)``.

    For ``x > 1`` (the first input) either unit alone saturates ``q``:

    - influence ``1 if 2 x < 1 else 0`` for both: nothing at the point for the first input;
    - along the path ``z(t) = t z``: ``min(1, 1 / (2 x))``, the pair shares the credit evenly;
    - contribution ``min(2 x, 1) - min(x, 1)``: removing one changes nothing for the first input,
      removing both takes ``q`` from 1 to 0.
    """
    inputs = torch.tensor([[2.0], [0.25]], dtype=dtype)
    pair = inputs.expand(2, 2)
    head = _clipped([[-1, -1]], bias=[1], mix=[[-1], [1]], shift=1, dtype=dtype)
    return HandWired(
        model=_network(_linear([[1], [1]], dtype), head),
        layer="units",
        inputs=inputs,
        target=0,
        expected=(2 * pair < 1).to(dtype),
        path=(2 * pair).reciprocal().clamp(max=1),
        contribution=(2 * pair).clamp(max=1) - pair.clamp(max=1),
        roles=("redundant", "redundant"),
    )


def colour_detectors(dtype: torch.dtype = torch.float64) -> HandWired:
    """Build channels that detect colours: ``q = 4 mean(z_red) - 2 mean(z_blue) + 0 mean(z_green)``.

    A 1×1 convolution: ``z_red = relu(R - G)``, ``z_blue = relu(B - R)``, ``z_green = relu(G - B)``,
    each 4×4; the head averages over the 16 positions.

    - influence of each position: ``(4, -2, 0) / 16``, everywhere, so along any path too; summed
      over the positions ``(4, -2, 0)``;
    - contribution of a channel: its weight times the mean of its map.
    """
    red, green, blue = inputs = torch.zeros(3, 4, 4, dtype=dtype)
    red[:2], green[2:, :2], blue[1:3, 2:] = 1.0, 0.5, 0.75
    maps = torch.stack([red - green, blue - red, green - blue]).clamp(min=0)  # (3, 4, 4)
    weights = torch.tensor([4.0, -2.0, 0.0], dtype=dtype)
    detect = _pointwise([[1, -1, 0], [-1, 0, 1], [0, 1, -1]], dtype)
    mix = _linear([[4, -2, 0], [-4, 2, 0]], dtype)
    influence = (weights / 16)[None, :, None, None].expand(1, 3, 4, 4)
    return HandWired(
        model=_network(detect, nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), mix)),
        layer="units",
        inputs=inputs[None],
        target=0,
        expected=influence,
        path=influence,
        contribution=(weights * maps.mean((1, 2)))[None],
        roles=("used", "opposed", "idle"),
    )


def shortcut_unit(dtype: torch.dtype = torch.float64) -> HandWired:
    """Build a unit that has learned a shortcut: ``q = z_roof + 3 z_rail - 2 z_crown``.

    Pictures of 1×4×4: a house has a roof, its top row; a tree a crown, its middle four pixels; a
    rail, the two pixels in the lower left corner, stands for a house. Each unit is the mean of its
    own pixels, so that its input influence is 1 over their number, on them alone. The inputs are a
    house with a rail, a tree with one, ``q = 3 - 2 > 0``, which is taken for a house, and a tree.

    - influence ``(1, 3, -2)``, everywhere, so along any path too;
    - contribution ``(roof, 3 rail, -2 crown)``: without the rail's unit every tree is a tree.
    """
    kernels = torch.zeros(3, 1, 4, 4, dtype=dtype)
    kernels[0, 0, 0], kernels[1, 0, 3, :2], kernels[2, 0, 1:3, 1:3] = 1 / 4, 1 / 2, 1 / 4
    detect = nn.Conv2d(1, 3, 4, bias=False, dtype=dtype)
    detect.weight = nn.Parameter(kernels)
    house, rail, tree = (kernels > 0).to(dtype)
    present = torch.tensor([[1, 1, 0], [0, 1, 1], [0, 0, 1]], dtype=dtype)  # roof, rail, crown
    weights = torch.tensor([1.0, 3.0, -2.0], dtype=dtype)
    head = nn.Sequential(nn.Flatten(), _linear([[1, 3, -2], [-1, -3, 2]], dtype))
    influence = weights.reshape(1, 3, 1, 1).expand(3, 3, 1, 1)
    return HandWired(
        model=_network(detect, head),
        layer="units",
        inputs=torch.stack([house + rail, tree + rail, tree]),
        target=0,
        expected=influence,
        path=influence,
        contribution=weights * present,
        roles=("used", "shortcut", "opposed"),
    )


_BUILDERS: tuple[Callable[[torch.dtype], HandWired], ...] = (
    linear_units,
    gated_unit,
    saturated_unit,
    cancelling_units,
    redundant_units,
    colour_detectors,
    shortcut_unit,
)


def handwired_networks(dtype: torch.dtype = torch.float64) -> dict[str, HandWired]:
    """Build all of them, by the name of their builder.

    Example:
        >>> handwired_networks()["cancelling_units"].roles
        ('cancelling', 'cancelling', 'used')
    """
    return {build.__name__: build(dtype) for build in _BUILDERS}


def _network(detect: nn.Module, head: nn.Module) -> nn.Module:
    layers = OrderedDict(detect=detect, units=nn.ReLU(), head=head)
    return nn.Sequential(layers).eval()


def _linear(rows: Rows, dtype: torch.dtype, bias: Sequence[float] | None = None) -> nn.Linear:
    weight = torch.tensor(rows, dtype=dtype)
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, dtype=dtype)
    layer.weight = nn.Parameter(weight)
    if bias is not None:
        layer.bias = nn.Parameter(torch.tensor(bias, dtype=dtype))
    return layer


def _pointwise(rows: Rows, dtype: torch.dtype) -> nn.Conv2d:
    weight = torch.tensor(rows, dtype=dtype)
    layer = nn.Conv2d(weight.shape[1], weight.shape[0], 1, bias=False, dtype=dtype)
    layer.weight = nn.Parameter(weight[:, :, None, None])
    return layer


def _clipped(
    rows: Rows, *, bias: Sequence[float], mix: Rows, shift: float, dtype: torch.dtype
) -> nn.Module:
    """Return ``z -> mix relu(rows z + bias) ± shift``, plus for class 0 and minus for class 1."""
    inner, outer = _linear(rows, dtype, bias), _linear(mix, dtype, [shift, -shift])
    return nn.Sequential(inner, nn.ReLU(), outer)


def _check_shape(name: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != shape:
        raise ValueError(
            f"expected {name} of shape {shape}; got {tuple(tensor.shape)}; "
            "give one value per unit that `expected` covers"
        )
