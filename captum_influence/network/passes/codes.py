"""A cut in a basis: what is done there is done to codes, and what they don't hold goes on too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from captum_influence.network.cuts import Basis, Cut, Tensors

__all__ = ["acting_on_codes"]

Act = Callable[[Tensors], Tensors]

# Of a tensor that was made of codes: which these are, in which basis, at which of its versions.
# Coded anew, what the codes don't hold of it would count among them.
_made_of: Any = WeakTensorKeyDictionary()


def acting_on_codes(act: Act, cut: Cut) -> Act:
    r"""Return what an act does to the tensor that passes a cut by acting on its codes.

    Of :math:`z`, whose codes :math:`c = E(z)` become :math:`c'`, there goes on
    :math:`z + D(c') - D(c)`. That is :math:`D(c')` and the error term :math:`z - D(c)`, added up in
    an order in which nothing is rounded: where codes stay as they are, so does every bit of z. Its
    derivative by :math:`c'` is the decoder's; that by what lies before the cut is the network's.

    Args:
        act: looks at the tensors that it is given and returns what shall go on in their place.
        cut: where. Without a basis, the act itself is returned.
    """
    basis = cut.basis
    if basis is None:
        return act

    def through(tensors: Tensors) -> Tensors:
        if len(tensors) > 1:
            raise TypeError(
                f"expected one tensor at the {cut}, got {len(tensors)}: pick one with "
                "Cut(layer, select=..., basis=...)"
            )
        (z,) = tensors
        codes = _encoded(basis, z, cut)
        (changed,) = act((codes,))
        if changed is codes:
            return tensors
        step = _decoded(basis, changed, z, cut) - _decoded(basis, codes, z, cut)
        made = z + step.to(z.dtype)
        _made_of[made] = (changed, basis, made._version)
        return (made,)

    return through


def _encoded(basis: Basis, z: Tensor, cut: Cut) -> Tensor:
    known: tuple[Tensor, Basis, int] | None = _made_of.get(z)
    if known is not None and known[1] is basis and known[2] == z._version:
        return known[0]
    codes, channel = basis.encode(z), basis.channel(z.ndim)
    if not isinstance(codes, Tensor) or _but(codes, channel) != _but(z, channel):
        layout = ", ".join("k" if d == channel else str(n) for d, n in enumerate(z.shape))
        raise ValueError(
            f"expected encode to return codes ({layout}) at the {cut}, got {_told(codes)}: if "
            "channels lie elsewhere, say it, as by Dictionary(encode, decode, axis=-1)"
        )
    return codes


def _decoded(basis: Basis, codes: Tensor, z: Tensor, cut: Cut) -> Tensor:
    found = basis.decode(codes)
    if not isinstance(found, Tensor) or found.shape != z.shape:
        raise ValueError(
            f"expected decode to return activations {tuple(z.shape)} at the {cut}, got "
            f"{_told(found)}: a dictionary fits the layer, and the size of input, it was made for"
        )
    return found


def _but(tensor: Tensor, channel: int) -> tuple[int, ...]:
    return (*tensor.shape[:channel], -1, *tensor.shape[channel + 1 :])


def _told(value: object) -> str:
    return f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
