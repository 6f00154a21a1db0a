"""Layer-wise relevance propagation made safe: on a copy, checked, accounted."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from captum_influence.methods.lrp.captum_backend import ByCaptum, Propagated, Propagation, Unsuited
from captum_influence.methods.lrp.result import Relevance, _error
from captum_influence.methods.lrp.rules import Composite
from captum_influence.methods.lrp.zennit_backend import ByZennit
from captum_influence.network.cuts import Cut

__all__ = ["relevance"]

Layer = Cut | nn.Module | str


def relevance(
    model: nn.Module,
    inputs: Tensor,
    target: Any = None,
    *,
    composite: Composite | None = None,
    layers: Layer | Sequence[Layer] = (),
    by: Propagation | None = None,
    tolerance: float = 1e-3,
) -> Relevance:
    r"""Distribute a score over the inputs, so that :math:`\sum_i R_i = f(x)` without biases.

    The rules are Captum's, or zennit's where relevance passes through more than modules that run
    once: there Captum is silently wrong. That is looked for first, by watching one forward pass.
    They run on a deep copy, so that neither weights nor rules of your own are touched.

    Args:
        model: the network; in eval mode on the copy.
        inputs: (examples, ...).
        target: a class, or one per example.
        composite: which rules; None: ε everywhere.
        layers: where relevance is noted on its way; also at an ``nn.ReLU``.
        by: who propagates; None: Captum where it is right, else zennit if it is installed.
        tolerance: a conservation error above it is warned about, with its likely reason.

    Raises:
        ValueError: if relevance would be wrong, with the parts of the network that are to blame.

    Source: Bach et al. 2015, PLoS ONE 10(7); composites: Montavon et al. 2019, LNCS 11700.

    Example:
        >>> model = torch.nn.Sequential(
        ...     torch.nn.Linear(3, 4, bias=False),
        ...     torch.nn.ReLU(),
        ...     torch.nn.Linear(4, 2, bias=False),
        ... )
        >>> found = relevance(model, torch.rand(2, 3), 0, layers="1")
        >>> bool(found.error_at("1").max() < 1e-3)
        True
    """
    cuts = _cuts(model, layers)
    detached = inputs.detach()
    who, found = _propagated(by, model, detached, target, composite, tuple(cuts.values()))
    error = _error(found.map, found.output)
    _warn(found.biased, error, tolerance)
    inner = dict(zip(cuts, found.layers, strict=True))
    return Relevance(found.map, found.output, error, found.rules, inner, who)


def _propagated(by: Propagation | None, *question: Any) -> tuple[Propagation, Propagated]:
    """Ask the one who was named, or Captum, and zennit where Captum would be wrong."""
    first = by or ByCaptum()
    try:
        return first, first.propagated(*question)
    except Unsuited as error:
        reasons = str(error)
    if by is None:
        try:
            return ByZennit(), ByZennit().propagated(*question)
        except ImportError as error:
            reasons = f"{reasons} (in Captum). Zennit gets this right, but {error}"
        except Unsuited as error:
            reasons = f"{reasons} (in Captum); {error} (in zennit)"
    raise ValueError(
        f"relevance would not be propagated rightly through this network: {reasons}. Write these "
        "parts as modules that run once, or use another method"
    )


def _cuts(model: nn.Module, layers: Layer | Sequence[Layer]) -> dict[str, Cut]:
    """Return where relevance is noted, by name."""
    listed = [layers] if isinstance(layers, Cut | nn.Module | str) else list(layers)
    cuts = {}
    for layer in listed:
        cut = Cut.ensure(layer).within(model)
        name = next(n for n, m in model.named_modules(remove_duplicate=False) if m is cut.module)
        own = name if cut.side == "output" and cut.call is None else f"{cut}"
        cuts[own] = Cut(name, cut.side, call=cut.call, select=cut.select)
    return cuts


def _warn(biased: str | None, error: Tensor, tolerance: float) -> None:
    if bool((error <= tolerance).all()):
        return
    absorbed = f"biases ({biased}, ...) absorb relevance"
    reason = "rules lose it, where positive and negative parts cancel or nothing passes"
    warnings.warn(
        f"relevance is not conserved: the map's sum is off the output by {float(error.max()):.3g} "
        f"of it, more than tolerance={tolerance}; {absorbed if biased else reason}",
        RuntimeWarning,
        stacklevel=3,
    )
