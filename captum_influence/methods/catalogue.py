"""Other methods that answer the same question: Captum's, composed, each as a value."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from captum import attr as captum_attr
from torch import Tensor, nn

from captum_influence.attr.influence import DistributionalInfluence
from captum_influence.attr.paths import LinearPath
from captum_influence.attr.quadrature import Midpoint
from captum_influence.methods.cam import class_map
from captum_influence.methods.lrp.find import relevance
from captum_influence.methods.lrp.result import Relevance
from captum_influence.network.cuts import Cut
from captum_influence.network.modes import without_graph
from captum_influence.network.tracing import Watch
from captum_influence.units.geometry import Geometry
from captum_influence.visualization.blur import gaussian_blur

__all__ = ["METHODS", "Method", "MethodQuestion", "NotApplicable"]


class NotApplicable(Exception):
    """A method can't answer this question; its message says why."""


@dataclass(frozen=True, eq=False, kw_only=True)
class MethodQuestion:
    """What all methods are asked.

    Attributes:
        model: a copy of the network that methods may change.
        inputs: (examples, ...).
        cut: the layer, by name.
        target: (examples,) int64, one class per example.
        units: the layer's activations (examples, ...).
        channel: which of their dimensions counts channels; None: it isn't clear.
        points: how many steps of a path, or draws of noise.
        internal_batch_size: (example, point) rows per pass; None: what each method takes.
    """

    model: nn.Module
    inputs: Tensor
    cut: Cut
    target: Tensor
    units: Tensor
    channel: int | None = 1
    points: int = 25
    internal_batch_size: int | None = None

    @property
    def layer(self) -> nn.Module:
        """The layer as Captum takes it."""
        if self.cut.side != "output" or self.cut.select is not None or self.cut.call is not None:
            raise NotApplicable("Captum takes a module's only output: a Cut says more than that")
        return self.model.get_submodule(str(self.cut.module))

    def of_channels(self) -> None:
        """Refuse layers whose places don't come behind their channels.

        Raises:
            NotApplicable: for tokens, flat units, and channels last.
        """
        if self.units.ndim < 3 or self.channel != 1:
            where = "" if self.channel is None else f" with channels along axis={self.channel}"
            raise NotApplicable(
                "it weighs channels of a layer (examples, channels, height, width) or (examples, "
                f"channels, steps); this one is {tuple(self.units.shape)}{where}, and Captum would "
                "average the wrong dimensions"
            )


Answering = Callable[[MethodQuestion], Any]
"""Answers a question: attributions, as Captum returns them."""


@dataclass(frozen=True, eq=False)
class Method:
    """A method of attribution.

    Attributes:
        name: as users name it.
        at: ``"input"`` or ``"layer"``, what its attributions are shaped like.
        run: answers a question.
        measures: what its entries are, in a few words.
    """

    name: str
    at: str
    run: Answering
    measures: str


def _at_input(build: Callable[[nn.Module], Any], **settings: Any) -> Answering:
    def run(question: MethodQuestion) -> Any:
        method = build(question.model)
        return method.attribute(_leaf(question), target=question.target, **settings)

    return run


def _at_layer(build: Callable[..., Any], **settings: Any) -> Answering:
    def run(question: MethodQuestion) -> Any:
        method = build(question.model, question.layer)
        return method.attribute(_leaf(question), target=question.target, **settings)

    return run


def _on_path(run: Callable[..., Answering], build: Any) -> Callable[..., Any]:
    """Give a path method the question's number of points, a micro-batch at a time."""

    def on_path(question: MethodQuestion) -> Any:
        rows = max(question.internal_batch_size or 32, len(question.inputs))  # as Captum asks for
        return run(build, n_steps=question.points, internal_batch_size=rows)(question)

    return on_path


def _smoothed(run: Answering, scale: Callable[[MethodQuestion], float]) -> Answering:
    """Smooth a map of a picture by a Gaussian of a standard deviation in pixels."""

    def smoothed(question: MethodQuestion) -> Any:
        if question.inputs.ndim != 4:
            raise NotApplicable(
                "it smooths pictures (examples, channels, height, width); these inputs are "
                f"{tuple(question.inputs.shape)}"
            )
        sigma = scale(question)
        return gaussian_blur(run(question).detach(), sigma)

    return smoothed


def _fine(question: MethodQuestion) -> float:
    return min(question.inputs.shape[-2:]) / 32


def _step(question: MethodQuestion) -> float:
    try:
        return Geometry.of(question.model, question.inputs, question.cut).scale
    except ValueError as error:
        raise NotApplicable(str(error)) from error


def _saliency(question: MethodQuestion) -> Any:
    return _at_input(captum_attr.Saliency, abs=True)(question)


def _sensitivity(question: MethodQuestion) -> Any:
    return _at_input(captum_attr.Saliency, abs=False)(question) ** 2


def _smooth_grad(question: MethodQuestion) -> Any:
    saliency = captum_attr.Saliency(question.model)
    level = 0.15 * float(question.inputs.max() - question.inputs.min())
    tunnel = captum_attr.NoiseTunnel(saliency)
    return tunnel.attribute(
        _leaf(question),
        nt_type="smoothgrad",
        nt_samples=question.points,
        nt_samples_batch_size=min(8, question.points),
        stdevs=level,
        target=question.target,
        abs=True,
    )


def _occlusion(question: MethodQuestion) -> Any:
    own = question.inputs.shape[1:]
    image = len(own) == 3  # then all channels of a square go at once
    window = tuple(n if image and i == 0 else max(1, n // 8) for i, n in enumerate(own))
    strides = tuple(n if image and i == 0 else -(-n // 2) for i, n in enumerate(window))
    return _at_input(captum_attr.Occlusion, sliding_window_shapes=window, strides=strides)(question)


def _through_relus(run: Answering) -> Answering:
    """Refuse networks whose ReLUs Captum doesn't see, and would leave as they are."""

    def checked(question: MethodQuestion) -> Any:
        watch = Watch(into_foreign=True)
        with without_graph(), watch.on(question.model), watch:
            question.model(question.inputs)
        if {"relu", "relu_"} & set(watch.functions):
            raise NotApplicable("it changes nn.ReLU modules; functional ones would be left as is")
        modules = dict(question.model.named_modules())
        if not any(isinstance(modules[name], nn.ReLU) for name in watch.calls):
            raise NotApplicable("it changes nn.ReLU modules; without any it is the plain gradient")
        return run(question)

    return checked


def _lrp(question: MethodQuestion) -> Any:
    return _relevance(question).map


def _layer_lrp(question: MethodQuestion) -> Any:
    (found,) = _relevance(question, question.cut).layers.values()
    return found


def _relevance(question: MethodQuestion, *layers: Cut) -> Relevance:
    try:
        return relevance(question.model, question.inputs, question.target, layers=layers)
    except ValueError as error:
        raise NotApplicable(str(error)) from error


def _cam(question: MethodQuestion) -> Any:
    question.of_channels()
    try:
        found = class_map(question.model, question.inputs, question.cut, question.target)
    except ValueError as error:
        raise NotApplicable(str(error)) from error
    return found / found[0].numel()  # so that entries add up to the score, as those of others do


def _grad_cam(question: MethodQuestion) -> Any:
    question.of_channels()
    return _at_layer(captum_attr.LayerGradCam, relu_attributions=True)(question)


def _guided_grad_cam(question: MethodQuestion) -> Any:
    question.of_channels()
    return _through_relus(_at_layer(captum_attr.GuidedGradCam))(question)


def _activation(question: MethodQuestion) -> Any:
    method = captum_attr.LayerActivation(question.model, question.layer)
    return method.attribute(_leaf(question))


def _ablation(question: MethodQuestion) -> Any:
    """Set places of the layer to zero, all channels at once; of maps, at most 8 by 8 squares."""
    shape, channel = question.units.shape[1:], question.channel
    if channel is None:
        raise NotApplicable("it isn't clear which of the layer's dimensions are places")
    places = [n for d, n in enumerate(shape, 1) if d != channel] or list(shape)
    mask = _squares(*places) if len(places) == 2 else torch.arange(math.prod(places))
    mask = mask.reshape(places)
    sizes = mask.flatten().bincount()[mask]  # entries per square, at each entry
    if len(shape) > 1:
        mask, sizes = mask.unsqueeze(channel - 1), sizes.unsqueeze(channel - 1)
    mask = mask.expand(1, *shape).to(question.units.device)
    found = _at_layer(captum_attr.LayerFeatureAblation, layer_baselines=0, layer_mask=mask)(
        question
    )
    channels = shape[channel - 1]
    # Captum gives each entry the effect of its whole square: shared out, they sum to it.
    return (found[0] if isinstance(found, tuple) else found) / (sizes.to(mask.device) * channels)


def _squares(height: int, width: int) -> Tensor:
    """Return the number of the square that each place belongs to, (height, width)."""
    rows = torch.arange(height) // -(-height // 8)
    columns = torch.arange(width) // -(-width // 8)
    return rows[:, None] * 8 + columns


def _influence(question: MethodQuestion) -> Any:
    path = LinearPath(0, question.points, Midpoint())
    method = DistributionalInfluence(
        question.model, question.cut, distribution=path, multiply_by_inputs=True
    )
    return method.attribute(
        question.inputs, target=question.target, internal_batch_size=question.internal_batch_size
    )


def _leaf(question: MethodQuestion) -> Tensor:
    return question.inputs.detach().clone().requires_grad_()


_integrated = _on_path(_at_input, captum_attr.IntegratedGradients)

_LISTED = (
    Method("influence", "layer", _influence, "its mean gradient along a path, times its change"),
    Method("Saliency", "input", _saliency, "the size of the slope: what would change the score"),
    Method("sensitivity", "input", _sensitivity, "the squared slope: sensitivity analysis"),
    Method(
        "InputXGradient",
        "input",
        _at_input(captum_attr.InputXGradient),
        "the slope times the input",
    ),
    Method(
        "IntegratedGradients",
        "input",
        _integrated,
        "the rise of the score from zero, shared out",
    ),
    Method(
        "IntegratedGradientsFine",
        "input",
        _smoothed(_integrated, _fine),
        "the same, smoothed by 1/32 of the picture",
    ),
    Method(
        "IntegratedGradientsCoarse",
        "input",
        _smoothed(_integrated, _step),
        "the same, smoothed by the layer's step between places, or 1/16 of the picture",
    ),
    Method("SmoothGrad", "input", _smooth_grad, "the mean size of the slope amid noise"),
    Method(
        "GuidedBackprop",
        "input",
        _through_relus(_at_input(captum_attr.GuidedBackprop)),
        "gradients, negative ones dropped at each ReLU",
    ),
    Method(
        "Deconvolution",
        "input",
        _through_relus(_at_input(captum_attr.Deconvolution)),
        "gradients, negative ones dropped, whatever was active",
    ),
    Method("Occlusion", "input", _occlusion, "the loss when squares of the input are zero"),
    Method("LRP", "input", _lrp, "the score, handed down layer by layer to the input"),
    Method("LayerLRP", "layer", _layer_lrp, "the score, handed down to the layer's units"),
    Method("CAM", "layer", _cam, "the layer's channels, by their weight in the score"),
    Method("LayerGradCam", "layer", _grad_cam, "channels by their mean slope, negatives dropped"),
    Method("GuidedGradCam", "input", _guided_grad_cam, "GuidedBackprop times LayerGradCam"),
    Method("LayerActivation", "layer", _activation, "what is active, whatever it is used for"),
    Method(
        "LayerGradientXActivation",
        "layer",
        _at_layer(captum_attr.LayerGradientXActivation),
        "the slope at the layer times its activation",
    ),
    Method(
        "LayerConductance",
        "layer",
        _on_path(_at_layer, captum_attr.LayerConductance),
        "the rise of the score that flows through each unit",
    ),
    Method(
        "LayerIntegratedGradients",
        "layer",
        _on_path(_at_layer, captum_attr.LayerIntegratedGradients),
        "the rise of the score along a path of the layer",
    ),
    Method("LayerFeatureAblation", "layer", _ablation, "the loss when places of it are zero"),
)

METHODS = {method.name: method for method in _LISTED}
"""All methods by name, in the order in which they are shown."""
