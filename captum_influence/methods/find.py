"""The same question put to many methods: aligned maps, times, scores, and who couldn't answer."""

from __future__ import annotations

import copy
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from typing_extensions import TypedDict, Unpack

from captum_influence.attr.run import Run
from captum_influence.data.bars import progress
from captum_influence.data.labels import Names
from captum_influence.methods.alignment import aligned
from captum_influence.methods.catalogue import METHODS, Method, MethodQuestion, NotApplicable
from captum_influence.methods.result import Comparison
from captum_influence.metrics.blobs import centre_prior
from captum_influence.network.cuts import Cut, layer_name, refuse_basis
from captum_influence.network.inputs import examples_of, network_of
from captum_influence.network.outline import last_with_places
from captum_influence.network.outputs import Output, answering, tensor_of
from captum_influence.network.slices import Slice
from captum_influence.network.tracing import out_of_place
from captum_influence.reports.asked import Asked
from captum_influence.reports.display import Display
from captum_influence.reports.many.find import of_many
from captum_influence.reports.shown import Shown
from captum_influence.units.axes import Axis
from captum_influence.units.geometry import Geometry
from captum_influence.units.given import GivenInput, GivenLike, are_ids
from captum_influence.units.options import check_options, collected
from captum_influence.units.shown.choice import pictures_of
from captum_influence.units.shown.texts import TextDisplay
from captum_influence.units.targets import numbered

__all__ = ["CompareOptions", "Score", "compare"]

Score = Callable[[nn.Module, Tensor, Tensor, Tensor], Tensor]
"""Given a network, inputs, target classes and maps (examples, 1, ...): (examples,)."""

ClassLike = int | str


class CompareOptions(TypedDict, total=False):
    """What :func:`compare` takes by keyword, out of :class:`Shown` and :class:`Run`.

    ``example`` is which of several inputs the figure and the page show; 0 if nothing is said.
    """

    class_names: Names
    display: Callable[[Tensor], Tensor | Display] | None
    picture: Tensor | None
    tokenizer: Any
    shown: Shown
    internal_batch_size: int | None
    seed: int
    show_progress: bool
    output: Output
    run: Run
    example: int


@of_many(each="target")
def compare(
    model: nn.Module,
    inputs: GivenLike,
    layer: nn.Module | str | Cut | None = None,
    target: ClassLike | Sequence[ClassLike] | Tensor | None = None,
    methods: Literal["default"] | Sequence[str] = "default",
    *,
    points: int = 25,
    scores: Mapping[str, Score] | None = None,
    **options: Unpack[CompareOptions],
) -> Comparison:
    """Ask many methods why the network scores a class, align their maps, and score them.

    Methods run one by one on a deep copy in eval mode, so that the network is left as found. One
    that fails, or would be silently wrong, is listed with its reason; none stops the others.

    Args:
        model: the network, with scores (examples, classes).
        inputs: (examples, channels, height, width), or one picture without the examples; sequences
            (examples, steps, features) and rows (examples, features) count as pictures of that
            size, or of one line. Of a text, its token ids or what a tokenizer returns: methods are
            asked about what embeds the tokens, (1, tokens, features).
        layer: where layer methods look; None: the last layer with several places for each channel.
        target: a class, by number or name, or one per example; None: the predicted one.
        methods: names out of ``catalogue.METHODS``; ``"default"``: all.
        points: of paths, and draws of noise.
        scores: what maps are scored by, by name; ``captum_influence.metrics`` has
            ``FlippingScore`` and ``LocalizationScore``. Beside them a map of noise is scored, and
            for pictures a blob in the middle.
        options: ``class_names``, ``display`` or ``picture``, the ``seed`` of the noise (the global
            random state is left as found), ``show_progress``, ``example``; see
            :class:`CompareOptions`.

    Raises:
        ValueError: if a method isn't known, the layer isn't in the network, or a score isn't one
            number per example.
        TypeError: if the network can't be copied, or a tensor was expected.

    Example:
        >>> from captum_influence.demo import demo_scene, load_demo_network
        >>> image = demo_scene().image[None]
        >>> found = compare(load_demo_network(), image, "relu5", 0, ["influence", "LayerGradCam"])
        >>> found.maps["LayerGradCam"].shape
        torch.Size([1, 1, 64, 64])
    """
    asked = Asked.of(compare, locals())
    given, layer, run = _told(model, inputs, layer, options)
    question, output = _question(given, layer, target, points, run)
    geometry, example = _geometry(question), _example(question.inputs, options)
    answers, reasons = _answers(_chosen(methods), question, geometry, run)
    marks = _marks(scores or {}, answers, question, run)
    return Comparison(
        asked=asked,
        network=type(given.network).__name__,
        layer=layer_name(given.network, question.cut),
        channels=_in_words(question),
        target=question.target.cpu(),
        names=tuple(given.shown.name(number) for number in question.target.tolist()),
        output=output.gather(1, question.target[:, None])[:, 0].cpu(),
        maps={name: answer.map for name, answer in answers.items()},
        units={name: a.units for name, a in answers.items() if a.units is not None},
        seconds={name: answer.seconds for name, answer in answers.items()},
        notes={name: answer.notes for name, answer in answers.items() if answer.notes},
        not_applicable=reasons,
        scores={name: mark.of_maps for name, mark in marks.items()},
        chance={name: mark.of_noise for name, mark in marks.items()},
        prior={name: mark.of_blob for name, mark in marks.items() if mark.of_blob is not None},
        geometry=geometry,
        pictures=pictures_of(question.inputs, given.shown),
        example=example,
        points=points,
        seed=run.seed,
        tokens=_tokens(given),
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class _Answer:
    """What one method answered.

    Attributes:
        map: (examples, 1, height, width), laid on the inputs.
        units: what each unit of the layer gets; None if the method doesn't say.
        seconds: how long it took.
        notes: what it warned about.
    """

    map: Tensor
    units: Tensor | None
    seconds: float
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class _Mark:
    """What one score gives to each method's map, and to the controls: (examples,)."""

    of_maps: Mapping[str, Tensor]
    of_noise: Tensor
    of_blob: Tensor | None  # None of what is no picture, and has no middle


def _answers(
    methods: Sequence[Method], question: MethodQuestion, geometry: Geometry | None, run: Run
) -> tuple[dict[str, _Answer], dict[str, str]]:
    """Return each method's answer, and why each of the others has none."""
    answers, reasons = {}, {}
    for method in progress(methods, "methods", unit="method", show=run.show_progress):
        try:
            answers[method.name] = _answer(method, question, geometry, run)
        except Exception as error:  # whatever a method raises, none stops the others
            reasons[method.name] = " ".join(str(error).split()) or type(error).__name__
    return answers, reasons


def _answer(
    method: Method, question: MethodQuestion, geometry: Geometry | None, run: Run
) -> _Answer:
    own = replace(question, model=copy.deepcopy(question.model))
    with warnings.catch_warnings(record=True) as caught, run.seeded():
        warnings.simplefilter("always")
        warnings.filterwarnings("ignore", "Setting (forward, )?backward hooks")  # on our copy
        _synchronize(question.inputs)
        start = time.perf_counter()
        found = method.run(own)
        _synchronize(question.inputs)
        took = time.perf_counter() - start
    values = _tensor(found)
    laid = aligned(values, method.at, question.inputs, geometry, question.channel)
    if not bool(laid.isfinite().all()):
        raise NotApplicable("its attributions hold NaN or infinity")
    of_units = method.at == "layer" and values.shape == question.units.shape
    return _Answer(
        map=laid,
        units=values if of_units else None,
        seconds=took,
        notes=tuple(dict.fromkeys(" ".join(str(w.message).split()) for w in caught)),
    )


def _tensor(found: Any) -> Tensor:
    """Return the one tensor that a method found."""
    if isinstance(found, tuple):
        if len(found) != 1:
            raise NotApplicable(f"it returns {len(found)} tensors here: pick one with a Cut")
        found = found[0]
    values: Tensor = found.detach()
    return values


def _marks(
    scores: Mapping[str, Score],
    answers: Mapping[str, _Answer],
    question: MethodQuestion,
    run: Run,
) -> dict[str, _Mark]:
    """Return what each score gives to the maps, to a map of noise, and to a blob in the middle."""
    if not answers:
        return {}
    maps = [answer.map for answer in answers.values()]
    generator = torch.Generator().manual_seed(run.seed)
    controls = [torch.randn(maps[0].shape, generator=generator).to(maps[0])]
    if question.inputs.ndim == 4:
        height, width = maps[0].shape[-2:]
        controls.append(centre_prior(height, width).expand_as(maps[0]).to(maps[0]))
    found = {}
    for name, score in scores.items():
        rated = progress([*maps, *controls], name, unit="map", show=run.show_progress)
        marks = [_scored(name, score, question, values) for values in rated]
        own, of_noise, of_blob = marks[: len(maps)], marks[len(maps)], marks[len(maps) + 1 :]
        found[name] = _Mark(
            of_maps=dict(zip(answers, own, strict=True)),
            of_noise=of_noise,
            of_blob=of_blob[0] if of_blob else None,
        )
    return found


def _scored(name: str, score: Score, question: MethodQuestion, values: Tensor) -> Tensor:
    found = score(question.model, question.inputs, question.target, values).detach().cpu()
    if found.shape != (len(values),):
        raise ValueError(
            f"expected the score {name!r} to return one number for each of {len(values)} "
            f"examples, got shape {tuple(found.shape)}"
        )
    return found


def _geometry(question: MethodQuestion) -> Geometry | None:
    """Return where the layer's places look, if it has any and they can be followed."""
    if question.inputs.ndim != 4 or question.units.ndim != 4 or question.channel != 1:
        return None
    try:
        return Geometry.of(question.model, question.inputs, question.cut)
    except ValueError:
        return None


def _told(
    model: nn.Module, inputs: GivenLike, layer: nn.Module | str | Cut | None, options: Any
) -> tuple[GivenInput, str | Cut | nn.Module | None, Run]:
    """Return the inputs as floats, the layer of the network that takes them, and how it is run."""
    check_options("compare", options, CompareOptions)
    shown: Shown = collected("compare", "shown", Shown, options)
    run: Run = collected("compare", "run", Run, options)
    network = network_of(model, run.output)
    if isinstance(inputs, Mapping) or are_ids(network, inputs):
        named = layer if layer is None else Cut.ensure(layer).by_name(network)  # it is of a copy
        return GivenInput.of(model, inputs, shown, run.output).embedded(), named, run
    if not isinstance(inputs, Tensor) or inputs.ndim not in (2, 3, 4):
        raise TypeError(
            "expected inputs as one tensor (examples, channels, height, width), (examples, steps, "
            "features) or (examples, features), or a text as its tokenizer returns it, got "
            f"{getattr(inputs, 'shape', type(inputs))}"
        )
    return GivenInput(network=network, inputs=inputs, shown=shown), layer, run


def _tokens(given: GivenInput) -> tuple[str, ...]:
    """Return the texts of the tokens that were given; of anything else none."""
    ids = given.named.get(given.name)
    if not isinstance(ids, Tensor) or ids.is_floating_point():
        return ()
    return TextDisplay.of(ids.reshape(-1), given.shown.tokenizer).tokens


def _example(inputs: Tensor, options: CompareOptions) -> int:
    """Return which example is shown."""
    example = options.get("example", 0)
    if not 0 <= example < len(inputs):
        raise ValueError(f"expected example= from 0 to {len(inputs) - 1}, got {example}")
    return example


def _question(
    given: GivenInput, layer: nn.Module | str | Cut | None, target: Any, points: int, run: Run
) -> tuple[MethodQuestion, Tensor]:
    """Return the question, put to a copy of the network, and the copy's scores."""
    if points < 1:
        raise ValueError(f"expected a positive number of points, got {points}")
    network, inputs = given.network, examples_of(given.network, given.inputs)
    target = numbered(given.numbered(target), given.shown.class_names)
    named = last_with_places(network, inputs[:1]) if layer is None else layer
    cut = Cut.ensure(named).by_name(network)
    refuse_basis(cut, "compare")
    copied, inputs = out_of_place(network), inputs.detach()  # Captum's hooks fail on in-place ones
    slice_ = Slice(copied, [cut])
    with slice_.opened():
        reading = slice_.read((slice_.admitted(inputs),), (), cuts=slice_.cuts)
    if not isinstance(reading.output, Tensor):
        copied = answering(copied)  # which Captum can ask
    scores = tensor_of(reading.output)
    question = MethodQuestion(
        model=copied,
        inputs=inputs,
        cut=cut,
        target=_classes(scores, target, len(inputs)),
        units=reading.cuts[0][0],
        channel=_channel(copied, cut, inputs, reading.cuts[0][0]),
        points=points,
        internal_batch_size=run.internal_batch_size,
    )
    return question, scores


def _channel(model: nn.Module, cut: Cut, inputs: Tensor, units: Tensor) -> int | None:
    """Return which dimension of a layer counts channels; None: it isn't clear."""
    try:
        axis = Axis.at("channel", tuple(units.shape[1:]), None, model, cut, inputs)
    except ValueError:
        return None
    return 1 + axis.keep[0]


def _in_words(question: MethodQuestion) -> str:
    if question.channel is None:
        return ""
    shape = tuple(question.units.shape[1:])
    return Axis.ensure("channel", shape, channel=question.channel).in_words()


def _classes(scores: Tensor, target: Any, examples: int) -> Tensor:
    if scores.ndim != 2:
        raise TypeError(
            f"expected a network with scores (examples, classes), got {tuple(scores.shape)}: turn "
            "what it returns into scores with output=, a function"
        )
    asked = scores.argmax(1) if target is None else torch.as_tensor(target).long().reshape(-1)
    asked = asked.expand(examples) if len(asked) == 1 else asked
    if len(asked) != examples or bool(((asked < 0) | (asked >= scores.shape[1])).any()):
        raise ValueError(
            f"expected one class, or one for each of {examples} examples, from 0 to "
            f"{scores.shape[1] - 1}; got {target!r}"
        )
    return asked.to(scores.device)


def _chosen(methods: str | Sequence[str]) -> list[Method]:
    names = list(METHODS) if methods == "default" else list(methods)
    unknown = [name for name in names if name not in METHODS]
    if (isinstance(methods, str) and methods != "default") or unknown:
        raise ValueError(
            f'expected "default" or a list out of {", ".join(METHODS)}; got {methods!r}'
        )
    return [METHODS[name] for name in names]


def _synchronize(inputs: Tensor) -> None:
    if inputs.is_cuda:
        torch.cuda.synchronize(inputs.device)
