"""``python -m benchmarks.effects.wrong_answers``: wrong answers, righted by removing units.

For each wrong answer of SqueezeNet on ImageNet pictures: the units of a fire module without which
the answer is the true one, by either search; random sets of the same size beside them; what the
same search takes towards classes that are wrong; and what the removal does to the pictures that
were answered right. Needs the data of CAPTUM_INFLUENCE_DATA (or ../shared/data). ``--out FOLDER``
keeps the numbers, ``--figures FOLDER`` some of the findings.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn

from benchmarks.effects.bootstrap import interval
from benchmarks.provenance import keep
from benchmarks.trained import Subject, add_network, asked_network
from captum_influence import Cut, Expert, counterfactual
from captum_influence.explanations import Counterfactual
from captum_influence.explanations.counterfactuals.search import SearchName
from captum_influence.network.reading import activations
from captum_influence.units import MeanActivation

SEARCHES: tuple[SearchName, ...] = ("greedy", "prefix")


def main(arguments: list[str] | None = None) -> int:
    """Ask about every wrong answer, print the shares, and keep numbers and figures if asked."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.effects.wrong_answers", description=__doc__
    )
    add_network(parser)
    parser.add_argument("--images", type=int, default=117)
    parser.add_argument("--layers", nargs="+", default=["features.12", "features.9"])
    parser.add_argument("--replace", nargs="+", default=["0"], choices=["0", "mean"])
    parser.add_argument("--max-units", type=int, default=16)
    parser.add_argument("--controls", type=int, default=100)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--figures", type=Path)
    asked = parser.parse_args(arguments)
    subject = asked_network(asked, asked.images)
    if subject is None:
        print("no real data: set CAPTUM_INFLUENCE_DATA")
        return 0
    rows: list[dict[str, object]] = []
    for layer in asked.layers:
        searched = Searched.at(layer, subject)
        for replace, search in product(asked.replace, SEARCHES):
            found, row = searched.summary(asked, replace, search)
            rows.append(row)
            print(json.dumps(row), flush=True)
            keep(asked.out and asked.out / "wrong_answers.json", {"rows": rows})
            if asked.figures and (replace, search) == ("0", "greedy"):
                _keep(found, asked.figures)
    return 0


@dataclass(frozen=True, eq=False)
class Searched:
    """A layer of the network, what it says of every picture, and which answers are right."""

    layer: str
    subject: Subject
    features: Tensor
    head: Head
    right: Tensor

    @classmethod
    def at(cls, layer: str, subject: Subject) -> Searched:
        """Run every picture once."""
        parts = [activations(subject.model, x, Cut(layer)) for x in subject.images.split(16)]
        features, head = torch.cat(parts), Head(subject.model, layer)
        with torch.no_grad():
            said = torch.cat([head(z) for z in features.split(16)]).argmax(dim=1)
        return cls(layer, subject, features, head, said == subject.labels)

    def summary(
        self, asked: argparse.Namespace, replace: str, search: SearchName
    ) -> tuple[list[Counterfactual], dict[str, object]]:
        """Ask about every wrong answer; return what was found, and its shares."""
        instead = MeanActivation.of([self.features]) if replace == "mean" else 0
        found = [
            counterfactual(
                self.subject.model,
                self.subject.images[i],
                self.layer,
                true=int(self.subject.labels[i]),
                max_units=asked.max_units,
                replace=instead,
                controls=asked.controls,
                interpret=False,
                search=search,
                class_names=self.subject.names,
                picture=self.subject.prepare.decode(self.subject.images[i]),
            )
            for i in (~self.right).nonzero().flatten().tolist()
        ]
        features, labels = self.features[self.right], self.subject.labels[self.right]
        damage = [_damage(self.head, one, features, labels, instead) for one in found]
        return found, _summary(self.layer, replace, search, found, damage)


class Head(nn.Module):
    """What comes behind one of ``features``, so that pictures needn't run through the rest.

    Of a network whose parts are ``features``, perhaps ``avgpool``, and ``classifier``, as VGG,
    AlexNet and SqueezeNet are by torchvision.
    """

    def __init__(self, model: nn.Module, layer: str) -> None:
        super().__init__()
        self.entry = nn.Identity()
        linear = any(isinstance(module, nn.Linear) for module in model.classifier)
        self.rest = nn.Sequential(
            model.features[int(layer.rpartition(".")[2]) + 1 :],
            getattr(model, "avgpool", nn.Identity()),
            nn.Flatten() if linear else nn.Identity(),
            model.classifier,
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return class scores (examples, classes) of activations (examples, channels, ...)."""
        return self.rest(self.entry(features)).flatten(1)


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
    controls = [f.controls for f in found if f.controls]
    wrong = [one for f in found for one in f.wrong or ()]
    beside = [one for one in wrong if one.which != "random"]
    drawn = [one for one in wrong if one.which == "random"]
    of_flipped = [pair for f, pair in zip(found, damage, strict=True) if f.flipped]
    return {
        "layer": layer,
        "replace": replace,
        "search": search,
        "wrong answers": count,
        "flipped to the true class": interval([f.flipped for f in found]),
        "moved to a third class": sum(f.outcome == "other" for f in found) / count,
        "wrong classes beside the truth: reached": interval([one.reached for one in beside]),
        "a class at random: reached": interval([one.reached for one in drawn]),
        "random sets: to the true class": sum(c.to_true / c.sets for c in controls) / count,
        "random sets: away": sum(c.away / c.sets for c in controls) / count,
        "units of a flip: median, most": _median([len(f.units) for f in flips]),
        "units to one beside: median, most": _median([o.units for o in beside if o.reached]),
        "units to one at random: median, most": _median([o.units for o in drawn if o.reached]),
        "truth took fewer than wrong classes": sum(f.nearer is True for f in found) / count,
        "truth took no fewer": sum(f.nearer is False for f in found) / count,
        "accuracy on what was right: mean, least": _least(of_flipped, 0),
        "the same, random units": _least(of_flipped, 1),
    }


def _median(sizes: Sequence[int]) -> tuple[float, int] | None:
    return (median(sizes), max(sizes)) if sizes else None


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
