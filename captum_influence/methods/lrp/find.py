"""Layer-wise relevance propagation made safe: on a copy, checked, accounted."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from typing_extensions import TypedDict, Unpack

from captum_influence.attr.calls import Given
from captum_influence.attr.quantities import ClassScore, Quantity
from captum_influence.data.labels import Names
from captum_influence.methods.lrp.captum_backend import ByCaptum, Propagated, Propagation, Unsuited
from captum_influence.methods.lrp.operations_backend import ByOperations
from captum_influence.methods.lrp.result import Relevance, conservation_error
from captum_influence.methods.lrp.rules import Composite
from captum_influence.methods.lrp.zennit_backend import ByZennit
from captum_influence.network.cuts import Cut, refuse_basis, tensors_in
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
    inputs: Given,
    target: Any = None,
    *,
    composite: Composite | None = None,
    layers: Layer | Sequence[Layer] = (),
    by: Propagation | None = None,
    tolerance: float = 1e-3,
    **options: Unpack[RelevanceOptions],
) -> Relevance:
    r"""Distribute a score over the inputs, so that :math:`\sum_i R_i = f(x)` without biases.

    Captum propagates where modules run once, one after another; through sums of branches zennit,
    if it is installed; through attention, norms and gates :class:`ByOperations`. Which is right is
    looked for first, by watching one forward pass. All go by the same formulas, those of the
    rules. Sums, differences and scalings have the ε rule; activations and all else that is
    elementwise hand on what comes. The first two work on a deep copy: in it each BatchNorm is part
    of the layer before it, and one that can't be is a layer with the ε rule.

    Args:
        model: the network; it is run in eval mode, and left as it was.
        inputs: (examples, ...), or a mapping such as a ``BatchEncoding``. Token ids get what
            arrives at their embeddings.
        target: a class, by number or name, or one per example; or a :class:`Quantity` that is a
            sum of outputs, as ``NextToken("Mary")``; None: the only output.
        composite: which rules; None: ε everywhere.
        layers: where relevance is noted on its way; also at an ``nn.ReLU``.
        by: who propagates; None: the first of these that is right here.
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
    network, detached = network_of(model, options.get("output")), _detached(inputs)
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
        pictures=_pictures(detached, shown),
        seconds=time.perf_counter() - began,
    )


def _detached(inputs: Given) -> Given:
    if isinstance(inputs, Mapping):
        return {n: x.detach() if isinstance(x, Tensor) else x for n, x in inputs.items()}
    return tuple(x.detach() for x in inputs) if isinstance(inputs, tuple) else inputs.detach()


def _pictures(inputs: Given, shown: Shown) -> tuple[Tensor, ...]:
    """Return each example as a picture; none if there are several inputs, or none of floats."""
    floats = [x for x in tensors_in(inputs) if x.is_floating_point()]
    return pictures_of(floats[0], shown) if len(floats) == 1 else ()


def _propagated(
    by: Propagation | None, network: nn.Module, inputs: Given, target: Any, *question: Any
) -> tuple[Propagation, Propagated]:
    """Ask the one who was named, or one after the other until one is right."""
    plain = isinstance(inputs, Tensor) and inputs.is_floating_point()
    plain = plain and (not isinstance(target, Quantity) or isinstance(target, ClassScore))
    of_modules: tuple[Propagation, ...] = (ByCaptum(), ByZennit()) if plain else ()
    asked, reasons = (by,) if by else (*of_modules, ByOperations()), list[str]()
    for who in asked:
        try:
            return who, who.propagated(network, inputs, target, *question)
        except (Unsuited, ImportError) as error:
            if by and isinstance(error, ImportError):
                raise
            name = type(who).__name__.removeprefix("By").lower()
            reasons.append(f"{error} (by {name})" if len(asked) > 1 else str(error))
    raise ValueError(
        "relevance would not be propagated rightly through this network: "
        f"{'; '.join(dict.fromkeys(reasons))}. Write these parts as functions or modules that have "
        "rules, or use another method"
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
