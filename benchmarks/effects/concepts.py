"""``python -m benchmarks.effects.concepts``: do concepts hold more of an answer than channels do?

On ImageNet pictures and SqueezeNet, each picture explained by concepts that were fitted to others:
of the predicted class's score, which share of all contributions the first five concepts have, and
the first five channels; how often the answer changes without the first three, beside three random
ones, and beside channels that move the layer as far; and whether contributions say what the removal
of each does. Fitted to activations, and to what raises the predicted class. Zero takes a removed
unit's place. Needs the data of CAPTUM_INFLUENCE_DATA (or ../shared/data), and scikit-learn.
``--out FOLDER`` keeps the numbers. Takes some 20 minutes on one thread.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.effects.wrong_answers import Head
from benchmarks.provenance import keep
from benchmarks.trained import add_network, asked_network
from captum_influence import (
    ClassScore,
    Cut,
    Dictionary,
    DistributionalInfluence,
    Point,
    PredictedClass,
    Quantity,
)
from captum_influence.metrics.ranks import spearman
from captum_influence.network.reading import activations
from captum_influence.network.substitution import Reruns, reruns

LAYERS = ("features.5", "features.9", "features.12")
FITTED_TO: dict[str, Quantity | None] = {"activations": None, "contributions": PredictedClass()}
HELD, REMOVED, DRAWS, CHANNELS, RESAMPLES = 5, 3, 5, 32, 2000
RATIOS = {
    "share, to channels'": ("concepts: share", "channels: share"),
    "changed, to channels as far": ("concepts: changed", "channels, as far: changed"),
    "changed, to channels, both as little": ("concepts, as little: changed", "channels: changed"),
    "changed, to three channels": ("concepts: changed", "channels: changed"),
}
Row = dict[str, object]


def main(arguments: list[str] | None = None) -> int:
    """Ask of every layer, print the rows, and keep them if asked."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.effects.concepts", description=__doc__
    )
    add_network(parser)
    parser.add_argument("--images", type=int, default=117)
    parser.add_argument("--folds", type=int, default=4, help="all but one fit the concepts")
    parser.add_argument("--layers", nargs="+", default=LAYERS)
    parser.add_argument("--ks", type=int, nargs="+", default=[16, 32])
    parser.add_argument("--singles", type=int, default=24, help="pictures with one-by-one removals")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args(arguments)
    subject = asked_network(asked, asked.images)
    if subject is None:
        print("no real data: set CAPTUM_INFLUENCE_DATA")
        return 0
    rows = []
    for layer in asked.layers:
        parts = [activations(subject.model, x, Cut(layer)) for x in subject.images.split(16)]
        study = Study(Head(subject.model, layer), torch.cat(parts), asked.folds, asked.singles)
        for k in asked.ks:
            for name, quantity in FITTED_TO.items():
                found = {"layer": layer, "k": k, "fitted to": name, **study.summary(k, quantity)}
                rows.append(found)
                print(json.dumps(found), flush=True)
    keep(asked.out and asked.out / "concepts.json", {"rows": rows})
    return 0


@dataclass(frozen=True, eq=False)
class Study:
    """What comes behind a layer, and pictures as they are there.

    Attributes:
        head: the rest of the network.
        features: (pictures, channels, height, width).
        folds: into how many parts they fall; concepts are fitted to all but the explained one.
        singles: of how many pictures units are removed one by one.
    """

    head: nn.Module
    features: Tensor
    folds: int
    singles: int

    def summary(self, k: int, quantity: Quantity | None) -> Row:
        """Return what was found over all pictures: means, with 95 % of resampled ones."""
        order = torch.randperm(len(self.features), generator=torch.Generator().manual_seed(0))
        found: list[dict[str, float]] = []
        for fold in order.chunk(self.folds):
            rest = self.features[[i for i in order.tolist() if i not in set(fold.tolist())]]
            dictionary = Dictionary.fit(self.head, "entry", rest.split(16), k, quantity=quantity)
            for i in fold.tolist():
                single = len(found) % max(len(self.features) // self.singles, 1) == 0
                found.append(_measured(self.head, dictionary, self.features[i : i + 1], k, single))
        names = dict.fromkeys(name for row in found for name in row)
        columns = {n: torch.tensor([row[n] for row in found if n in row]).double() for n in names}
        return {
            "pictures": len(found),
            "of them, one by one": len(columns["concepts: agreement"]),
            "channels": self.features.shape[1],
            **{name: _interval(column) for name, column in columns.items()},
            **{name: _interval(columns[a], columns[b]) for name, (a, b) in RATIOS.items()},
        }


def _interval(values: Tensor, over: Tensor | None = None) -> list[float]:
    """Return a mean, or a ratio of means, and the ends between which 95 % of resamples fall."""
    count, generator = len(values), torch.Generator().manual_seed(0)
    draws = torch.randint(count, (RESAMPLES, count), generator=generator)
    draws = torch.cat([torch.arange(count)[None], draws])
    means = values[draws].mean(dim=1) / (1 if over is None else over[draws].mean(dim=1))
    ends = means[1:].quantile(torch.tensor([0.025, 0.975], dtype=means.dtype))
    return [round(float(value), 4) for value in (means[0], *ends)]


def _measured(
    head: nn.Module, dictionary: Dictionary, z: Tensor, k: int, single: bool
) -> dict[str, float]:
    """Return what one picture shows."""
    cut = Cut("entry", basis=dictionary)
    with reruns(head, Cut("entry"), z) as runs, torch.no_grad():
        answer = runs.scores[0]
        said = int(answer.argmax())
        influence = DistributionalInfluence(
            head,
            [cut, "entry"],
            distribution=Point(),
            quantity=ClassScore(said),
            multiply_by_inputs=True,
        )
        concepts, channels = (c[0].sum(dim=(1, 2)) for c in influence.attribute(z))
        codes = dictionary.encode(z)

        def concept_step(units: Sequence[int]) -> Tensor:
            kept = torch.ones(k).index_fill(0, torch.tensor(units), 0)[:, None, None]
            return dictionary.decode(codes * kept) - dictionary.decode(codes)

        asked = _Removals(runs, z, said, concepts, channels, concept_step)
        found = {
            "concepts: share": _share(concepts),
            "channels: share": _share(channels),
            **asked.together(),
        }
        return {**found, **asked.alone()} if single else found


@dataclass(frozen=True, eq=False)
class _Removals:
    """Units of one picture, removed.

    Attributes:
        runs: the network, to be run on from the layer.
        z: (1, channels, height, width) what passes there.
        said: the predicted class.
        concepts: (k,) their contributions.
        channels: (channels,) likewise.
        concept_step: how the layer moves without some concepts.
    """

    runs: Reruns
    z: Tensor
    said: int
    concepts: Tensor
    channels: Tensor
    concept_step: Callable[[Sequence[int]], Tensor]

    def together(self) -> dict[str, float]:
        """Remove the first three, random ones, and channels that move the layer as far."""
        first = self.concepts.argsort(descending=True).tolist()
        ordered = self.channels.argsort(descending=True)
        concepts, channels = (
            self.concept_step(first[:REMOVED]),
            self._channel_step(ordered[:REMOVED]),
        )
        squares = self.z[0].square().sum(dim=(1, 2))[ordered]
        left = concepts.square().sum() - (squares.cumsum(0) - squares)
        part = torch.where(squares > 0, left / squares, (left > 0).float()).clamp(0, 1).sqrt()
        whole = torch.zeros_like(part).index_copy(0, ordered, part)
        steps = {
            "concepts": concepts,
            "channels": channels,
            "channels, as far": -self.z * whole[:, None, None],
            "concepts, as little": concepts * min(1.0, float(channels.norm() / concepts.norm())),
        }
        lost, changed = self._without(torch.cat([*steps.values(), *self._random(first)]))
        named = {f"{n}: changed": float(c) for n, c in zip(steps, changed, strict=False)}
        named |= {f"{n}: loss": float(v) for n, v in zip(steps, lost, strict=False)}
        named["random concepts: changed"] = float(changed[len(steps) :].float().mean())
        named["random concepts: loss"] = float(lost[len(steps) :].mean())
        named["layer moved"] = float(concepts.norm() / self.z.norm())
        return {**named, "channels, as far: how many": float(part.sum())}

    def alone(self) -> dict[str, float]:
        """Remove units one by one, and compare the order of effects with that of estimates."""
        generator = torch.Generator().manual_seed(0)
        drawn = torch.randperm(len(self.channels), generator=generator)[:CHANNELS]
        steps = {
            "concepts": (
                [self.concept_step([j]) for j in range(len(self.concepts))],
                self.concepts,
            ),
            "channels": ([self._channel_step(j[None]) for j in drawn], self.channels[drawn]),
        }
        found = {}
        for name, (changes, estimates) in steps.items():
            lost, _ = self._without(torch.cat(changes))
            found[f"{name}: agreement"] = float(spearman(estimates.double(), lost))
        return found

    def _random(self, first: list[int]) -> list[Tensor]:
        generator, others = torch.Generator().manual_seed(0), torch.tensor(first[REMOVED:])
        draws = (torch.randperm(len(others), generator=generator)[:REMOVED] for _ in range(DRAWS))
        return [self.concept_step(others[draw].tolist()) for draw in draws]

    def _channel_step(self, units: Tensor) -> Tensor:
        gone = torch.zeros(len(self.channels)).index_fill(0, units, 1)
        return -self.z * gone[:, None, None]

    def _without(self, steps: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the class loses, and whether it is still the answer."""
        rows = torch.zeros(len(steps), dtype=torch.long)
        scores = self.runs.answer(self.z + steps, rows)
        lost = self.runs.scores[0, self.said] - scores[:, self.said]
        return lost.double(), scores.argmax(dim=1) != self.said


def _share(values: Tensor) -> float:
    """Return which part of all absolute contributions the first five are."""
    ordered = values.double().sort(descending=True).values
    return float(ordered[:HELD].sum() / ordered.abs().sum())


if __name__ == "__main__":
    raise SystemExit(main())
