"""The same question put to many methods: aligned maps, times, scores, and who couldn't answer."""

from __future__ import annotations

import copy
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from captum_influence.methods.alignment import aligned
from captum_influence.methods.catalogue import METHODS, Method, NotApplicable, Question
from captum_influence.methods.result import Comparison
from captum_influence.network.cuts import Cut
from captum_influence.network.slices import Slice
from captum_influence.network.tracing import out_of_place
from captum_influence.units.geometry import Geometry

if TYPE_CHECKING:
    pass

__all__ = ["Score", "compare"]

Score = Callable[[nn.Module, Tensor, Tensor, Tensor], Tensor]
"""Given a network, inputs, target classes and maps (examples, 1, ...): (examples,)."""


def compare(
    model: nn.Module,
    inputs: Tensor,
    layer: nn.Module | str | Cut,
    target: int | Sequence[int] | Tensor | None = None,
    methods: Literal["default"] | Sequence[str] = "default",
    *,
    points: int = 25,
    scores: Mapping[str, Score] | None = None,
    seed: int = 0,
    show_progress: bool = False,
) -> Comparison:
    """Ask many methods why the network scores a class, align their maps, and score them.

    Methods run one by one on a deep copy in eval mode, so that the network is left as found. One
    that fails, or would be silently wrong, is listed with its reason; none stops the others.

    Args:
        model: the network, with scores (examples, classes).
        inputs: (examples, channels, height, width); sequences (examples, steps, features) and rows
            (examples, features) count as pictures of that size, or of one line.
        layer: where layer methods look.
        target: a class, one per example, or None: the predicted one.
        methods: names out of ``rivals.METHODS``; ``"default"``: all.
        points: of paths, and draws of noise.
        scores: what maps are scored by, by name; ``captum_influence.metrics`` has
            ``FlippingScore`` and ``LocalizationScore``. A map of noise is scored beside them.
        seed: of the noise; the global random state is left as found.
        show_progress: show progress bars, one over the methods and one over the scores.

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
    chosen = _chosen(methods)
    question, output = _question(model, inputs, layer, target, points)
    geometry = _geometry(question)
    maps, units, seconds, reasons, notes = {}, {}, {}, {}, {}
    for method in tqdm(chosen, "methods", disable=not show_progress, unit="method"):
        try:
            found, seconds[method.name], said = _answered(method, question, seed)
            values = _tensor(found)
            maps[method.name] = _laid(values, method, question, geometry)
        except Exception as error:
            reasons[method.name] = " ".join(str(error).split()) or type(error).__name__
            seconds.pop(method.name, None)
        else:
            notes.update({method.name: said} if said else {})
            if method.at == "layer" and values.shape == question.units.shape:
                units[method.name] = values
    by_score, chance = _scored(scores or {}, maps, question, seed, show_progress)
    settings = {"points": points, "seed": seed}
    target, words = question.target.cpu(), str(question.cut)
    found = (maps, seconds, reasons, notes, target, words, output.cpu(), by_score, chance)
    return Comparison(*found, geometry=geometry, settings=settings, units=units)


def _answered(method: Method, question: Question, seed: int) -> tuple[Any, float, tuple[str, ...]]:
    """Return what a method finds, how long it took, and what it warned about."""
    own = Question(**{**vars(question), "model": copy.deepcopy(question.model)})
    with warnings.catch_warnings(record=True) as caught, torch.random.fork_rng():
        warnings.simplefilter("always")
        warnings.filterwarnings("ignore", "Setting (forward, )?backward hooks")  # on our copy
        torch.manual_seed(seed)
        _synchronize(question.inputs)
        start = time.perf_counter()
        found = method.run(own)
        _synchronize(question.inputs)
        took = time.perf_counter() - start
    said = tuple(dict.fromkeys(" ".join(str(w.message).split()) for w in caught))
    return found, took, said


def _tensor(found: Any) -> Tensor:
    """Return the one tensor that a method found."""
    if isinstance(found, tuple):
        if len(found) != 1:
            raise NotApplicable(f"it returns {len(found)} tensors here: pick one with a Cut")
        found = found[0]
    values: Tensor = found.detach()
    return values


def _laid(values: Tensor, method: Method, question: Question, geometry: Geometry | None) -> Tensor:
    """Return finite attributions, laid on the inputs."""
    laid = aligned(values, method.at, question.inputs, geometry)
    if not bool(laid.isfinite().all()):
        raise NotApplicable("its attributions hold NaN or infinity")
    return laid


def _scored(
    scores: Mapping[str, Score],
    maps: Mapping[str, Tensor],
    question: Question,
    seed: int,
    show_progress: bool,
) -> tuple[dict[str, dict[str, Tensor]], dict[str, Tensor]]:
    """Return score -> method -> (examples,), and score -> what noise gets."""
    by_score: dict[str, dict[str, Tensor]] = {}
    chance = {}
    if not maps:
        return {}, {}
    like = next(iter(maps.values()))
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(like.shape, generator=generator).to(like)
    for name, score in scores.items():
        found = {}
        scored = {**maps, "": noise}.items()
        for method, values in tqdm(scored, name, disable=not show_progress, unit="map"):
            one = score(question.model, question.inputs, question.target, values).detach().cpu()
            if one.shape != (len(values),):
                raise ValueError(
                    f"expected the score {name!r} to return one number for each of {len(values)} "
                    f"examples, got shape {tuple(one.shape)}"
                )
            found[method] = one
        chance[name] = found.pop("")
        by_score[name] = found
    return by_score, chance


def _geometry(question: Question) -> Geometry | None:
    """Return where the layer's places look, if it has any and they can be followed."""
    if question.inputs.ndim != 4 or question.units.ndim != 4:
        return None
    try:
        return Geometry.of(question.model, question.inputs, question.cut)
    except ValueError:
        return None


def _question(
    model: nn.Module, inputs: Tensor, layer: nn.Module | str | Cut, target: Any, points: int
) -> tuple[Question, Tensor]:
    if not isinstance(inputs, Tensor) or inputs.ndim not in (2, 3, 4):
        raise TypeError(
            "expected inputs as one tensor (examples, channels, height, width), (examples, steps, "
            f"features) or (examples, features), got {getattr(inputs, 'shape', type(inputs))}"
        )
    if points < 1:
        raise ValueError(f"expected a positive number of points, got {points}")
    found = Cut.ensure(layer).within(model)
    name = next(n for n, m in model.named_modules(remove_duplicate=False) if m is found.module)
    cut = Cut(name, found.side, call=found.call, select=found.select)
    copied, inputs = out_of_place(model), inputs.detach()  # Captum's hooks fail on in-place ones
    slice_ = Slice(copied, [cut])
    with slice_.opened(), torch.no_grad():
        reading = slice_.read((slice_.admitted(inputs),), (), cuts=slice_.cuts)
    asked = _classes(reading.output, target, len(inputs)).to(inputs.device)
    output = reading.output.gather(1, asked[:, None])[:, 0]
    return Question(copied, inputs, cut, asked, points, reading.cuts[0][0]), output


def _classes(scores: Any, target: Any, examples: int) -> Tensor:
    if not isinstance(scores, Tensor) or scores.ndim != 2:
        raise TypeError(
            "expected a network with scores (examples, classes), got "
            f"{tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__}"
        )
    asked = scores.argmax(1) if target is None else torch.as_tensor(target).long().reshape(-1)
    asked = asked.expand(examples) if len(asked) == 1 else asked
    if len(asked) != examples or bool(((asked < 0) | (asked >= scores.shape[1])).any()):
        raise ValueError(
            f"expected one class, or one for each of {examples} examples, from 0 to "
            f"{scores.shape[1] - 1}; got {target!r}"
        )
    return asked


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
