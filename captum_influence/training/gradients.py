"""Per-example parameter gradients, one small class per kind of layer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn import Module, Parameter

from captum_influence.network.recording import Record, WithoutHooks

__all__ = [
    "ConvolutionGradient",
    "ElementGradient",
    "EmbeddingGradient",
    "LayerGradient",
    "LinearGradient",
    "MatrixGradient",
    "NormGradient",
    "TransposedLinearGradient",
    "gradient_of",
]

CHUNK_BYTES = 64 * 2**20


@dataclass(frozen=True, eq=False)
class LayerGradient(ABC):
    """The gradients of one layer's own parameters, example by example, as flat rows.

    Attributes:
        name: the layer's dotted name in the model.
        module: the layer.
    """

    name: str
    module: Module

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """The parameters, by their names in the module."""
        return dict(self.module.named_parameters(recurse=False))

    @property
    def size(self) -> int:
        """The number of parameters: the length of a row."""
        return sum(p.numel() for p in self.parameters.values())

    @property
    def device(self) -> torch.device:
        """Where the layer lives."""
        return next(iter(self.parameters.values())).device

    @abstractmethod
    def flat(self, record: Record) -> Tensor:
        """Return the gradients, (batch, size)."""

    @abstractmethod
    def unflatten(self, flat: Tensor) -> dict[str, Tensor]:
        """Return rows as the module's own parameters: name -> (batch, *shape)."""

    def numbers_per_example(self, record: Record) -> int:
        """Return how many numbers the work on one example holds at once."""
        return self.size

    def rows(self, record: Record) -> int:
        """Return how many examples to treat at once so that the work stays under 64 MB."""
        item = record.inputs[0].element_size() if record.inputs[0].is_floating_point() else 4
        return max(1, CHUNK_BYTES // (item * max(1, self.numbers_per_example(record))))


@dataclass(frozen=True, eq=False)
class MatrixGradient(LayerGradient):
    """A layer that multiplies by a matrix: G = Σ_t d_t a_tᵀ, in ``groups`` independent blocks.

    The bias, when there is one, is the matrix's last column, fed by a constant 1.
    """

    @property
    @abstractmethod
    def groups(self) -> int:
        """The number of independent blocks."""

    @abstractmethod
    def inputs(self, record: Record) -> Tensor:
        """Return what the matrix was multiplied with, a: (batch, groups, positions, in)."""

    @abstractmethod
    def outputs(self, record: Record) -> Tensor:
        """Return the gradients at what came out, d: (batch, groups, positions, out)."""

    def turned(self, record: Record, directions: Tensor) -> Tensor:
        """Return products of the inputs with directions (groups, in, n), n in place of in."""
        return self.inputs(record) @ directions

    @property
    def shape(self) -> tuple[int, int, int]:
        """(groups, out, in) of the matrix, bias column included."""
        weight = self.module.get_parameter("weight")
        rows = weight.shape[0] // self.groups
        return self.groups, rows, weight[0].numel() + (self.module.bias is not None)

    def flat(self, record: Record) -> Tensor:
        return (self.outputs(record).mT @ self.inputs(record)).flatten(1)

    def unflatten(self, flat: Tensor) -> dict[str, Tensor]:
        matrix = flat.reshape(len(flat), self.groups * self.shape[1], self.shape[2])
        weight = self.module.get_parameter("weight")
        found = {"weight": matrix[..., : weight[0].numel()].reshape(-1, *weight.shape)}
        if self.module.bias is not None:
            found["bias"] = matrix[..., -1]
        return found

    def numbers_per_example(self, record: Record) -> int:
        groups, out, width = self.shape
        positions = sum(g[0].numel() for g in record.gradients) // (groups * out)
        return max(self.size, positions * groups * (width + out))


@dataclass(frozen=True, eq=False)
class LinearGradient(MatrixGradient):
    """``nn.Linear``, with any number of positions between the batch and the features.

    The positions of several calls are joined, one after the other.
    """

    @property
    def groups(self) -> int:
        return 1

    def inputs(self, record: Record) -> Tensor:
        a = torch.cat([x.reshape(len(x), 1, -1, x.shape[-1]) for x in record.inputs], 2)
        return _with_ones(a, self.module)

    def outputs(self, record: Record) -> Tensor:
        return torch.cat([g.reshape(len(g), 1, -1, g.shape[-1]) for g in record.gradients], 2)


@dataclass(frozen=True, eq=False)
class TransposedLinearGradient(LinearGradient):
    """GPT-2's ``Conv1D``: a linear layer whose weight is (in, out)."""

    @property
    def shape(self) -> tuple[int, int, int]:
        width, out = self.module.get_parameter("weight").shape
        return 1, out, width + (self.module.bias is not None)

    def unflatten(self, flat: Tensor) -> dict[str, Tensor]:
        _, out, width = self.shape
        columns = flat.reshape(-1, out, width).mT  # (batch, in, out)
        rows = self.module.get_parameter("weight").shape[0]
        found = {"weight": columns[:, :rows]}
        if self.module.bias is not None:
            found["bias"] = columns[:, -1]
        return found


@dataclass(frozen=True, eq=False)
class ConvolutionGradient(MatrixGradient):
    """``nn.Conv1d/2d/3d`` with every padding mode, stride, dilation and grouping.

    Inputs are unfolded into patches; the positions of several calls are joined.
    """

    @property
    def groups(self) -> int:
        return int(self._convolution.groups)

    @property
    def _convolution(self) -> nn.Conv2d:
        return self.module  # type: ignore[return-value]  # any of the three: same attributes

    def inputs(self, record: Record) -> Tensor:
        return _with_ones(torch.cat([self._patches(x) for x in record.inputs], 2), self.module)

    def outputs(self, record: Record) -> Tensor:
        shape = (self.groups, self.shape[1], -1)
        return torch.cat([g.reshape(len(g), *shape).mT for g in record.gradients], 2)

    def turned(self, record: Record, directions: Tensor) -> Tensor:
        # Directions are filters: the patches need not be laid out, which takes longer.
        layer, (groups, _, n) = self._convolution, directions.shape
        rows = directions.mT.flatten(0, 1)  # (groups * n, in)
        shape = layer.weight.shape[1:]
        bias = None if layer.bias is None else rows[:, -1]
        filters = rows[:, : shape.numel()].reshape(-1, *shape)
        convolve = (F.conv1d, F.conv2d, F.conv3d)[len(shape) - 2]
        found = [
            convolve(self._padded(x), filters, bias, layer.stride, 0, layer.dilation, layer.groups)
            for x in record.inputs
        ]
        return torch.cat([x.reshape(len(x), groups, n, -1).mT for x in found], 2)

    def _padded(self, x: Tensor) -> Tensor:
        return F.pad(x, self._padding(), mode=_PAD_MODES[self._convolution.padding_mode])

    def _patches(self, x: Tensor) -> Tensor:
        layer, n = self._convolution, x.ndim - 2
        x = self._padded(x)
        for i in range(n):
            reach = layer.dilation[i] * (layer.kernel_size[i] - 1) + 1
            x = x.unfold(2 + i, reach, layer.stride[i])[..., :: layer.dilation[i]]
        x = x.reshape(
            len(x), layer.groups, -1, *x.shape[2:]
        )  # (batch, groups, channels, *out, *kernel)
        order = (0, 1, *range(3, 3 + n), 2, *range(3 + n, 3 + 2 * n))
        return x.permute(order).flatten(2, 1 + n).flatten(3)

    def _padding(self) -> list[int]:
        layer = self._convolution
        pads: list[int] = []
        for i in reversed(range(len(layer.kernel_size))):  # F.pad wants the last dimension first
            total = layer.dilation[i] * (layer.kernel_size[i] - 1)
            if layer.padding == "same":
                pads += [total // 2, total - total // 2]
            else:
                pads += [0, 0] if layer.padding == "valid" else [int(layer.padding[i])] * 2
        return pads


_PAD_MODES = {
    "zeros": "constant",
    "reflect": "reflect",
    "replicate": "replicate",
    "circular": "circular",
}


@dataclass(frozen=True, eq=False)
class EmbeddingGradient(LayerGradient):
    """``nn.Embedding``: each example adds its output gradients to the rows it looked up."""

    def flat(self, record: Record) -> Tensor:
        table = self.module.get_parameter("weight")
        first = record.gradients[0]
        found = first.new_zeros(record.batch * len(table), table.shape[1])
        for index, gradient in zip(record.inputs, record.gradients, strict=True):
            self._add(found, index.reshape(len(index), -1), gradient)
        return found.reshape(record.batch, -1)

    def _add(self, found: Tensor, index: Tensor, gradient: Tensor) -> None:
        rows, width = self.module.get_parameter("weight").shape
        offset = torch.arange(len(index), device=index.device).unsqueeze(1) * rows
        gradient = gradient.reshape(-1, width)
        if self._padding is not None:
            gradient = gradient * torch.ne(index, self._padding).reshape(-1, 1)
        found.index_add_(0, (index + offset).flatten(), gradient)

    @property
    def _padding(self) -> int | None:
        found: int | None = getattr(self.module, "padding_idx", None)
        return found

    def unflatten(self, flat: Tensor) -> dict[str, Tensor]:
        return {"weight": flat.reshape(len(flat), *self.module.get_parameter("weight").shape)}


@dataclass(frozen=True, eq=False)
class ElementGradient(LayerGradient):
    """Small layers of any kind: the module's own vector-Jacobian product, mapped."""

    def flat(self, record: Record) -> Tensor:
        parameters = {n: p.detach() for n, p in self.module.named_parameters(recurse=False)}
        parts: dict[str, Tensor] = {}
        for x, g in zip(record.inputs, record.gradients, strict=True):
            for name, value in self._mapped(parameters, x, g).items():
                parts[name] = parts[name] + value if name in parts else value
        return torch.cat([parts[name].flatten(1) for name in parameters], 1)

    def _mapped(self, parameters: Mapping[str, Tensor], x: Tensor, g: Tensor) -> dict[str, Tensor]:
        def objective(values: Mapping[str, Tensor], one: Tensor, weight: Tensor) -> Tensor:
            named = {f"layer.{name}": value for name, value in values.items()}
            out = torch.func.functional_call(WithoutHooks(self.module), named, (one.unsqueeze(0),))
            total: Tensor = (out.squeeze(0) * weight).sum()
            return total

        gradient = torch.func.vmap(torch.func.grad(objective), in_dims=(None, 0, 0))
        found: dict[str, Tensor] = gradient(dict(parameters), x, g)
        return found

    def unflatten(self, flat: Tensor) -> dict[str, Tensor]:
        named = dict(self.module.named_parameters(recurse=False))
        pieces = torch.split(flat, [p.numel() for p in named.values()], 1)
        return {
            name: piece.reshape(len(flat), *p.shape)
            for (name, p), piece in zip(named.items(), pieces, strict=True)
        }

    def numbers_per_example(self, record: Record) -> int:
        return self.size + 4 * prod(record.inputs[0].shape[1:])


@dataclass(frozen=True, eq=False)
class NormGradient(ElementGradient):
    """Normalisations y = γ x̂ + β: Σ g x̂ and Σ g over the positions, without a map over examples.

    x̂ is what the module makes of x with γ = 1 and β = 0.
    """

    def flat(self, record: Record) -> Tensor:
        found = [self._sums(x, g) for x, g in zip(record.inputs, record.gradients, strict=True)]
        return torch.cat([sum(parts).flatten(1) for parts in zip(*found, strict=True)], 1)

    def _sums(self, x: Tensor, g: Tensor) -> list[Tensor]:
        parameters = self.parameters
        plain = {
            f"layer.{name}": torch.full_like(p, float(name == "weight"), requires_grad=False)
            for name, p in parameters.items()
        }
        normalised = torch.func.functional_call(WithoutHooks(self.module), plain, (x,))
        products = {"weight": g * normalised, "bias": g}
        return [self._over_positions(products[name]) for name in parameters]

    def _over_positions(self, product: Tensor) -> Tensor:
        """Return sums over all dimensions but the batch and the parameters' own."""
        shape = self.module.get_parameter("weight").shape
        if isinstance(self.module, nn.LayerNorm | nn.RMSNorm):
            return product.reshape(len(product), -1, *shape).sum(1)
        return product.flatten(2).sum(2) if product.ndim > 2 else product


def _with_ones(a: Tensor, module: Module) -> Tensor:
    return a if module.bias is None else F.pad(a, (0, 1), value=1.0)


_KINDS: tuple[tuple[tuple[type[Module], ...], type[LayerGradient]], ...] = (
    ((nn.Linear,), LinearGradient),
    ((nn.Conv1d, nn.Conv2d, nn.Conv3d), ConvolutionGradient),
    ((nn.Embedding,), EmbeddingGradient),
    (
        (
            nn.LayerNorm,
            nn.GroupNorm,
            nn.RMSNorm,
            nn.modules.batchnorm._BatchNorm,
            nn.modules.instancenorm._InstanceNorm,
        ),
        NormGradient,
    ),
    ((nn.PReLU,), ElementGradient),
)


def gradient_of(name: str, module: Module) -> LayerGradient | str:
    """Return the layer's gradient class at work, or the reason why there is none."""
    for types, made in _KINDS:
        if isinstance(module, types):
            return _obstacle(module) or made(name, module)
    # transformers has classes of its own, a norm for each architecture. They are told by their
    # names: one that does something else is refused when gradients are compared with autograd's.
    kind = type(module).__name__
    if kind == "Conv1D":
        return _obstacle(module) or TransposedLinearGradient(name, module)
    if kind.endswith(("RMSNorm", "T5LayerNorm")):
        return _obstacle(module) or ElementGradient(name, module)
    return f"no per-example gradient is known for {kind}"


def _obstacle(module: Module) -> str:
    names = {name for name, _ in module.named_parameters(recurse=False)}
    if names not in ({"weight"}, {"weight", "bias"}):
        return "it has other parameters than a weight and a bias, as by weight_norm"
    if isinstance(module, nn.modules.conv._ConvTransposeNd):
        return "transposed convolutions are not treated"
    if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is None:
        return "batch normalisation without running statistics couples the examples"
    if isinstance(module, nn.Embedding) and module.max_norm is not None:
        return "an embedding with max_norm changes its table as it is read"
    if isinstance(module, nn.Embedding) and module.scale_grad_by_freq:
        return "scale_grad_by_freq couples the examples"
    return ""
