"""One small finding of every kind, with what its printed call names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import influenced
import prompted
import torch
from torch import Tensor, nn

from captum_influence import (
    ClassScore,
    Cut,
    Distribution,
    DistributionalInfluence,
    InfluenceProfile,
    LayerInfluence,
    NextToken,
    Noise,
    Point,
    PredictedClass,
    Prompts,
    Quantity,
    bias_report,
    circuit,
    class_rankings,
    combine,
    compare,
    counterfactual,
    essence,
    expert_curves,
    explain,
    explain_layers,
    explain_text,
    find_label_errors,
    pair,
    prototype,
    rank_layers,
    rank_units,
    relevance,
    routes,
)
from captum_influence.attr.points import WeightedPoint
from captum_influence.demo import (
    PhraseTokenizer,
    handwired_networks,
    induction_network,
    load_phrase_network,
)
from captum_influence.metrics import (
    ablate_units,
    ablation_curve,
    agreement,
    flip_pixels,
    localize,
    pixel_orderings,
    randomize,
    shattering,
    stability,
    unit_orderings,
    unit_selectivity,
)
from captum_influence.training import Retraining, retrain_and_measure

__all__ = ["EXAMPLES", "Example", "Middle", "Sum"]

NAMES = ["red", "green", "dark"]
GENERATOR = torch.Generator().manual_seed(0)
PICTURES = torch.rand(6, 3, 8, 8, generator=GENERATOR)
LABELS = torch.tensor([0, 1, 0, 1, 0, 1])
LOADER = [(PICTURES[:3], LABELS[:3]), (PICTURES[3:], LABELS[3:])]
MAPS = PICTURES[:2, 0] - 0.5
WIRED = handwired_networks()["shortcut_unit"]
UNITS = (WIRED.model, WIRED.inputs, "units", 0)
ONWARD = {"model": WIRED.model, "inputs": WIRED.inputs}
FLAT = nn.Sequential(nn.Flatten(), nn.Linear(36, 2))
SMALL = torch.rand(2, 1, 6, 6, generator=GENERATOR)
START, END = torch.zeros(1, 3), torch.ones(1, 3)
INDUCTION = induction_network()
TEXTS = (torch.tensor([[0, 3, 1, 4, 5, 3]]), torch.tensor([[0, 9, 2, 6, 8, 4]]))
THREE = {"a": MAPS, "b": -MAPS, "c": MAPS**3}


def network() -> nn.Module:
    """A convolution, and a head that reads its means; it needn't be right about anything."""
    torch.manual_seed(0)
    body = [nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()]
    return nn.Sequential(*body, nn.Linear(16, 3)).eval()


@dataclass(frozen=True)
class Sum(Quantity):
    """A user's own quantity: some scores, added up."""

    first: int
    last: int

    def __call__(self, output: Tensor) -> Tensor:
        return output[:, self.first : self.last].sum(1)


@dataclass(frozen=True)
class Middle(Distribution):
    """A user's own distribution: half-way to a baseline."""

    share: float = 0.5

    def points(self, origin: Any) -> Any:
        yield WeightedPoint(1.0, tuple(self.share * x for x in origin))


def gradient(model: nn.Module, inputs: Tensor) -> Tensor:
    inputs = inputs.clone().requires_grad_()
    return torch.autograd.grad(model(inputs)[:, 0].sum(), inputs)[0]


def shaken(seed: int) -> Tensor:
    return MAPS + torch.sin(seed * MAPS)


def bent(x: Tensor) -> Tensor:
    return (5 * x).sin() * x


MODEL = network()
CUT = Cut("1", "input")
ASKED = {"model": MODEL, "image": PICTURES[0]}
READER, TOKENIZER = prompted.reader(), prompted.WordTokenizer()
OF_CLASSES = {"model": MODEL, "loader": LOADER}
PHRASES, SAYER = PhraseTokenizer(), load_phrase_network()
SAID = ("Anna Ben Clara Anna", "Mary John Mary", "Ida Ben Leo Ida", "Leo John Leo")
PROMPTS = [(PHRASES(text), name) for text, name in zip(SAID, ["Ben", "John"] * 2, strict=True)]
ATTENDED = "blocks.1.attention.output"
OF_PROMPTS = {"model": SAYER, "loader": PROMPTS, "tokenizer": PHRASES}
PADDED = Prompts(PHRASES, list(SAID), list(SAID))
WRONG = (int(MODEL(PICTURES[:1]).argmax()) + 1) % 3  # what the first picture isn't taken for


def influence() -> DistributionalInfluence:
    return DistributionalInfluence(
        MODEL, ["0", "1"], distribution=Point(), quantity=PredictedClass()
    )


def said_next() -> DistributionalInfluence:
    return DistributionalInfluence(SAYER, ATTENDED, distribution=Point())


def trained() -> tuple[LayerInfluence, dict[str, Any]]:
    model, data, queries = influenced.problem()
    found = LayerInfluence(model, data, loss_fn=influenced.LOSSES[1], layers=["head"], seed=3)
    return found, {"influence": found, "queries": queries, "groups": {"plain": queries}}


INFLUENCE, OF_TRAINING = trained()
LABELS = ("red", "green", "blue", "grey")
RETRAINED = {
    "model": INFLUENCE.model,
    "train_dataset": influenced.problem()[1],
    "groups": OF_TRAINING["groups"],
    "loss_fn": influenced.LOSSES[1],
}


@dataclass(frozen=True)
class Example:
    """A finding, and what its printed call names."""

    make: Callable[[], Any]
    names: Mapping[str, Any]


def _retrained() -> Any:
    once = Retraining(1, 1e-3, batch_size=8)
    return retrain_and_measure(**RETRAINED, without=[1, 2], layers=["head"], retraining=once)


EXAMPLES = {
    "Explanation": Example(
        lambda: explain(MODEL, PICTURES[0], "1", 0, loader=LOADER, class_names=NAMES, top=2),
        {**ASKED, "loader": LOADER},
    ),
    "Explanation at a cut": Example(
        lambda: explain(
            MODEL, PICTURES[0], CUT, "red", versus=1, class_names=NAMES, top=1, axis="position"
        ),
        ASKED,
    ),
    "Explanation of a user's own question": Example(
        lambda: explain(
            MODEL,
            PICTURES[0],
            MODEL[1],
            quantity=Sum(0, 2) - 0.5 * ClassScore(2),
            distribution=Middle(0.25),
            top=1,
        ),
        ASKED,
    ),
    "Explanation over tensors": Example(
        lambda: explain(
            MODEL,
            PICTURES[0],
            "1",
            0,
            distribution=Noise(0.1, 3, seed=2),
            axis={"upper": torch.arange(4 * 8 * 8).reshape(4, 8, 8) < 128},
            picture=PICTURES[1],
            top=1,
        ),
        ASKED,
    ),
    "Findings": Example(
        lambda: explain(MODEL, list(PICTURES[:3]), "1", 0, top=1, overlay=False),
        {"model": MODEL, "image": list(PICTURES[:3])},
    ),
    "LayerExplanations": Example(
        lambda: explain_layers(MODEL, PICTURES[0], ["0", CUT], 0, top=1), ASKED
    ),
    "TextExplanation": Example(
        lambda: explain_text(
            READER,
            TOKENIZER,
            prompted.CLEAN,
            NextToken("Mary") - NextToken("John"),
            prompted.CORRUPTED,
            top=2,
        ),
        {"model": READER, "tokenizer": TOKENIZER},
    ),
    "Essence": Example(
        lambda: essence(MODEL, LOADER, CUT, "red", class_names=NAMES, top=1, examples=1, ks=(1, 2)),
        OF_CLASSES,
    ),
    "Pair": Example(lambda: pair(MODEL, LOADER, "1", 0, 1, top=1, examples=1), OF_CLASSES),
    "Essence of a next token": Example(
        lambda: essence(
            SAYER, PROMPTS, ATTENDED, "Ben", tokenizer=PHRASES, top=1, examples=1, ks=(1, 2)
        ),
        OF_PROMPTS,
    ),
    "Pair of next tokens": Example(
        lambda: pair(SAYER, PROMPTS, ATTENDED, "Ben", "John", tokenizer=PHRASES, top=1, examples=1),
        OF_PROMPTS,
    ),
    "Counterfactual": Example(
        lambda: counterfactual(
            MODEL, PICTURES[0], CUT, true=WRONG, loader=LOADER, controls=3, replace="mean"
        ),
        {**ASKED, "loader": LOADER},
    ),
    "Prototype": Example(
        lambda: prototype(MODEL, 0, size=8, steps=3, class_names=NAMES), {"model": MODEL}
    ),
    "Comparison": Example(
        lambda: compare(MODEL, PICTURES[:1], "1", 0, ["influence", "Saliency", "CAM"], points=2),
        {"model": MODEL, "inputs": PICTURES[:1]},
    ),
    "Relevance": Example(
        lambda: relevance(MODEL, PICTURES[:2], 0, tolerance=1e9),
        {"model": MODEL, "inputs": PICTURES[:2]},
    ),
    "ExpertCurves": Example(
        lambda: expert_curves(MODEL, LOADER, "1", 0, {"mine": [1, 0]}, replace="mean"), OF_CLASSES
    ),
    "Ranking": Example(
        lambda: class_rankings(MODEL, LOADER, "1", 0, by=["influence"])["influence"], OF_CLASSES
    ),
    "ExpertCurves of a next token": Example(
        lambda: expert_curves(
            SAYER, PROMPTS, ATTENDED, "Ben", {"mine": [1, 0]}, replace="mean", tokenizer=PHRASES
        ),
        OF_PROMPTS,
    ),
    "Ranking of a next token": Example(
        lambda: class_rankings(
            SAYER, PROMPTS, ATTENDED, "Ben", by=["contribution"], tokenizer=PHRASES
        )["contribution"],
        OF_PROMPTS,
    ),
    "Ranking of tensors": Example(
        lambda: rank_units(PICTURES, by="contribution", activations=PICTURES, reference=0.5),
        {"influences": PICTURES, "activations": PICTURES},
    ),
    "JointRanking": Example(
        lambda: rank_layers(MODEL, PICTURES, ["0", CUT], 0, class_names=NAMES),
        {"model": MODEL, "inputs": PICTURES},
    ),
    "JointRanking over prompts": Example(
        lambda: rank_layers(SAYER, PADDED.clean, ["blocks.0", ATTENDED], "Ben", tokenizer=PHRASES),
        {"model": SAYER, "inputs": PADDED.clean, "tokenizer": PHRASES},
    ),
    "Combination": Example(
        lambda: combine(MODEL, PICTURES[:1], {"0": [0, 2], "1": [1]}, 0, versus=1),
        {"model": MODEL, "inputs": PICTURES[:1]},
    ),
    "Circuit": Example(
        lambda: circuit(INDUCTION, TEXTS, NextToken(1), sizes=[2, 5], controls=2),
        {"model": INDUCTION, "prompts": TEXTS},
    ),
    "Routes": Example(
        lambda: routes(INDUCTION, TEXTS, NextToken(1), controls=2),
        {"model": INDUCTION, "prompts": TEXTS},
    ),
    "InfluenceProfile": Example(
        lambda: InfluenceProfile.over(influence(), LOADER, group_by="label"),
        {"influence": influence(), "loader": LOADER},
    ),
    "InfluenceProfile of next tokens": Example(
        lambda: InfluenceProfile.over(
            said_next(), [(PADDED.clean, ["Ben", "John"] * 2)], group_by="label", axis=2
        ),
        {"influence": said_next(), "loader": [(PADDED.clean, ["Ben", "John"] * 2)]},
    ),
    "LayerScores": Example(
        lambda: INFLUENCE.scores(OF_TRAINING["queries"]),
        {"layer_influence": INFLUENCE, "inputs": OF_TRAINING["queries"]},
    ),
    "LabelErrors": Example(
        lambda: find_label_errors(INFLUENCE, neighbours=5, class_names=LABELS), OF_TRAINING
    ),
    "BiasReport": Example(
        lambda: bias_report(INFLUENCE, OF_TRAINING["groups"], top=1), OF_TRAINING
    ),
    "RetrainingResult": Example(_retrained, RETRAINED),
    "UnitEffects": Example(lambda: ablate_units(*UNITS), ONWARD),
    "AblationCurve": Example(
        lambda: ablation_curve(*UNITS, WIRED.contribution, mode="insert", replace="mean", steps=2),
        ONWARD,
    ),
    "Orderings of units": Example(lambda: unit_orderings(*UNITS, WIRED.contribution), ONWARD),
    "Orderings of pixels": Example(
        lambda: pixel_orderings(FLAT, SMALL, SMALL[:, 0] - 0.5, 0, replace=0.5),
        {"model": FLAT, "inputs": SMALL},
    ),
    "PixelFlipping": Example(
        lambda: flip_pixels(FLAT, SMALL, SMALL[:, 0] - 0.5, [0, 1], steps=4, seed=3),
        {"model": FLAT, "inputs": SMALL},
    ),
    "Localization": Example(lambda: localize(MAPS, MAPS > 0), {"maps": MAPS, "masks": MAPS > 0}),
    "Selectivity": Example(
        lambda: unit_selectivity(WIRED.model, WIRED.inputs[:2], "units", WIRED.inputs[2:]),
        {"model": WIRED.model, "present": WIRED.inputs[:2]},
    ),
    "Randomization": Example(
        lambda: randomize(FLAT, SMALL, gradient, seed=2), {"model": FLAT, "inputs": SMALL}
    ),
    "Stability": Example(lambda: stability(shaken, repeats=3), {"explain": shaken}),
    "Agreement": Example(lambda: agreement(THREE), {"maps": THREE}),
    "Autocorrelation": Example(
        lambda: shattering(bent, START, END, points=9, lags=2), {"explain": bent, "start": START}
    ),
}
