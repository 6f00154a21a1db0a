"""``python -m benchmarks.effects.wrong_answers``: wrong answers, righted by removing units.

For each wrong answer of SqueezeNet on ImageNet pictures: the units of a fire module without which
the answer is the true one, by either search; random sets of the same size beside them; what the
same search takes towards classes that are wrong; and what the removal does to the pictures that
were answered right. Needs the data of CAPTUM_INFLUENCE_DATA (or ../shared/data). ``--out FOLDER``
keeps the figures and the numbers.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.provenance import keep
from benchmarks.trained import data_folder, squeezenet
from captum_influence import Cut, Expert, counterfactual
from captum_influence.explanations import Counterfactual
from captum_influence.network.reading import activations
from captum_influence.units import MeanActivation

SEARCHES = ("greedy", "prefix")


def main(arguments: list[str] | None = None) -> int:
    """Ask about every wrong answer, print the shares, and keep numbers and figures if asked."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.effects.wrong_answers", description=__doc__
    )
    parser.add_argument("--images", type=int, default=117)
    parser.add_argument("--layer", default="features.12", help="features.N")
    parser.add_argument("--max-units", type=int, default=16)
    parser.add_argument("--controls", type=int, default=100)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args(arguments)
    subject, folder = squeezenet(asked.images), data_folder()
    if subject is None or folder is None:
        print("no real data: set CAPTUM_INFLUENCE_DATA")
        return 0
    names = list(json.loads((folder / "imagenet" / "classes.json").read_text()))
    features = torch.cat(
        [activations(subject.model, x, Cut(asked.layer)) for x in subject.images.split(16)]
    )
    head = Head(subject.model, asked.layer)
    with torch.no_grad():
        said = torch.cat([head(z) for z in features.split(16)]).argmax(dim=1)
    right = said == subject.labels
    print(f"{len(said)} pictures, {int((~right).sum())} answered wrong")
    rows = []
    for replace in ("0", "mean"):
        for search in SEARCHES:
            instead = MeanActivation.of([features]) if replace == "mean" else 0
            found = [
                counterfactual(
                    subject.model,
                    subject.images[i],
                    asked.layer,
                    true=int(subject.labels[i]),
                    max_units=asked.max_units,
                    replace=instead,
                    controls=asked.controls,
                    interpret=False,
                    search=search,
                    class_names=names,
                    picture=_shown(subject.images[i]),
                )
                for i in (~right).nonzero().flatten().tolist()
            ]
            damage = [
                _damage(head, f, features[right], subject.labels[right], instead) for f in found
            ]
            rows.append(_summary(asked.layer, replace, search, found, damage))
            print(json.dumps(rows[-1]), flush=True)
            if asked.out and (replace, search) == ("0", "greedy"):
                _keep(found, asked.out)
    keep(asked.out and asked.out / "wrong_answers.json", {"rows": rows})
    return 0


class Head(nn.Module):
    """What comes behind a fire module, so that pictures needn't run through the rest."""

    def __init__(self, model: nn.Module, layer: str) -> None:
        super().__init__()
        self.entry = nn.Identity()
        self.rest = model.features[int(layer.rpartition(".")[2]) + 1 :]
        self.classifier = model.classifier

    def forward(self, features: Tensor) -> Tensor:
        """Return class scores (examples, 1000) of activations (examples, channels, ...)."""
        return self.classifier(self.rest(self.entry(features))).flatten(1)


def _shown(image: Tensor) -> Tensor:
    """Return an input, BGR from 0 to 255 less its mean, as RGB in [0, 1]."""
    return ((image + torch.tensor([104.0, 117.0, 123.0])[:, None, None]) / 255).flip(0)


def _damage(
    head: nn.Module,
    found: Counterfactual,
    features: Tensor,
    labels: Tensor,
    replace: MeanActivation | int,
) -> tuple[float, float]:
    """Return the accuracy without the units, and without as many random ones."""
    generator = torch.Generator().manual_seed(0)
    random = torch.randperm(features.shape[1], generator=generator)[: len(found.units)].tolist()
    return tuple(
        _accuracy(Expert(head, "entry", units, "remove", replace), features, labels)
        for units in (found.units, random)
    )  # type: ignore[return-value]  # two, as there are two sets


def _accuracy(model: nn.Module, features: Tensor, labels: Tensor) -> float:
    with torch.no_grad():
        said = torch.cat([model(z) for z in features.split(16)]).argmax(dim=1)
    return float((said == labels).double().mean())


def _summary(
    layer: str,
    replace: str,
    search: str,
    found: Sequence[Counterfactual],
    damage: Sequence[tuple[float, float]],
) -> dict[str, object]:
    count = len(found)
    flips = [f for f in found if f.flipped]
    sizes = sorted(len(f.units) for f in flips)
    controls = [f.controls for f in found if f.controls]
    of_flipped = [pair for f, pair in zip(found, damage, strict=True) if f.flipped]
    return {
        "layer": layer,
        "replace": replace,
        "search": search,
        "wrong answers": count,
        "flipped to the true class": len(flips) / count,
        "moved to a third class": sum(f.outcome == "other" for f in found) / count,
        "random sets: to the true class": sum(c.to_true / c.sets for c in controls) / count,
        "random sets: away": sum(c.away / c.sets for c in controls) / count,
        "units of a flip: median, most": (sizes[len(sizes) // 2], sizes[-1]) if sizes else None,
        "truth took fewer than wrong classes": sum(f.nearer is True for f in found) / count,
        "truth took no fewer": sum(f.nearer is False for f in found) / count,
        "accuracy on what was right: mean, least": _least(of_flipped, 0),
        "the same, random units": _least(of_flipped, 1),
    }


def _least(pairs: Sequence[tuple[float, float]], column: int) -> tuple[float, float] | None:
    values = [pair[column] for pair in pairs]
    return (sum(values) / len(values), min(values)) if values else None


def _keep(found: Sequence[Counterfactual], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i, each in enumerate(found[:6]):
        each.plot().savefig(folder / f"wrong_answer_{i}.png", dpi=110)
    details = [each.to_dict() for each in found]
    (folder / "wrong_answers_details.json").write_text(json.dumps(details, indent=1))


if __name__ == "__main__":
    torch.set_num_threads(1)
    raise SystemExit(main())
