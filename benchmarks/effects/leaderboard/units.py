"""Rankings of units, held against what removing them does."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Any

import torch
from captum.attr import (
    LayerActivation,
    LayerConductance,
    LayerFeatureAblation,
    LayerGradientXActivation,
    LayerIntegratedGradients,
)
from torch import Tensor, nn

from captum_influence import DistributionalInfluence, Expert, LinearPath, Point
from captum_influence.attr import Midpoint
from captum_influence.demo import (
    CLASSES,
    PLANTED,
    Scene,
    handwired_networks,
    load_shortcut_network,
    misled_scenes,
)
from captum_influence.metrics import Orderings, ablate_units, spearman, unit_orderings

POINTS, FIRST, REMOVED = 25, 5, (5, 10, 16)
CHANGE = "influence, path × change"
HOUSE = CLASSES.index(PLANTED.class_name)
Scores = dict[str, float]
Ranker = Callable[[], Tensor]


def rankers(
    model: nn.Module, layer: str, inputs: Tensor, target: int | Sequence[int], points: int = POINTS
) -> dict[str, Ranker]:
    """Return what gives units a value: method -> () -> (examples, units)."""
    leaf, module = inputs.clone().requires_grad_(), model.get_submodule(layer)
    asked = target if isinstance(target, int) else torch.tensor(target)
    path = LinearPath(0, points, Midpoint())

    def ours(distribution: Any, multiply: bool) -> Ranker:
        method = DistributionalInfluence(
            model, layer, distribution=distribution, multiply_by_inputs=multiply
        )
        return lambda: pooled(method.attribute(inputs, target=asked))

    def theirs(method: Any, **settings: Any) -> Ranker:
        return lambda: pooled(method(model, module).attribute(leaf, **settings))

    return {
        "influence, point": ours(Point(), False),
        "influence, path": ours(path, False),
        "influence, point × change": ours(Point(), True),
        CHANGE: ours(path, True),
        "LayerGradientXActivation": theirs(LayerGradientXActivation, target=asked),
        "LayerIntegratedGradients": theirs(LayerIntegratedGradients, target=asked, n_steps=points),
        "LayerConductance": theirs(LayerConductance, target=asked, n_steps=points),
        "LayerActivation": theirs(LayerActivation),
    }


def pooled(values: Tensor) -> Tensor:
    """Sum over the places of each unit: (examples, units)."""
    return values.detach().flatten(2).sum(2) if values.ndim > 2 else values.detach()


def ordering_scores(ordered: Orderings) -> Scores:
    """Return medians over pictures: one that hardly adds to the empty input has huge shares."""
    scores = {
        "N-Ord": ordered.n_ord,
        "S-Ord": ordered.s_ord,
        "TPN": ordered.tpn,
        "TPS": ordered.tps,
    }
    return {name: float(values.nanmedian()) for name, values in scores.items()}


def by_algebra() -> dict[str, Scores]:
    """Return each method's mean rank correlation with exact ablation on hand-wired networks."""
    found: dict[str, Scores] = {}
    for name, wired in handwired_networks().items():
        exact = ablate_units(wired.model, wired.inputs, wired.layer, wired.target)
        ask = rankers(wired.model, wired.layer, wired.inputs, wired.target, points=100)
        for method, values in ask.items():
            found.setdefault(method, {})[name] = float(exact.spearman(values()).nanmean())
    return found


def by_removal(
    model: nn.Module, layer: str, images: Tensor, *, seed: int, steps: int = 24
) -> dict[str, Scores]:
    """Return each method's scores on the network's own answers, zero in a removed unit's place."""
    with torch.no_grad():
        said = model(images).argmax(1).tolist()
    exact = ablate_units(model, images, layer, said)
    found = {}
    for method, values in {**rankers(model, layer, images, said), **_chance(exact, seed)}.items():
        ranking = values()
        ordered = unit_orderings(model, images, layer, said, ranking, steps=steps)
        found[method] = {
            "Spearman": float(exact.spearman(ranking).nanmean()),
            **ordering_scores(ordered),
        }
    return found


def by_shortcut(layer: str, *, seed: int, count: int) -> dict[str, Scores]:
    """Say whether rankings name the units through which the fence acts, and right the answer.

    All are asked about score(wrong) − score(right). The truth is an experiment, unit by unit: what
    is lost of that difference if the unit says what it says of the same scene without the fence.
    """
    scenes = misled_scenes(load_shortcut_network(), count, seed=seed)
    found = [_of_scene(scene, layer, seed + 1000 * i) for i, scene in enumerate(scenes)]
    return {
        method: {key: fmean(each[method][key] for each in found) for key in found[0][method]}
        for method in found[0]
    }


def _of_scene(scene: Scene, layer: str, seed: int) -> dict[str, Scores]:
    image, model = scene.image[None], load_shortcut_network()
    asked, name = contrast(model, scene.label), f"network.{layer}"
    effect = _effects_of_fence(asked, name, image, scene.with_shortcut(False).image[None])
    raised = effect.clamp(min=0)
    total = raised.sum()
    generator = torch.Generator().manual_seed(seed)
    ask = rankers(asked, name, image, 0)
    ask[f"{CHANGE}, of the wrong class alone"] = rankers(model, layer, image, HOUSE)[CHANGE]
    ask["random"] = lambda: torch.rand(effect.shape, generator=generator)
    ask["the experiment itself"] = lambda: effect
    found = {}
    for method, values in ask.items():
        ranking = values()
        first = ranking.argsort(dim=1, descending=True)[:, :FIRST]
        order = ranking[0].argsort(descending=True).tolist()
        right = {k: _answer(model, layer, image, order[:k]) == scene.label for k in REMOVED}
        found[method] = {
            "Spearman with the fence's effect": float(spearman(ranking, effect)),
            f"effect through the first {FIRST}": float(raised.gather(1, first).sum() / total),
            **{f"right without {k}": float(yes) for k, yes in right.items()},
        }
    return found


def _answer(model: nn.Module, layer: str, image: Tensor, units: list[int]) -> int:
    with torch.no_grad():
        return int(Expert(model, layer, units, "remove")(image).argmax())


def contrast(model: nn.Module, label: int) -> nn.Module:
    """Return a network with one score, score(house) − score(label); ``model`` is ``network``."""
    last = nn.Linear(len(CLASSES), 1, bias=False)
    with torch.no_grad():
        last.weight.zero_()
        last.weight[0, HOUSE], last.weight[0, label] = 1.0, -1.0
    return nn.Sequential(OrderedDict(network=model, contrast=last)).eval()


def _effects_of_fence(model: nn.Module, layer: str, image: Tensor, bare: Tensor) -> Tensor:
    """Return what is lost as each unit alone is taken from the scene without, (1, units)."""
    module = model.get_submodule(layer)
    other = LayerActivation(model, module).attribute(bare).detach()
    units = torch.arange(other.shape[1]).reshape(1, -1, 1, 1).expand_as(other[:1])
    found = LayerFeatureAblation(model, module).attribute(
        image, layer_baselines=other, layer_mask=units, target=0
    )
    return found[:, :, 0, 0].detach()


def _chance(exact: Any, seed: int) -> dict[str, Ranker]:
    generator = torch.Generator().manual_seed(seed)
    return {"random": lambda: torch.rand(exact.effects.shape, generator=generator)}
