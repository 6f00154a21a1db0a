"""``python -m benchmarks.effects.maps``: do ``explain``'s maps show where the network looks?

For each picture that is answered right: the heat through the five units shown and the overlay, as
``explain`` draws them at its defaults; beside them the layer's map, Grad-CAM's, integrated
gradients from zero on both scales of smoothing, a blob in the middle, and noise. A map's test is
insertion − deletion of the class's probability, with the blurred picture in the place of pixels,
in more steps than the six by which the overlay is chosen; but it is the same test on the same
picture, which flatters a best of several. How units' maps are made was chosen on every second
picture; what the others say is kept beside it, as held out. Intervals are 95 % by bootstrap over
pictures, of differences on the same pictures. Needs the data of CAPTUM_INFLUENCE_DATA (or
../shared/data). ``--out FOLDER`` keeps the numbers.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.effects.bootstrap import interval
from benchmarks.provenance import keep
from benchmarks.trained import Subject, add_network, asked_network, tutorial
from captum_influence import Explanation, Function, compare, explain
from captum_influence.attr.run import Run
from captum_influence.explanations.overlays import insertion_deletion
from captum_influence.metrics.blobs import centre_prior
from captum_influence.metrics.removal import removing_pixels
from captum_influence.visualization.blur import gaussian_blur

LAYERS = {"squeezenet": ("features.9", "features.12"), "cifar": ("relu2",)}
STEPS = {"squeezenet": 8, "cifar": 16}  # of a curve
POINTS = 10  # of integrated gradients
HEAT, OVERLAY, PRIOR = "heat through 5 units", "overlay", "centre prior"
RIVALS = ("layer map", "Grad-CAM", "integrated gradients, coarse", "integrated gradients, fine")


def main(arguments: list[str] | None = None) -> int:
    """Test the maps of every layer, print the means, and keep them if asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.effects.maps", description=__doc__)
    parser.add_argument("--network", choices=tuple(LAYERS), help="one of them only")
    add_network(parser)
    parser.add_argument("--layers", nargs="+", help="of that network")
    parser.add_argument("--images", type=int, default=200, help="at most, before wrong ones go")
    parser.add_argument("--seed", type=int, default=0, help="of the noise")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args(arguments)
    rows: list[dict[str, Any]] = []
    only = "squeezenet" if asked.model else asked.network
    for network in LAYERS if only is None else (only,):
        subject = asked_network(asked, 117) if network == "squeezenet" else tutorial()
        if subject is None:
            print("no real data: set CAPTUM_INFLUENCE_DATA")
            return 0
        right = _right(subject, asked.images)
        if not right:
            raise SystemExit(f"expected {subject.name} to answer some pictures right, got none")
        for layer in asked.layers or LAYERS[network]:
            found = [_tested(subject, i, layer, STEPS[network], asked.seed) for i in right]
            about = {"network": subject.name, "layer": layer, **_summary(found)}
            rows.append({**about, "held out": _summary(found[1::2])})
            print(json.dumps(rows[-1]), flush=True)
    name = "maps" if only is None else f"maps_{only}"
    keep(asked.out and asked.out / f"{name}.json", {"rows": rows})
    return 0


def _right(subject: Subject, images: int) -> list[int]:
    """Return which of evenly spaced pictures are answered right."""
    every = max(len(subject.images) // images, 1)
    chosen = list(range(len(subject.images)))[::every][:images]
    with torch.no_grad():
        said = torch.cat([subject.model(x).argmax(1) for x in subject.images[chosen].split(4)])
    return [i for i, one in zip(chosen, said.tolist(), strict=True) if one == subject.labels[i]]


def _tested(
    subject: Subject, number: int, layer: str, steps: int, seed: int
) -> tuple[str, dict[str, float]]:
    """Return which map the overlay was, and what each map's test is on one picture."""
    image, said = subject.images[number : number + 1], int(subject.labels[number])
    found = explain(subject.model, image, layer, said)
    overlay = found.overlay
    if overlay is None:
        raise RuntimeError("expected a picture to have an overlay")
    noise = torch.rand(
        image.shape[-2:], generator=torch.Generator().manual_seed(1000 * seed + number)
    )
    maps = {
        HEAT: gaussian_blur(torch.stack([unit.map for unit in found.units]).sum(0), _sigma(found)),
        OVERLAY: overlay.seen.map,
        **_rivals(subject.model, image, layer, said, _sigma(found)),
        PRIOR: centre_prior(*image.shape[-2:]),
        "random": noise,
    }
    asked = Function(lambda output: output.softmax(dim=1)[:, said])
    run = Run(internal_batch_size=4 if image.shape[-1] > 100 else 64)
    removal = removing_pixels(subject.model, image, asked, replace="blur", patch=1, run=run)
    tests = insertion_deletion(removal, list(maps.values()), steps)
    return overlay.name, dict(zip(maps, tests, strict=True))


def _sigma(found: Explanation) -> float:
    """Return the scale on which maps are smoothed: the layer's step between places."""
    return float(found.display.to_dict()["sigma"])


def _rivals(
    model: nn.Module, image: Tensor, layer: str, said: int, sigma: float
) -> dict[str, Tensor]:
    """Return the maps of other methods (height, width), by the names of ``RIVALS``."""
    methods = ["LayerGradientXActivation", "LayerGradCam", "IntegratedGradients"]
    found = compare(model, image, layer, said, methods, points=POINTS).maps
    own, camera, integrated = (found[method][0, 0] for method in methods)
    fine = min(image.shape[-2:]) / 32
    maps = (own, camera, gaussian_blur(integrated, sigma), gaussian_blur(integrated, fine))
    return dict(zip(RIVALS, maps, strict=True))


def _summary(found: Sequence[tuple[str, Mapping[str, float]]]) -> dict[str, Any]:
    """Return means with their intervals, and the differences that claims are made of."""
    tests = [test for _, test in found]
    best = max(RIVALS, key=lambda name: sum(test[name] for test in tests))
    return {
        "pictures": len(tests),
        "tests": {name: interval([test[name] for test in tests]) for name in tests[0]},
        "heat less prior": interval([test[HEAT] - test[PRIOR] for test in tests]),
        "overlay less prior": interval([test[OVERLAY] - test[PRIOR] for test in tests]),
        "best rival": best,
        "overlay less best rival": interval([test[OVERLAY] - test[best] for test in tests]),
        "chosen": dict(Counter(name for name, _ in found).most_common()),
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    raise SystemExit(main())
