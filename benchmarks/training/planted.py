"""``python -m benchmarks.training.planted``: are the images that taught a shortcut found?

Half of one class of 600 digits carry a texture, style or background. The training images are ranked
by influence on the answers to test images that the same disturbance changes: the share of planted
ones among the first 20, of each layer alone and of all. Beside it, what finds them without
influence: any image of the class that is answered (a half), and those whose features are nearest.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from benchmarks.training.digits import TRAIN, accuracy, digits, fit, run_studies, study_parser
from captum_influence import LayerInfluence
from captum_influence.training import (
    AmplitudeSwap,
    ChannelStatistics,
    NoiseBackground,
    log_odds_loss,
)


def convolutional(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(),
        nn.Conv2d(12, 24, 3, padding=1, stride=2), nn.ReLU(),
        nn.Conv2d(24, 24, 3, padding=1, stride=2), nn.ReLU(),
        nn.Flatten(), nn.Linear(24 * 16, 10),
    )  # fmt: skip


def as_images(x: Tensor) -> Tensor:
    """Digits as (n, 1, 16, 16), dimmed so that a disturbance has room above and below."""
    images = x.reshape(-1, 1, 8, 8)
    return 0.1 + 0.6 * nn.functional.interpolate(images, scale_factor=2, mode="bilinear")


def disturbed(kind: str, images: Tensor, seed: int) -> Tensor:
    """The images with texture, style or background as the planted property has it."""
    masks = (images > 0.3).float()
    axis = torch.arange(16)
    if kind == "texture":
        stripes = ((axis[:, None] + axis) % 4 < 2).float().expand_as(images)
        return AmplitudeSwap(above=0.15, seed=seed)(images, masks, stripes)
    if kind == "style":
        bright = (0.75 + 0.08 * torch.linspace(-1, 1, 16)).expand_as(images)
        return ChannelStatistics(seed=seed)(images, others=bright)
    return NoiseBackground(seed=seed)(images, masks)


def study(seed: int) -> dict[str, Any]:
    """Half of a class carry a disturbance; who turns disturbed test images into that class?

    Asked of the test images of other classes whose answer the disturbance changes, for the answer;
    and, under "into 3", of those alone whose answer becomes that class: where there are none, the
    network hasn't learned the planted property.
    """
    problem = digits(seed, flipped=0.0)
    images, test = as_images(problem.x), as_images(problem.test_x[problem.test_y != 3])
    result: dict[str, Any] = {}
    for kind in ("texture", "style", "background"):
        planted = torch.zeros(TRAIN, dtype=torch.bool)
        members = torch.nonzero(problem.y == 3).flatten()
        planted[members[: len(members) // 2]] = True
        x = images.clone()
        x[planted] = disturbed(kind, images[planted], seed)
        model = convolutional(seed)
        fit(model, x, problem.y, seed)
        queries = disturbed(kind, test, seed + 1)
        changed = model(queries).argmax(1) != model(test).argmax(1)
        found = planted_precision(model, TensorDataset(x, problem.y), queries[changed], planted)
        into = changed & (model(queries).argmax(1) == 3)
        found["into 3"] = {"queries": int(into.sum())}
        if into.any():
            data = TensorDataset(x, problem.y)
            found["into 3"] |= planted_precision(model, data, queries[into], planted)
        clean = accuracy(model, test, problem.test_y[problem.test_y != 3])
        sizes = {"planted": int(planted.sum()), "queries": int(changed.sum())}
        result[kind] = {**found, **sizes, "clean accuracy": clean}
    return result


def planted_precision(
    model: nn.Module, data: TensorDataset, queries: Tensor, planted: Tensor
) -> dict[str, Any]:
    answers = model(queries).argmax(1)
    influence = LayerInfluence(
        model, data, loss_fn=nn.CrossEntropyLoss(), test_loss_fn=log_odds_loss, batch_size=100
    )
    scores = influence.scores((queries, answers))
    found: dict[str, Any] = {"called 3": float((answers == 3).double().mean())}
    (seen,) = influence.observe()
    with torch.no_grad():
        asked = model[:-1](queries)
    near = -torch.cdist(asked, seen.features).mean(0)
    found["nearest in features"] = _share(near, planted)
    found["of the class, at random"] = float(planted[seen.labels == 3].double().mean())
    for normalized in (False, True):
        for layer in (None, *influence.layers):
            mean = scores.of(layer, normalized=normalized).mean(0)
            name = f"{'normalized' if normalized else 'raw'} {layer or 'global'}"
            found[name] = _share(mean, planted)
    return found


def _share(scores: Tensor, planted: Tensor) -> float:
    return float(planted[scores.topk(20).indices].double().mean())


def main(arguments: list[str] | None = None) -> int:
    """Make the study with each seed."""
    run_studies("planted", study, study_parser("planted", __doc__).parse_args(arguments))
    return 0


if __name__ == "__main__":
    sys.exit(main())
