"""``python -m benchmarks.families``: does it work on *this* network, without a wrapper?

Families of torchvision, timm and transformers, with random weights and small pictures, are asked by
``explain``, ``counterfactual``, ``compare`` and ``prototype`` as a newcomer asks: no layer named,
no adapter. Beside each stands the width of its last stage, from its paper: what counts as a
channel at the layer that is taken must be as many. ``--only swin_t vit`` asks these.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.provenance import keep
from captum_influence.explanations.counterfactuals.find import counterfactual
from captum_influence.explanations.instances.find import explain
from captum_influence.explanations.prototypes.find import prototype
from captum_influence.methods.find import compare
from captum_influence.network.cuts import Cut
from captum_influence.network.outputs import scores_in
from captum_influence.network.reading import activations
from captum_influence.network.torchvision_operators import declare_operators

OUT = Path("benchmarks/results/families.json")
CLASSES = 10


@dataclass(frozen=True)
class Family:
    """A kind of network.

    Attributes:
        library: where it comes from.
        name: what it is called there.
        width: how many channels its last stage has.
        size: height and width of the pictures.
        settings: how it is built.
        output: which tensor of what it returns, where that isn't clear.
    """

    library: str
    name: str
    width: int
    size: int = 64
    settings: dict[str, Any] = field(default_factory=dict)
    output: str | None = None

    def build(self) -> nn.Module:
        """Return it with random weights, those of its head, too, which some begin at zero."""
        torch.manual_seed(0)
        network = _BUILDERS[self.library](self).eval()
        for weight in network.parameters():
            if weight.ndim > 1 and not weight.any():
                nn.init.trunc_normal_(weight.data, std=0.02)
        return network

    def picture(self) -> Tensor:
        """Return a picture of noise."""
        generator = torch.Generator().manual_seed(1)
        return torch.randn(3, self.size, self.size, generator=generator)


def _torchvision(family: Family) -> nn.Module:
    from torchvision.models import get_model

    return get_model(family.name, weights=None, num_classes=CLASSES, **family.settings)


def _timm(family: Family) -> nn.Module:
    import timm

    return timm.create_model(family.name, num_classes=CLASSES, **family.settings)


def _transformers(family: Family) -> nn.Module:
    import transformers

    kind = getattr(transformers, family.name)
    small = {"image_size": family.size, "patch_size": 8, "num_labels": CLASSES}
    return kind(kind.config_class(**small, **family.settings))


_BUILDERS: dict[str, Callable[[Family], nn.Module]] = {
    "torchvision": _torchvision,
    "timm": _timm,
    "transformers": _transformers,
}
_SMALL = {"img_size": 64}
_NARROW = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
FAMILIES = (
    Family("torchvision", "vgg11_bn", 512),
    Family("torchvision", "squeezenet1_1", 512),
    Family("torchvision", "resnet18", 512),
    Family("torchvision", "densenet121", 1024),
    Family("torchvision", "mobilenet_v3_small", 576),
    Family("torchvision", "efficientnet_b0", 1280),
    Family("torchvision", "regnet_y_400mf", 440),
    Family("torchvision", "convnext_tiny", 768),
    Family("torchvision", "swin_t", 768),
    Family("torchvision", "vit_b_16", 768, settings={"image_size": 64}),
    Family("timm", "swin_tiny_patch4_window7_224", 768, settings=_SMALL),
    Family("timm", "convnextv2_atto", 320),
    Family("timm", "mixer_s32_224", 512, settings=_SMALL),
    Family("timm", "maxvit_pico_rw_256", 256, settings=_SMALL),
    Family("timm", "mambaout_femto", 288),
    Family("timm", "hiera_tiny_224", 768, settings={"img_size": (64, 64)}),
    Family("timm", "cait_xxs24_224", 192, settings=_SMALL),
    Family("timm", "tnt_s_patch16_224", 384, settings=_SMALL),
    Family("timm", "xcit_nano_12_p16_224", 128),
    Family("timm", "nest_tiny", 384, settings=_SMALL),
    Family("transformers", "ViTForImageClassification", 48, settings=_NARROW),
    Family(
        "transformers",
        "SwinForImageClassification",
        48,
        settings={"embed_dim": 24, "depths": [1, 1], "num_heads": [2, 4], "window_size": 4},
    ),
    Family("transformers", "Dinov2ForImageClassification", 48, settings=_NARROW),
    Family(
        "transformers",
        "CLIPVisionModelWithProjection",
        48,
        settings={**_NARROW, "projection_dim": CLASSES},
        output="image_embeds",
    ),
)


def measured(family: Family, points: int = 2) -> dict[str, Any]:
    """Return what each verb says of a family: its layer, where its channels are, seconds."""
    network, picture = family.build(), family.picture()
    given = {} if family.output is None else {"output": family.output}
    scores = _scores(network, picture, family.output)
    second = int(scores.argsort(descending=True)[1])
    asked: dict[str, Callable[[], Any]] = {
        "explain": lambda: explain(network, picture, top=2, **given),
        "counterfactual": lambda: counterfactual(
            network, picture, true=second, max_units=2, controls=2, wrong_classes=False, **given
        ),
        "compare": lambda: compare(network, picture, points=points, **given),
        "prototype": lambda: prototype(network, second, size=family.size, steps=2, **given),
    }
    verbs = {name: _asked(ask) for name, ask in asked.items()}
    row: dict[str, Any] = {"library": family.library, "name": family.name, "width": family.width}
    found = verbs["explain"].pop("found", None)
    if found is not None:
        shape = activations(network, picture[None], Cut(found.layer)).shape
        row |= {
            "layer": found.layer,
            "shape": list(shape[1:]),
            "channels": len(found.values),
            "headline": found.headline,
            "units": found.facts["units"],
            "right": len(found.values) == family.width,
        }
    compared = verbs["compare"].pop("found", None)
    if compared is not None:
        verbs["compare"] |= {"maps": len(compared.maps), "refused": compared.not_applicable}
    for verb in verbs.values():
        verb.pop("found", None)
    return row | {"verbs": verbs}


def _scores(network: nn.Module, picture: Tensor, output: str | None) -> Tensor:
    with torch.no_grad():
        returned = network(picture[None])
    scores = scores_in(returned if output is None else returned[output])
    if scores is None:
        raise ValueError(f"{type(network).__name__} returns no row of scores")
    return scores[0]


def _asked(ask: Callable[[], Any]) -> dict[str, Any]:
    began = time.perf_counter()
    try:
        found = ask()
    except Exception as error:  # which is what is counted
        return {"error": f"{type(error).__name__}: {error}"}
    return {"seconds": round(time.perf_counter() - began, 2), "found": found}


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask every family, print a line for each, and keep all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.families", description=__doc__)
    parser.add_argument("--only", nargs="+", help="families by name, or parts of names")
    parser.add_argument("--points", type=int, default=2, help="of the methods of compare")
    parser.add_argument("--out", type=Path, help=f"as a rule {OUT}; with --only, nowhere")
    asked = parser.parse_args(arguments)
    declare_operators()  # a torchvision without its own doesn't import, nor do the others then
    warnings.simplefilter("ignore")
    rows = []
    for family in _chosen(asked.only):
        rows.append(measured(family, asked.points))
        print(_line(rows[-1]), flush=True)
    keep(asked.out or (None if asked.only else OUT), {"points": asked.points, "rows": rows})
    return int(any("error" in verb for row in rows for verb in row["verbs"].values()))


def _chosen(only: Sequence[str] | None) -> Iterator[Family]:
    for family in FAMILIES:
        if only is None or any(part in family.name for part in only):
            yield family


def _line(row: dict[str, Any]) -> str:
    errors = [f"{name}: {verb['error']}" for name, verb in row["verbs"].items() if "error" in verb]
    said = f"{row['layer']}, {row['units']}" if "layer" in row else "no layer"
    return f"{row['library']}:{row['name']}: {said} {'; '.join(errors)}".strip()


if __name__ == "__main__":
    raise SystemExit(main())
