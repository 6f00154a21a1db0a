r"""Functions whose values stay as they are, and whose slopes are those of a relevance rule.

Relevance of a value is the value times a coefficient, :math:`R_i = x_i c_i`. Where a layer adds up
weighted inputs, the ε rule makes of it :math:`c_i = \sum_j w_{ij} c_j`, which is what autograd does
with slopes. So a rule is a *path*: another function of the same value, by whose slopes
coefficients come back.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional

from captum_influence.methods.lrp.rules import AlphaBeta, Epsilon, Gamma, RelevanceRule

__all__ = [
    "along",
    "attended",
    "by_ratio",
    "groups_normed",
    "layers_normed",
    "roots_normed",
    "weighed_by",
]

_STABILIZER = 1e-9  # Captum's


class _Along(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, path: Tensor, value: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0], None


def along(path: Tensor, value: Tensor) -> Tensor:
    """Return a value whose slopes are those of the path, a tensor of the same shape.

    Example:
        >>> x = torch.tensor([3.0], requires_grad=True)
        >>> y = along(2 * x, x.detach() ** 2)
        >>> y.tolist(), torch.autograd.grad(y, x)[0].tolist()
        ([9.0], [2.0])
    """
    return cast(Tensor, _Along.apply(path, value.detach()))  # type: ignore[no-untyped-call]


def by_ratio(x: Tensor, value: Tensor, at_zero: Tensor | float = 0.0) -> Tensor:
    """Return an elementwise function's value that hands on to ``x`` all relevance that comes.

    The slope is that of the line from the function's value at zero, which counts as a bias.
    """
    own = x.detach()
    slope = torch.where(own == 0, 0.0, (value.detach() - at_zero) / own)
    return along(x.to(value.dtype) * slope, value)


def weighed_by(
    rule: RelevanceRule,
    result: Tensor,
    weighed: Callable[[Tensor], Tensor],
    weight: Tensor,
) -> Tensor:
    """Return what a linear layer or a convolution gave, with the slopes of its rule.

    Args:
        rule: which one.
        result: what it gave.
        weighed: what it gives with other weights.
        weight: its own.

    Raises:
        ValueError: for a rule that hands on more than its inputs bring.
    """
    if isinstance(rule, Epsilon):
        return along(result * (result / _stable(result, rule.epsilon)).detach(), result)
    if isinstance(rule, Gamma):
        other = weighed(weight + rule.gamma * weight.clamp(min=0))
    elif isinstance(rule, AlphaBeta):
        other = weighed(weight.clamp(min=0))
    else:
        raise ValueError(f"{rule!r} is a rule that isn't one of slopes")
    return along(other * (result / _stable(other, _STABILIZER)).detach(), result)


def _stable(values: Tensor, epsilon: float) -> Tensor:
    return values + torch.where(values < 0, -epsilon, epsilon)


def layers_normed(
    x: Tensor,
    normalized_shape: Any,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Return a path of ``layer_norm``: its scale is held constant, the mean isn't."""
    over = tuple(range(-len(tuple(normalized_shape)), 0))
    return _weighed(_centred(x, over, eps), weight)


def roots_normed(
    x: Tensor, normalized_shape: Any, weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """Return a path of ``rms_norm``: its scale is held constant."""
    over = tuple(range(-len(tuple(normalized_shape)), 0))
    eps = torch.finfo(x.dtype).eps if eps is None else eps
    return _weighed(x * (x.square().mean(over, keepdim=True) + eps).rsqrt().detach(), weight)


def groups_normed(
    x: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Return a path of ``group_norm``: its scale is held constant, the mean isn't."""
    apart = x.reshape(len(x), num_groups, -1)
    together = _centred(apart, (-1,), eps).reshape(x.shape)
    return together if weight is None else together * weight.reshape(-1, *[1] * (x.ndim - 2))


def _centred(x: Tensor, over: tuple[int, ...], eps: float) -> Tensor:
    centred = x - x.mean(over, keepdim=True)
    return centred * (centred.square().mean(over, keepdim=True) + eps).rsqrt().detach()


def _weighed(x: Tensor, weight: Tensor | None) -> Tensor:
    return x if weight is None else x * weight


def attended(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Return ``scaled_dot_product_attention`` as the products and the softmax that it is made of.

    A position that may see nothing gets zero, as from the function.
    """
    if enable_gqa:
        times = query.shape[-3] // key.shape[-3]
        key, value = (x.repeat_interleave(times, -3) for x in (key, value))
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = torch.matmul(query * factor, key.transpose(-2, -1))
    if is_causal:
        seen = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
        attn_mask = seen
    if attn_mask is None:
        return torch.matmul(functional.softmax(scores, -1), value)
    if attn_mask.dtype == torch.bool:
        attn_mask = torch.zeros_like(attn_mask, dtype=scores.dtype).masked_fill(
            ~attn_mask, -math.inf
        )
    # Before the softmax: what is undefined behind it would come back as NaN.
    blind = (attn_mask == -math.inf).all(-1, keepdim=True)
    weights = functional.softmax(scores + attn_mask.masked_fill(blind, 0.0), -1)
    return torch.matmul(weights.masked_fill(blind, 0.0), value)
