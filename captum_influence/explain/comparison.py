"""The same question put to many methods: aligned maps, times, and who couldn't answer."""

from __future__ import annotations

import copy
import math
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from captum_influence.attr import Cut, Slice
from captum_influence.canvas import LIGHT, Theme, colour_map, draw_picture, draw_title, empty_figure
from captum_influence.explain.rivals import METHODS, Method, NotApplicable, Question
from captum_influence.visualization import limit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Comparison", "compare"]

Scale = Literal["each", "shared"]


@dataclass(frozen=True, eq=False)
class Comparison:
    """What each method answers.

    Attributes:
        maps: method -> (examples, 1, height, width) at the size of the inputs; entries are summed
            over channels, maps of a layer interpolated bilinearly.
        seconds: method -> wall-clock time, one run, without a warm-up.
        not_applicable: method -> why it has no map.
        notes: method -> the warnings that it gave.
        target: (examples,), the class that was asked about.
        layer: in words.
    """

    maps: Mapping[str, Tensor]
    seconds: Mapping[str, float]
    not_applicable: Mapping[str, str]
    notes: Mapping[str, tuple[str, ...]]
    target: Tensor
    layer: str

    def to_dict(self) -> dict[str, Any]:
        """Return all but the maps' entries as plain values, for JSON."""
        return {
            "layer": self.layer,
            "target": self.target.tolist(),
            "methods": {
                name: {
                    "seconds": self.seconds[name],
                    "shape": list(values.shape),
                    "sum": values.flatten(1).sum(1).tolist(),
                    "notes": list(self.notes.get(name, ())),
                }
                for name, values in self.maps.items()
            },
            "not_applicable": dict(self.not_applicable),
        }

    def plot(
        self,
        picture: Tensor | None = None,
        *,
        example: int = 0,
        scale: Scale = "each",
        theme: Theme = LIGHT,
    ) -> Figure:
        """Draw one example's maps as a grid; orange raises, blue lowers, grey is zero.

        Args:
            picture: (3, height, width) in [0, 1], drawn first.
            example: which one.
            scale: ``"each"``: every map up to its own limit, for where; ``"shared"``: all up to the
                largest, for how much, where methods share a unit. The title says which.
            theme: colours of text and paper.

        Raises:
            ValueError: for another scale.
        """
        if scale not in ("each", "shared"):
            raise ValueError(f'expected scale="each" or scale="shared", got {scale!r}')
        shown = {name: values[example, 0] for name, values in self.maps.items()}
        limits = {name: limit(values) for name, values in shown.items()}
        if scale == "shared" and limits:
            limits = dict.fromkeys(limits, max(limits.values()))
        return _grid(shown, limits, picture, scale, theme)


def compare(
    model: nn.Module,
    inputs: Tensor,
    layer: nn.Module | str | Cut,
    target: int | Sequence[int] | Tensor | None = None,
    methods: Literal["default"] | Sequence[str] = "default",
    *,
    points: int = 25,
    seed: int = 0,
) -> Comparison:
    """Ask many methods why the network scores a class, and align their maps.

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
        seed: of the noise; the global random state is left as found.

    Raises:
        ValueError: if a method isn't known, or the layer isn't in the network.
        TypeError: if the network can't be copied, or a tensor was expected.

    Example:
        >>> from captum_influence.demo import demo_scene, load_demo_network
        >>> image = demo_scene().image[None]
        >>> found = compare(load_demo_network(), image, "relu5", 0, ["influence", "LayerGradCam"])
        >>> found.maps["LayerGradCam"].shape
        torch.Size([1, 1, 64, 64])
    """
    chosen = _chosen(methods)
    question = _question(model, inputs, layer, target, points)
    maps, seconds, reasons, notes = {}, {}, {}, {}
    for method in chosen:
        try:
            maps[method.name], seconds[method.name], said = _answered(method, question, seed)
        except Exception as error:
            reasons[method.name] = " ".join(str(error).split()) or type(error).__name__
        else:
            notes.update({method.name: said} if said else {})
    return Comparison(maps, seconds, reasons, notes, question.target.cpu(), str(question.cut))


def _answered(
    method: Method, question: Question, seed: int
) -> tuple[Tensor, float, tuple[str, ...]]:
    """Return a method's aligned map, how long it took, and what it warned about."""
    own = Question(**{**vars(question), "model": copy.deepcopy(question.model)})
    with warnings.catch_warnings(record=True) as caught, torch.random.fork_rng():
        warnings.simplefilter("always")
        torch.manual_seed(seed)
        _synchronize(question.inputs)
        start = time.perf_counter()
        found = method.run(own)
        _synchronize(question.inputs)
        took = time.perf_counter() - start
    said = tuple(dict.fromkeys(" ".join(str(w.message).split()) for w in caught))
    if isinstance(found, tuple):
        if len(found) != 1:
            raise NotApplicable(f"it returns {len(found)} tensors here: pick one with a Cut")
        found = found[0]
    aligned = _aligned(found.detach(), method.at, question.inputs)
    if not bool(aligned.isfinite().all()):
        raise NotApplicable("its attributions hold NaN or infinity")
    return aligned, took, said


def _aligned(values: Tensor, at: str, inputs: Tensor) -> Tensor:
    """Return a map (examples, 1, height, width) of the inputs' size."""
    size = _size(inputs)
    if at == "input" and values.shape == inputs.shape:
        return values.sum(1, keepdim=True) if values.ndim == 4 else values.reshape(-1, 1, *size)
    if values.ndim == 4:
        pooled = values.sum(1, keepdim=True)
        return interpolate(pooled, size, mode="bilinear", align_corners=False)
    if values.ndim != 3:
        raise NotApplicable(f"a layer of shape {tuple(values.shape)} has no places to draw")
    return _from_tokens(values.sum(2), inputs, size)


def _from_tokens(tokens: Tensor, inputs: Tensor, size: tuple[int, int]) -> Tensor:
    """Lay tokens (examples, tokens) out as a grid, a class token in front left out."""
    count = tokens.shape[1]
    if inputs.ndim == 3 and count == size[0]:  # steps of a sequence: alike for all its features
        return tokens[:, None, :, None].expand(-1, 1, *size)
    for extra in (0, 1):
        across = math.sqrt((count - extra) * size[1] / size[0])
        columns = round(across)
        if inputs.ndim == 4 and columns and math.isclose(across, columns):
            grid = tokens[:, extra:].reshape(len(tokens), 1, -1, columns)
            return interpolate(grid, size, mode="bilinear", align_corners=False)
    raise NotApplicable(f"{count} tokens form no grid over inputs of {size[0]} by {size[1]}")


def _size(inputs: Tensor) -> tuple[int, int]:
    own = tuple(inputs.shape[-2:]) if inputs.ndim > 2 else (1, inputs.shape[-1])
    return int(own[0]), int(own[1])


def _question(
    model: nn.Module, inputs: Tensor, layer: nn.Module | str | Cut, target: Any, points: int
) -> Question:
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
    try:
        copied = copy.deepcopy(model).eval()
    except (RuntimeError, TypeError, AttributeError) as error:
        raise TypeError(f"expected a network that can be copied, got {error}") from error
    for module in copied.modules():
        if getattr(module, "inplace", False):  # Captum's backward hooks fail on these
            setattr(module, "inplace", False)  # noqa: B010  # mypy takes it for a Tensor
    inputs = inputs.detach()
    slice_ = Slice(copied, [cut])
    with slice_.opened(), torch.no_grad():
        reading = slice_.read((slice_.admitted(inputs),), (), cuts=slice_.cuts)
    asked = _classes(reading.output, target, len(inputs))
    return Question(copied, inputs, cut, asked.to(inputs.device), points, reading.cuts[0][0])


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


def _grid(
    maps: Mapping[str, Tensor],
    limits: Mapping[str, float],
    picture: Tensor | None,
    scale: Scale,
    theme: Theme,
) -> Figure:
    panels = len(maps) + (picture is not None)
    across = max(1, min(6, panels))
    down = max(1, -(-panels // across))
    figure = empty_figure(1.75 * across, 2.0 * down + 0.4, theme)
    if picture is not None:
        axes = figure.add_subplot(down, across, 1)
        draw_picture(axes, picture)
        draw_title(axes, "the picture", theme)
    for place, (name, values) in enumerate(maps.items(), start=panels - len(maps) + 1):
        axes = figure.add_subplot(down, across, place)
        end = limits[name]
        shown = values.detach().float().cpu().numpy()
        axes.imshow(shown, cmap=colour_map(), vmin=-end, vmax=end, aspect="auto")
        axes.set_axis_off()
        draw_title(axes, f"{name}\n±{end:.2g}", theme)
    words = "each map has its own scale" if scale == "each" else "one scale for all maps"
    figure.suptitle(words, color=theme.ink, fontsize=10)
    return figure
