"""What a network's units stand for in one picture: the units that matter, and what they look at."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from captum_influence.attr.distributions import Distribution
from captum_influence.attr.paths import LinearPath
from captum_influence.attr.quadrature import Midpoint
from captum_influence.attr.quantities import PredictedClass, Quantity
from captum_influence.explanations.instances.examples import top_examples
from captum_influence.explanations.instances.headline import Story
from captum_influence.explanations.instances.result import Explanation
from captum_influence.network.cuts import Cut
from captum_influence.network.predictions import Names, class_name, top_predictions
from captum_influence.reports.asked import Code, code_of, installed_versions
from captum_influence.units.axes import Aggregate, Axis, AxisLike
from captum_influence.units.interpreted import Example, InterpretedUnit
from captum_influence.units.measurement import Measurement, ask, shown
from captum_influence.units.picture_display import View
from captum_influence.units.ranking import By, Focus, Ranking

__all__ = ["explain"]


def explain(
    model: nn.Module,
    image: Tensor,
    layer: nn.Module | str | Cut,
    *,
    quantity: Quantity | Callable[[Any], Tensor] | int | None = None,
    distribution: Distribution | None = None,
    top: int = 5,
    by: By = "contribution",
    axis: AxisLike = "channel",
    heads: int | None = None,
    aggregate: Aggregate = "sum",
    focus: Focus = "quantity",
    loader: Iterable[Any] | None = None,
    picture: Tensor | None = None,
    display: Callable[[Tensor], Tensor] | None = None,
    class_names: Names = None,
    percentile: float = 95.0,
    smoothing: float | None = None,
    internal_batch_size: int | None = None,
    show_progress: bool = False,
    seed: int = 0,
) -> Explanation:
    r"""Find the units of a layer that matter most for one picture, and what each looks at.

    Units are ranked by their contribution :math:`\chi_j \cdot (z_j(x) - z_j(x_0))`, so that a unit
    which is silent here can't rank high; ``by="influence"`` ranks by :math:`\chi_j` alone, as
    Leino et al. (2018) do. The same is asked of every top unit at the input, in one pass.

    Args:
        model: the network, in eval mode.
        image: what it takes, (channels, height, width) or (1, channels, height, width).
        layer: a module, a dotted name or a Cut.
        quantity: what to explain; an int is a class; None: the predicted class.
        distribution: over which inputs; None: 50 midpoints of the path from 0, so that the whole
            way from "nothing" to the picture counts (midpoints are the most exact on ReLUs). Give
            a :class:`LinearPath` from your own neutral picture where 0 isn't neutral.
        top: how many units to interpret.
        by: ``"contribution"`` or ``"influence"``.
        axis: what one unit is; ``heads`` belongs to ``"head"``: see :func:`rank_units`.
        heads: see ``axis``.
        aggregate: pool a unit's entries by ``"sum"``, ``"mean"`` or ``"max"``.
        focus: ``"quantity"``: maps show what raises the quantity through the unit, each entry of
            the unit weighed by its own influence; ``"unit"``: what raises the unit anywhere.
        loader: yields images or (images, labels); each unit's top examples are taken from it.
        picture: the displayable (3, height, width) in [0, 1]; None: ``display(image)``.
        display: turns one input into such a picture; None: rescaling.
        class_names: a name for each class.
        percentile: the mask keeps what lies above it.
        smoothing: standard deviation, in pixels, of the Gaussian on maps before masks and figures;
            None: 1/32 of the shorter side. Raw maps are kept.
        internal_batch_size: (example, point) rows per pass.
        show_progress: show progress bars.
        seed: of what the network (given ``internal_batch_size``) or the loader draw at random; the
            global state is left alone.

    Raises:
        ValueError: if the image isn't one picture, holds NaN, or the layer has no such units.

    Example:
        >>> from captum_influence.demo import demo_scene, load_demo_network
        >>> found = explain(load_demo_network(), demo_scene().image, "relu5", top=2)
        >>> len(found.units)
        2
    """
    began = time.perf_counter()
    inputs, display = _checked_image(image), display or shown
    picture = _checked_picture(display(inputs[0]) if picture is None else picture, inputs)
    asked = PredictedClass() if quantity is None else Quantity.ensure(quantity)
    view = View.of((inputs.shape[-2], inputs.shape[-1]), percentile, smoothing)
    with _seeded(seed):
        output, value = ask(_unwrapped(model), inputs, asked)
        measurement = Measurement(
            _unwrapped(model),
            Cut.ensure(layer),
            asked.resolve(output),
            LinearPath(0.0, 50, Midpoint()) if distribution is None else distribution,
            by,
            aggregate,
            focus,
            internal_batch_size,
            show_progress,
        )
        ranking, delta = measurement.rank(inputs, axis, top, heads)
        units = _interpreted(measurement, ranking, inputs, picture, view)
        units = _with_examples(units, measurement, ranking, loader, display, class_names)
    story = Story(top_predictions(output, class_names), measurement, class_names)
    return Explanation(
        headline=story.headline(units),
        network=type(measurement.model).__name__,
        layer=story.layer,
        quantity=story.quantity,
        predictions=story.predictions,
        units=units,
        against=ranking.against(top),
        values=ranking.values,
        picture=picture,
        value=float(value[0]),
        delta=delta,
        settings=_settings(asked, measurement, ranking, view, seed),
        facts=_facts(measurement, inputs),
        versions=installed_versions(),
        seconds=time.perf_counter() - began,
    )


def _interpreted(
    measurement: Measurement, ranking: Ranking, inputs: Tensor, picture: Tensor, view: View
) -> tuple[InterpretedUnit, ...]:
    selectors = [ranking.axis.selector(unit.index) for unit in ranking]
    maps = measurement.maps(inputs, selectors)
    both = zip(ranking, maps, strict=True)
    return tuple(view.interpretation(unit, values, picture) for unit, values in both)


def _with_examples(
    units: tuple[InterpretedUnit, ...],
    measurement: Measurement,
    ranking: Ranking,
    loader: Iterable[Any] | None,
    display: Callable[[Tensor], Tensor],
    names: Names,
) -> tuple[InterpretedUnit, ...]:
    if loader is None:
        return units
    indices = [unit.index for unit in ranking]
    found = top_examples(measurement, loader, ranking.axis, indices, display)
    named = [tuple(_named(example, names) for example in examples) for examples in found]
    return tuple(replace(unit, examples=e) for unit, e in zip(units, named, strict=True))


def _named(example: Example, names: Names) -> Example:
    if example.label is None:
        return example
    return replace(example, label_name=class_name(example.label, names))


def _settings(
    asked: Quantity, measurement: Measurement, ranking: Ranking, view: View, seed: int
) -> dict[str, Any]:
    """Return the keyword arguments that ask the same question again."""
    axis = ranking.axis
    return {
        "quantity": Code(code_of(asked)),
        "distribution": Code(code_of(measurement.distribution)),
        "top": len(ranking),
        "by": measurement.by,
        "axis": _again(axis),
        **({} if axis.split is None else {"heads": axis.split}),
        "aggregate": measurement.aggregate,
        "focus": measurement.focus,
        "percentile": view.percentile,
        "smoothing": view.sigma,
        "internal_batch_size": measurement.rows,
        "seed": seed,
    }


def _again(axis: Axis) -> str | int | Code:
    """Return what names the axis again."""
    if axis.groups is not None:
        return Code(axis.groups.code)
    return axis.keep[0] + 1 if axis.name == "unit" else axis.name


def _facts(measurement: Measurement, inputs: Tensor) -> dict[str, Any]:
    return {
        "distribution": measurement.distribution.in_words(),
        "points": measurement.distribution.size,
        "image": list(inputs.shape[1:]),
        "dtype": str(inputs.dtype).removeprefix("torch."),
        "device": str(inputs.device),
    }


def _unwrapped(model: nn.Module) -> nn.Module:
    """Return the network inside torch.compile or DataParallel, which own no layers."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"expected the network as a torch.nn.Module, got {type(model).__name__}")
    if isinstance(model, nn.DataParallel):
        return _unwrapped(model.module)
    inner = getattr(model, "_orig_mod", None)
    return _unwrapped(inner) if isinstance(inner, nn.Module) else model


def _checked_image(image: Tensor) -> Tensor:
    """Return the image as a batch of one."""
    if not isinstance(image, Tensor) or not image.is_floating_point():
        kind = image.dtype if isinstance(image, Tensor) else type(image).__name__
        raise TypeError(
            f"expected the image as a tensor of floats, as the network takes it, got {kind}: "
            "preprocess it first"
        )
    if image.ndim == 4 and len(image) > 1:
        raise ValueError(
            f"expected one picture, got a batch of {len(image)}: pass image[i], one at a time"
        )
    if image.ndim not in (3, 4) or 0 in image.shape:
        raise ValueError(
            "expected an image of shape (channels, height, width) or (1, channels, height, "
            f"width), got {tuple(image.shape)}"
        )
    if not bool(image.isfinite().all()):
        raise ValueError(f"the image of shape {tuple(image.shape)} holds NaN or infinite pixels")
    return image.detach() if image.ndim == 4 else image.detach()[None]


def _checked_picture(picture: Tensor, inputs: Tensor) -> Tensor:
    expected = (3, *inputs.shape[-2:])
    if not isinstance(picture, Tensor) or tuple(picture.shape) != expected:
        came = tuple(picture.shape) if isinstance(picture, Tensor) else type(picture).__name__
        raise ValueError(
            f"expected the picture in the geometry of the image, {expected}, got {came}"
        )
    if not bool(((picture >= 0) & (picture <= 1)).all()):
        raise ValueError("expected the picture's colours in [0, 1]; divide bytes by 255")
    return picture.detach().float().cpu()


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Let whatever draws at random draw the same, and leave the global state as it was."""
    with torch.random.fork_rng(range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield
