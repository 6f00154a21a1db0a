"""Prototypes: the picture that a class or a unit answers to most."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from typing_extensions import TypedDict, Unpack

from captum_influence.attr.quantities import Quantity, Unit
from captum_influence.attr.run import Run
from captum_influence.data.bars import progress
from captum_influence.data.labels import Names
from captum_influence.explanations.prototypes.images import Canvas, Prior, askew, total_variation
from captum_influence.explanations.prototypes.result import Prototype
from captum_influence.network.cuts import Cut, layer_name
from captum_influence.network.devices import device_of, dtype_of
from captum_influence.network.inputs import network_of
from captum_influence.network.modes import with_graph
from captum_influence.network.outputs import Output
from captum_influence.network.passes.arguments import Bound
from captum_influence.network.slices import Slice
from captum_influence.reports.asked import Asked
from captum_influence.reports.shown import Shown
from captum_influence.units.options import check_options, collected
from captum_influence.units.targets import TargetLike, question

__all__ = ["PrototypeOptions", "prototype"]

Size = int | tuple[int, int]


class PrototypeOptions(TypedDict, total=False):
    """What :func:`prototype` takes by keyword out of :class:`Shown` and :class:`Run`."""

    class_names: Names
    shown: Shown
    seed: int
    show_progress: bool
    output: Output
    run: Run


def prototype(
    model: nn.Module,
    target: TargetLike = None,
    layer: nn.Module | str | Cut | None = None,
    *,
    unit: int | tuple[int | slice, ...] | None = None,
    size: Size = 224,
    steps: int = 256,
    preprocess: Callable[[Tensor], Tensor] | None = None,
    prior: Prior | None = None,
    learning_rate: float = 0.02,
    **options: Unpack[PrototypeOptions],
) -> Prototype:
    """Make the picture that raises a class score, or a unit, most: activation maximisation.

    The picture is a sum of waves, coarse ones first, which Adam adjusts to raise the quantity
    while the picture is shifted and scaled a little before every look. It shows what would excite
    the network, which needn't look like anything it has seen.

    Args:
        model: the network, in eval mode.
        target: a class, by number or name, or a quantity, read at ``layer`` if that is given, else
            at the output.
        layer: where a unit is, with ``unit``.
        unit: which one, as in :class:`Unit`; its mean over positions is raised.
        size: height and width of the picture.
        steps: how many looks.
        preprocess: turns pictures (1, 3, height, width) in [0, 1] into what the network takes,
            differentiably; None: it takes these.
        prior: what is known of pictures.
        learning_rate: of Adam.
        options: ``class_names``, ``show_progress``, and the ``seed`` of the first picture and of
            all shifts; the global state is left alone.

    Raises:
        ValueError: if neither a target nor a unit is given, or both; or if steps or size are not
            positive.
        RuntimeError: if the quantity doesn't depend on the picture, or becomes NaN.

    Example:
        >>> from captum_influence.demo import load_demo_network
        >>> found = prototype(load_demo_network(), 0, size=64, steps=16)
        >>> found.value > found.start
        True
    """
    asked, began = Asked.of(prototype, locals()), time.perf_counter()
    (names, run), shape = _told(options), _shape(size, steps)
    prior = Prior() if prior is None else prior
    network = network_of(model, run.output)
    quantity = _quantity(target, layer, unit, names)
    cut = None if layer is None else Cut.ensure(layer)
    look = _Look(network, quantity, cut, preprocess or _as_it_is)
    generator = torch.Generator().manual_seed(run.seed)
    canvas = Canvas.blank(shape, prior.decay, generator, device_of(network))
    start = look.at(canvas.picture().detach())
    looks = progress(range(steps), "prototype", show=run.show_progress)
    history = look.raised(canvas, prior, generator, learning_rate, looks)
    image = canvas.picture().detach()
    return Prototype(
        asked=asked,
        network=type(network).__name__,
        image=image.cpu(),
        history=history,
        value=look.at(image),
        start=start,
        quantity=quantity.in_words(names),
        layer=None if cut is None else layer_name(network, cut),
        prior=prior,
        learning_rate=learning_rate,
        seed=run.seed,
        seconds=time.perf_counter() - began,
    )


@dataclass(frozen=True, eq=False)
class _Look:
    """The network looking at a picture; nothing of it changes."""

    model: nn.Module
    quantity: Quantity
    cut: Cut | None
    preprocess: Callable[[Tensor], Tensor]

    def at(self, picture: Tensor) -> float:
        """Return the quantity on a picture (3, height, width).

        Raises:
            ValueError: if the network takes other channels.
        """
        try:
            return self._gradient(picture[None])[0]
        except RuntimeError as error:
            if self.preprocess is not _as_it_is or "channels" not in str(error):
                raise
            raise ValueError(
                f"expected a network that takes pictures (1, 3, height, width), got one that fails "
                f"on them ({error}): say how they become its input as preprocess=, for one of one "
                "channel lambda picture: picture.mean(1, keepdim=True)"
            ) from error

    def raised(
        self,
        canvas: Canvas,
        prior: Prior,
        generator: torch.Generator,
        learning_rate: float,
        steps: Iterable[int],
    ) -> tuple[float, ...]:
        """Raise the quantity step by step; return what it was at each."""
        optimizer, history = torch.optim.Adam([canvas.waves], lr=learning_rate), []
        for _ in steps:
            value, canvas.waves.grad = self.pull(canvas, prior, generator)
            optimizer.step()
            history.append(value)
        return tuple(history)

    def pull(
        self, canvas: Canvas, prior: Prior, generator: torch.Generator
    ) -> tuple[float, Tensor]:
        """Return the quantity on a canvas seen askew, and which way its waves should not go."""
        with with_graph():
            picture = canvas.picture()
            seen = askew(picture[None], prior, generator)
            value, gradient = self._gradient(seen)
            gradient = gradient / (gradient.abs().sum() + 1e-30)  # all scales pull alike
            resistance = prior.total_variation * total_variation(picture)
            (slope,) = torch.autograd.grad(resistance - (seen * gradient).sum(), canvas.waves)
        return value, slope

    def _gradient(self, pictures: Tensor) -> tuple[float, Tensor]:
        """Return the quantity on pictures (1, 3, height, width), and its gradient there."""
        with with_graph():
            leaf = pictures.detach().requires_grad_()
            inputs = self.preprocess(leaf).to(dtype_of(self.model))
            value, slope = self._slope(inputs)
            if not inputs.requires_grad:
                raise RuntimeError(
                    "expected a preprocess that torch can differentiate, got one whose result has "
                    "no history: do it with tensors, without detach or numpy"
                )
            (gradient,) = torch.autograd.grad(inputs, leaf, slope)
        return value, gradient

    def _slope(self, inputs: Tensor) -> tuple[float, Tensor]:
        slice_ = Slice(self.model, [Cut(self.model, "input")], measure_at=self.cut)
        with slice_.opened():
            points, rows = slice_.admitted(inputs), torch.zeros(1, dtype=torch.long)
            trace = slice_.trace((points,), Bound(), (points,), rows)
            value = self.quantity.resolve(trace.output)(trace.output).sum()
            (slope,) = torch.autograd.grad(value, trace.edges[0], allow_unused=True)
        if slope is None or not bool(value.isfinite()):
            raise RuntimeError(
                "expected a finite quantity that depends on the picture, got "
                + ("one that doesn't depend on it" if slope is None else "NaN or infinity")
                + ": check the layer and the preprocessing"
            )
        return float(value.detach()), slope


def _told(options: PrototypeOptions) -> tuple[Names, Run]:
    """Return the names of the classes, and how it is run."""
    check_options("prototype", options, PrototypeOptions)
    shown: Shown = collected("prototype", "shown", Shown, options)
    run: Run = collected("prototype", "run", Run, options)
    return shown.class_names, run


def _shape(size: Size, steps: int) -> tuple[int, int]:
    """Return the picture's height and width."""
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width, steps) < 1:
        raise ValueError(f"expected positive steps and size, got {steps} and {size}")
    return height, width


def _quantity(
    target: TargetLike,
    layer: nn.Module | str | Cut | None,
    unit: int | tuple[int | slice, ...] | None,
    names: Names,
) -> Quantity:
    if (target is None) == (unit is None):
        raise ValueError(
            "expected a target or a unit, got " + ("neither" if unit is None else "both") + ": "
            "prototype(model, 3) for a class, prototype(model, layer=..., unit=17) for a unit"
        )
    if unit is None:
        return question(target, names=names)
    if layer is None:
        raise ValueError(f"expected the layer of unit {unit}, got none: add layer=")
    return Unit(unit, reduce="mean")


def _as_it_is(pictures: Tensor) -> Tensor:
    return pictures
