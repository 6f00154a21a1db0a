"""``python -m benchmarks.training.disturbed``: is influence other on disturbed pictures?

A network learns 800 pictures of CIFAR-10. How strong the influence of the training images is on 120
test pictures, through each layer, beside that on the same pictures with another texture or style,
and with neither: moved by three pixels. p-values are corrected for all the comparisons of a
seed (Holm 1979). Backgrounds need masks, which these pictures haven't.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.provenance import keep
from benchmarks.training.cifar import cifar
from benchmarks.training.digits import show, study_parser
from benchmarks.training.settings import SETTINGS
from captum_influence import LayerInfluence, bias_report
from captum_influence.training import AmplitudeSwap, ChannelStatistics, FourierStyle, PatchShuffle

OUT = Path("benchmarks/results/training_disturbed.json")
DISTURBANCES = {
    "texture, patches shuffled": PatchShuffle(),
    "texture, amplitudes swapped": AmplitudeSwap(),
    "style, low frequencies swapped": FourierStyle(),
    "style, colours swapped": ChannelStatistics(),
}


def study(seed: int) -> dict[str, Any]:
    """Train a network, and compare the groups through every layer."""
    problem = cifar(seed)
    model = SETTINGS["CIFAR-10"].trained(problem, 1000 * seed)
    influence = LayerInfluence(model, problem.train, loss_fn=nn.CrossEntropyLoss(), batch_size=100)
    groups = {name: (x, problem.test_y) for name, x in _groups(problem.test_x).items()}
    report = bias_report(influence, groups, predicted=False, seed=seed)
    return {
        "shares": {group.name: group.layer_share for group in report.groups},
        "strength": {group.name: group.strength for group in report.groups},
        "differences": [one.to_dict() for one in report.differences],
    }


def _groups(x: Tensor) -> dict[str, Tensor]:
    pictures = (x + 1) / 2
    found = {name: one(pictures) * 2 - 1 for name, one in DISTURBANCES.items()}
    return {"original": x, **found, "moved by three pixels": x.roll(3, dims=3)}


def main(arguments: list[str] | None = None) -> int:
    """Make the study with each seed."""
    parser = study_parser("disturbed", __doc__)
    parser.set_defaults(seeds=3, out=OUT)
    asked = parser.parse_args(arguments)
    torch.set_num_threads(asked.threads)
    found = {}
    for seed in range(asked.first_seed, asked.first_seed + asked.seeds):
        found[f"seed {seed}"] = study(seed)
        show(f"seed {seed}", found[f"seed {seed}"]["shares"])
    keep(asked.out, {"studies": found})
    return 0


if __name__ == "__main__":
    sys.exit(main())
