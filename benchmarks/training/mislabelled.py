"""``python -m benchmarks.training.mislabelled``: are the mislabelled training images found?

80 of 800 pictures of CIFAR-10 have a wrong label: the share of them among the first 80 of each
ranking, where chance finds a tenth; of one network, and as a mean over three. Then each layer of
the network is retrained alone, without the mislabelled images and with all: is the layer with the
largest share of influence the one that repairs most?
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.provenance import keep
from benchmarks.training.cifar import cifar
from benchmarks.training.digits import Problem, accuracy, show, study_parser
from benchmarks.training.settings import SETTINGS
from captum_influence import LayerInfluence, find_label_errors, retrain_and_measure
from captum_influence.training import Retraining, log_odds_loss

OUT = Path("benchmarks/results/training_mislabelled.json")
NETWORKS = 3
RECIPE = Retraining(epochs=5, learning_rate=0.003, batch_size=50)


def study(seed: int) -> dict[str, Any]:
    """Rank the images with one network and with three, and retrain each layer."""
    problem = cifar(seed)
    setting = SETTINGS["CIFAR-10"]
    networks = [setting.trained(problem, 1000 * seed + i) for i in range(NETWORKS)]
    first = networks[0]
    return {
        "one network": ranked(problem, networks[:1]),
        f"{NETWORKS} networks": ranked(problem, networks),
        "by influence": asked_where_wrong(problem, first),
        "layers": layers(problem, first),
        "test accuracy": accuracy(first, problem.test_x, problem.test_y),
        "training accuracy": accuracy(first, problem.x, problem.y),
    }


def ranked(problem: Problem, networks: list[nn.Module]) -> dict[str, float]:
    """Return how many of the first are mislabelled, by each of the scores."""
    influence = LayerInfluence(
        networks[0],
        problem.train,
        checkpoint=networks,
        loss_fn=nn.CrossEntropyLoss(),
        batch_size=100,
    )
    found = find_label_errors(influence)
    scores = {
        "recommended: loss and neighbours": found.score,
        "training loss": found.loss,
        "label disagreement of 20 neighbours": found.disagreement,
        "self-influence": found.self_influence,
    }
    return {name: precision(values, problem) for name, values in scores.items()}


def asked_where_wrong(problem: Problem, model: nn.Module) -> dict[str, float]:
    """Return the same for influence on wrongly answered test images."""
    with torch.no_grad():
        answers = model(problem.test_x).argmax(1)
    wrong = answers != problem.test_y
    x, labels = problem.test_x[wrong], problem.test_y[wrong]

    def mean(target: Tensor, normalize: str | None, asked: Any) -> Tensor:
        influence = LayerInfluence(
            model,
            problem.train,
            loss_fn=nn.CrossEntropyLoss(),
            test_loss_fn=asked,
            batch_size=100,
            normalize=normalize,
        )
        found: Tensor = influence.influence((x, target))
        return found.mean(0)

    return {
        "most helpful to wrong answers, normalised": precision(
            mean(answers[wrong], "self", log_odds_loss), problem
        ),
        "most harmful to the right answers": precision(-mean(labels, None, None), problem),
    }


def precision(scores: Tensor, problem: Problem) -> float:
    """Return the share of mislabelled images among the first, as many as there are."""
    first = scores.topk(int(problem.flipped.sum())).indices
    return float(problem.flipped[first].double().mean())


def layers(problem: Problem, model: nn.Module) -> dict[str, dict[str, float]]:
    """Return each layer's share of the influence, and the effect of retraining it alone."""
    queries = {"test": (problem.test_x, problem.test_y)}
    loss = nn.CrossEntropyLoss()
    influence = LayerInfluence(model, problem.train, loss_fn=loss, batch_size=100)
    shares = influence.scores(queries["test"]).shares
    gone = problem.flipped.nonzero().flatten().tolist()
    found = {}
    for name, share in shares.items():
        result = retrain_and_measure(
            model,
            problem.train,
            queries,
            loss_fn=loss,
            without=gone,
            layers=[name],
            retraining=RECIPE,
        )
        found[name] = {"share": share, "effect": result.effect("test")}
    return found


def main(arguments: list[str] | None = None) -> int:
    """Make the study with each seed."""
    parser = study_parser("mislabelled", __doc__)
    parser.set_defaults(seeds=5, out=OUT)
    asked = parser.parse_args(arguments)
    torch.set_num_threads(asked.threads)
    seeds = range(asked.first_seed, asked.first_seed + asked.seeds)
    found = {}
    for seed in seeds:
        found[f"seed {seed}"] = study(seed)
        show(f"seed {seed}", found[f"seed {seed}"])
    keep(asked.out, {"studies": found})
    return 0


if __name__ == "__main__":
    sys.exit(main())
