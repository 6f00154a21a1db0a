"""Layer-wise relevance propagation made safe: on a copy, checked, accounted."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn
from typing_extensions import TypedDict, Unpack

from captum_influence.attr.quantities import Quantity
from captum_influence.data.labels import Names
from captum_influence.methods.lrp.captum_backend import ByCaptum, Propagated, Propagation, Unsuited
from captum_influence.methods.lrp.result import Relevance, conservation_error
from captum_influence.methods.lrp.rules import Composite
from captum_influence.methods.lrp.zennit_backend import ByZennit
from captum_influence.network.cuts import Cut, refuse_basis
from captum_influence.network.inputs import network_of
from captum_influence.network.outputs import Output
from captum_influence.reports.asked import Asked
from captum_influence.reports.display import Display
from captum_influence.reports.shown import Shown
from captum_influence.units.options import check_options, collected
from captum_influence.units.shown.choice import pictures_of
from captum_influence.units.targets import numbered

__all__ = ["RelevanceOptions", "relevance"]

Layer = Cut | nn.Module | str


class RelevanceOptions(TypedDict, total=False):
    """What :func:`relevance` takes by keyword out of :class:`Shown`, and ``output``."""

    class_names: Names
    display: Callable[[Tensor], Tensor | Display] | None
    picture: Tensor | None
    output: Output
    shown: Shown


def relevance(
    model: nn.Module,
    inputs: Tensor,
    target: Any = None,
    *,
    composite: Composite | None = None,
    layers: Layer | Sequence[Layer] = (),
    by: Propagation | None = None,
    tolerance: float = 1e-3,
    **options: Unpack[RelevanceOptions],
) -> Relevance:
    r"""Distribute a score over the inputs, so that :math:`\sum_i R_i = f(x)` without biases.

    Captum propagates, or zennit where relevance passes through more than modules that run once:
    there Captum is silently wrong. That is looked for first, by watching one forward pass. Either
    does it by the same formulas, those of the rules, on a deep copy: in it each BatchNorm is part
    of the layer before it, and one that can't be is a layer with the ε rule. Sums, differences
    and scalings have the ε rule; activations and all else that is elementwise hand on what comes.

    Args:
        model: the network; in eval mode on the copy.
        inputs: (examples, ...).
        target: a class, by number or name, or one per example; None: the only output.
        composite: which rules; None: ε everywhere.
        layers: where relevance is noted on its way; also at an ``nn.ReLU``.
        by: who propagates; None: Captum where it is right, else zennit if it is installed.
        tolerance: a conservation error above it is warned about, with its likely reason.
        options: ``class_names``; ``output``, see :class:`Run`; and how inputs are shown:
            ``display`` or ``picture``, see :class:`Shown`.

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
    asked, began = Asked.of(relevance, locals()), time.perf_counter()
    check_options("relevance", options, RelevanceOptions)
    shown: Shown = collected("relevance", "shown", Shown, options)
    network, detached = network_of(model, options.get("output")), inputs.detach()
    classes = numbered(target, shown.class_names)
    cuts = _cuts(network, layers)
    who, found = _propagated(by, network, detached, classes, composite, tuple(cuts.values()))
    error = conservation_error(found.map, found.output)
    _warn(found.biased, error, tolerance)
    return Relevance(
        asked=asked,
        network=type(network).__name__,
        quantity=Quantity.ensure(classes).in_words(shown.class_names),
        map=found.map,
        output=found.output,
        conservation_error=error,
        rules=found.rules,
        layers=dict(zip(cuts, found.layers, strict=True)),
        by=who.kept(),
        pictures=pictures_of(detached, shown),
        seconds=time.perf_counter() - began,
    )


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
    cuts = [Cut.ensure(layer).by_name(model) for layer in listed]
    for cut in cuts:
        refuse_basis(cut, "relevance")
    return {_name(cut): cut for cut in cuts}


def _name(cut: Cut) -> str:
    return str(cut.module) if cut.side == "output" and cut.call is None else str(cut)


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
