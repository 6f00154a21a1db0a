"""The bias study: which training images, through which layers, shape answers under disturbances."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from captum_influence.data.streams import whole_batches
from captum_influence.network.recording import quiet
from captum_influence.training.bias.differences import Difference, difference
from captum_influence.training.bias.result import (
    ALL_LAYERS,
    BiasReport,
    GroupFinding,
    Ranked,
    ShownImage,
)
from captum_influence.training.bias.retraining import RetrainingResult
from captum_influence.training.bias.shapley import Shapley
from captum_influence.training.layer_influence import LayerInfluence
from captum_influence.training.losses import ExampleLoss
from captum_influence.training.scoring import LayerScores

__all__ = ["bias_report"]

SHOWN = 8  # examples of a group


def bias_report(
    influence: LayerInfluence,
    groups: Mapping[str, Sequence[Any]],
    *,
    top: int = 6,
    predicted: bool = True,
    shapley: Shapley | None = None,
    display: Callable[[Any], Tensor | None] | None = None,
    retrainings: Sequence[RetrainingResult] = (),
    notes: Sequence[str] = (),
    class_names: Mapping[int, str] | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    show_progress: bool = False,
) -> BiasReport:
    """Compare the influence of training images on an original group and disturbed ones.

    To find a planted bias, build `influence` with `normalize="self"` and
    `test_loss_fn=log_odds_loss`, and ask of examples whose answer the disturbance changes.

    Args:
        influence: which model, training data, layers, loss and curvature.
        groups: name -> batch `(*inputs, targets)`; the first is the original.
        top: how many images to list each way.
        predicted: ask for the model's own answers instead of the targets given.
        shapley: how to compute maps of the listed images; `None`: none.
        display: one training input -> picture (channels, height, width) in [0, 1].
        retrainings: results of `retrain_and_measure`, to be shown too.
        notes: sentences to be shown above all else.
        class_names: names of the targets.
        confidence: of the intervals.
        seed: of the resampling.
        show_progress: show bars.
    """
    _check(groups, top, confidence)
    asked = {name: _asked(influence, group, predicted=predicted) for name, group in groups.items()}
    scores, display = _scored(influence, asked, show_progress), display or _picture
    found = {
        name: _finding(name, influence, batch, scores[name], top) for name, batch in asked.items()
    }
    findings = tuple(
        replace(finding, pictures=_examples(asked[name], display))
        for name, (finding, _) in found.items()
    )
    return BiasReport(
        tuple(influence.layers),
        findings,
        _differences({name: values for name, (_, values) in found.items()}, confidence, seed),
        _shown(influence, _listed(findings), shapley, display, class_names or {}),
        influence.normalize == "self",
        tuple(retrainings),
        scores,
        tuple(notes),
    )


def _scored(
    influence: LayerInfluence, asked: Mapping[str, tuple[Any, ...]], show_progress: bool
) -> dict[str, LayerScores]:
    """Every group's scores, from one pass over the training data."""
    every = influence.scores(whole_batches(list(asked.values())), show_progress)
    found, start = {}, 0
    for name, batch in asked.items():
        end = start + len(batch[-1])
        found[name], start = every.rows(slice(start, end)), end
    return found


def _differences(
    per_example: Mapping[str, Mapping[str, Tensor]], confidence: float, seed: int
) -> tuple[Difference, ...]:
    """Every group against the first, in every quantity."""
    original, *others = per_example
    return tuple(
        difference(name, quantity, per_example[original][quantity], values, confidence, seed)
        for name in others
        for quantity, values in per_example[name].items()
    )


def _check(groups: Mapping[str, Sequence[Any]], top: int, confidence: float) -> None:
    if not groups or top < 1 or not 0 < confidence < 1:
        raise ValueError(
            "expected at least one group, top of at least 1 and confidence between 0 and 1, got "
            f"{len(groups)} groups, top={top}, confidence={confidence}"
        )


def _asked(influence: LayerInfluence, group: Sequence[Any], *, predicted: bool) -> tuple[Any, ...]:
    """The group's batch, with the model's answers as targets if they are asked for."""
    *inputs, _ = group
    if not predicted:
        return tuple(group)
    with influence.weights_loaded(), torch.no_grad(), quiet(influence.model):
        return (*inputs, influence.model(*inputs).argmax(1))


def _finding(
    name: str,
    influence: LayerInfluence,
    batch: tuple[Any, ...],
    scores: LayerScores,
    top: int,
) -> tuple[GroupFinding, dict[str, Tensor]]:
    """A group's finding, and its losses and strengths example by example."""
    keys: dict[str, str | None] = {ALL_LAYERS: None} | {n: n for n in influence.layers}
    helpful, harmful, values = {}, {}, {"loss": _losses(influence, batch)}
    for key, layer in keys.items():
        mean = scores.of(layer, normalized=influence.normalize == "self").mean(0)
        helpful[key], harmful[key] = _ranked(mean, top, True), _ranked(mean, top, False)
        values[f"influence strength, {key}"] = scores.of(layer, normalized=False).abs().sum(1)
    strength = {key: float(values[f"influence strength, {key}"].mean()) for key in keys}
    loss = values["loss"]
    return GroupFinding(name, len(loss), float(loss.mean()), helpful, harmful, strength), values


def _examples(
    batch: tuple[Any, ...], display: Callable[[Any], Tensor | None]
) -> tuple[Tensor, ...]:
    """Pictures of a group's first examples."""
    found = (display(one) for one in batch[0][:SHOWN])
    return tuple(picture.detach().cpu() for picture in found if picture is not None)


def _ranked(scores: Tensor, top: int, largest: bool) -> Ranked:
    best = scores.topk(min(top, len(scores)), largest=largest)
    return Ranked(tuple(best.indices.tolist()), tuple(best.values.tolist()))


def _losses(influence: LayerInfluence, batch: tuple[Any, ...]) -> Tensor:
    *inputs, target = batch
    with influence.weights_loaded(), torch.no_grad(), quiet(influence.model):
        return ExampleLoss(influence.loss_fn)(influence.model(*inputs), target)


def _listed(findings: Sequence[GroupFinding]) -> list[int]:
    ranked = [r for g in findings for side in (g.helpful, g.harmful) for r in side.values()]
    return sorted({index for one in ranked for index in one.indices})


def _shown(
    influence: LayerInfluence,
    indices: Sequence[int],
    shapley: Shapley | None,
    display: Callable[[Any], Tensor | None],
    names: Mapping[int, str],
) -> dict[int, ShownImage]:
    dataset: Any = getattr(influence.train_dataset, "dataset", influence.train_dataset)
    found = {}
    for index in indices:
        item = dataset[index]
        game = None if shapley is None else _map(influence.model, item, shapley)
        target = item[-1]
        plain = target.item() if isinstance(target, Tensor) and target.numel() == 1 else target
        label = names.get(plain, str(plain)) if isinstance(plain, int) else str(plain)
        found[index] = ShownImage(index, label, display(item[0]), game)
    return found


def _map(model: Module, item: Sequence[Any], shapley: Shapley) -> Tensor:
    target = torch.as_tensor(item[-1]).reshape(1)
    return shapley.maps(model, item[0].unsqueeze(0), target)[0]


def _picture(value: Any) -> Tensor | None:
    """A tensor of one or three channels, stretched to [0, 1]; nothing for other inputs."""
    if not isinstance(value, Tensor) or value.ndim != 3 or len(value) not in (1, 3):
        return None
    value = value.detach().float().cpu()
    picture: Tensor = (value - value.min()) / (value.max() - value.min()).clamp(min=1e-6)
    return picture
