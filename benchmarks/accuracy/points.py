"""``python -m benchmarks.accuracy.points``: how many points are enough.

Every rule against a fine midpoint rule, on smooth and ReLU networks, trained and random; how
often the error estimate bounds the error; what ``n="auto"`` takes; the mean of a class from a
few points per picture. Takes about five minutes on one thread. Networks whose weights aren't
there (see ``benchmarks/trained.py``) are left out.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.provenance import keep
from benchmarks.trained import Subject, digits, scenes, squeezenet, tutorial
from captum_influence import Distribution, DistributionalInfluence, LinearPath, PredictedClass
from captum_influence.attr import Execution, Rule, StratifiedPath

FINE, NESTED = 4096, 486
COUNTS = (3, 6, 9, 18, 30, 54, 102, 201)
RULES = {
    "Midpoint": "riemann_middle",
    "GaussLegendre": "gausslegendre",
    "Trapezoid": "riemann_trapezoid",
    "LeftRiemann": "riemann_left",
    "RightRiemann": "riemann_right",
}
SAFETY = 0.45


@dataclass(frozen=True)
class Error:
    """Of one rule with n points: the median over the pictures, and agreement of the top units."""

    network: str
    rule: str
    n: int
    error: float
    top10: float


def main(arguments: list[str] | None = None) -> int:
    """Measure everything, write JSON and the figure."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy.points", description=__doc__
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/points.json"))
    parser.add_argument("--figure", type=Path, default=Path("docs/_static/points.png"))
    parser.add_argument("--pictures", type=int, default=1000, help="at most, of each network")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    start = time.perf_counter()
    found = measured(asked.pictures)
    found["seconds"] = round(time.perf_counter() - start)
    keep(asked.out, found)
    draw(found["curves"], asked.figure)
    print(f"{found['seconds']} s; wrote {asked.out} and {asked.figure}")
    return 0


def measured(most: int) -> dict[str, Any]:
    """Return the rows of every table, from so many pictures of each network at most."""
    found: dict[str, Any] = {}
    smooth = [scenes(smooth=True), digits(smooth=True), digits(smooth=True, train=False)]
    rough = [scenes(), digits(), digits(train=False)]
    counts = {"demo": 3, "digits": 10}
    compared = [s.head(min(counts[s.name.split(",")[0]], most)) for s in (*rough, *smooth)]
    found["curves"] = [asdict(row) for subject in compared for row in curve(subject)]
    trained = [scenes().head(32), digits().head(100), tutorial(), squeezenet(4)]
    found["bounds"] = [row for s in trained if s is not None for row in bounds(s.head(most))]
    pooled = digits(smooth=True, pooling=False)
    found["auto"] = [auto(s.head(min(32, most))) for s in (*smooth, pooled)]
    found["class_means"] = [
        class_mean(scenes(), "conv5", min(128, most), label=0),
        class_mean(digits(), "conv2", min(128, most)),
    ]
    return found


def influences(
    subject: Subject, distribution: Distribution, **options: bool
) -> tuple[list[Tensor], ...]:
    """Return the influences on the predicted class at each layer, and what else is asked for."""
    influence = DistributionalInfluence(
        subject.model,
        list(subject.layers),
        distribution=distribution,
        quantity=PredictedClass(),
        execution=Execution(memory_format="channels_last"),
    )
    found = influence.attribute(subject.images, **options)
    return found if options else (found,)


def midpoints(n: int) -> LinearPath:
    """Return the path from zero with the midpoint rule."""
    return LinearPath(0.0, n=n, rule="riemann_middle")


def curve(subject: Subject) -> list[Error]:
    """Compare every rule and number of points with the fine rule."""
    (exact,) = influences(subject, midpoints(FINE))
    choices: dict[str, Callable[[int], Distribution]] = {
        name: lambda n, rule=rule: LinearPath(0.0, n=n, rule=Rule.ensure(rule))
        for name, rule in RULES.items()
    }
    choices["StratifiedPath"] = lambda n: StratifiedPath(0.0, n=n)
    rows = []
    for name, path in choices.items():
        for n in COUNTS:
            (found,) = influences(subject, path(n))
            errors = torch.stack([_errors(a, b) for a, b in zip(found, exact, strict=True)])
            agreed = torch.stack([_agreement(a, b) for a, b in zip(found, exact, strict=True)])
            rows.append(Error(subject.name, name, n, float(errors.median()), float(agreed.mean())))
    worst = max(row.error for row in rows if row.n == 54)
    print(f"{subject.name}: largest error of a rule at 54 points {worst:.1e}", flush=True)
    return rows


def bounds(subject: Subject) -> list[dict[str, object]]:
    """Return the error as a share of its estimate, and how often that is at most 0.45."""
    (exact,) = influences(subject, midpoints(NESTED))
    rows: list[dict[str, object]] = []
    for n in (6, 18, 54):
        found, estimates = influences(subject, midpoints(n), return_error_estimate=True)
        errors = [_norms(a - b) for a, b in zip(found, exact, strict=True)]
        pairs = zip(errors, estimates, strict=True)
        ratios = torch.cat([error / estimate.double().flatten() for error, estimate in pairs])
        row = {"network": subject.name, "n": n, "cases": len(ratios)}
        row |= {"bounded": int((ratios <= SAFETY).sum()), "median": float(ratios.median())}
        rows.append(row | {"largest": float(ratios.max())})
        print(rows[-1], flush=True)
    return rows


def auto(subject: Subject) -> dict[str, object]:
    """Return the points that ``n="auto"`` takes at 1 %, and the error that it ends with."""
    path = LinearPath(0.0, n="auto", tolerance=0.01)
    found, points = influences(subject, path, return_points=True)
    (exact,) = influences(subject, midpoints(NESTED))
    errors = torch.stack([_errors(a, b) for a, b in zip(found, exact, strict=True)])
    row = {
        "network": subject.name,
        "points": float(points.double().mean()),
        "most": int(points.max()),
        "within": float((errors <= 0.01).double().mean()),
    }
    print(row, flush=True)
    return row


def class_mean(
    subject: Subject, layer: str, count: int, *, label: int | None = None
) -> dict[str, object]:
    """Compare the mean over pictures, from 4 points each, with its sampling error."""
    images = subject.images[:count] if label is None else _of_class(label, count)
    one = Subject(subject.name, subject.model, images, subject.labels[:count], (layer,))
    ((exact,),) = influences(one, midpoints(162))
    ((rough,),) = influences(one, StratifiedPath(0.0, n=4))
    ((plain,),) = influences(one, midpoints(4))
    exact, rough, plain = (t.double() for t in (exact, rough, plain))
    sampling = (exact.var(dim=0) / len(exact)).sum().sqrt()
    row = {
        "network": subject.name,
        "pictures": len(exact),
        "stratified": float((rough.mean(0) - exact.mean(0)).norm() / sampling),
        "midpoints": float((plain.mean(0) - exact.mean(0)).norm() / sampling),
    }
    print(row, flush=True)
    return row


def draw(rows: Sequence[dict[str, object]], path: Path) -> None:
    """Draw error against points, one panel for each network."""
    import matplotlib.pyplot as plt

    networks = list(dict.fromkeys(row["network"] for row in rows))
    columns = -(-len(networks) // 2)
    figure, axes = plt.subplots(
        2, columns, figsize=(3.3 * columns, 6.2), sharex=True, sharey="row", layout="constrained"
    )
    for axis, network in zip(axes.flat, networks, strict=False):
        for rule, style in _STYLES.items():
            own = [row for row in rows if (row["network"], row["rule"]) == (network, rule)]
            axis.loglog([r["n"] for r in own], [r["error"] for r in own], label=rule, **style)
        axis.axhline(0.01, color="0.7", linewidth=0.8, zorder=0)
        axis.set_title(network, fontsize=10)
        axis.set_xticks([3, 10, 30, 100], ["3", "10", "30", "100"])
        axis.minorticks_off()
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes[:, 0]:
        axis.set_ylabel("relative L2 error")
    for axis in axes[-1]:
        axis.set_xlabel("points")
    handles, names = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncol=len(names), frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


_STYLES: dict[str, dict[str, object]] = {
    "Midpoint": {"color": "#0072b2", "marker": "o", "markersize": 4},
    "GaussLegendre": {"color": "#d55e00", "marker": "s", "markersize": 4},
    "Trapezoid": {"color": "#009e73", "linestyle": "--"},
    "LeftRiemann": {"color": "#888888", "linestyle": ":"},
    "RightRiemann": {"color": "#444444", "linestyle": ":"},
    "StratifiedPath": {"color": "#cc79a7", "linestyle": "-."},
}


def _of_class(label: int, count: int) -> Tensor:
    from captum_influence.demo import CLASSES, SceneDataset

    dataset = SceneDataset(count, seed=1_000_003, classes=(CLASSES[label],))
    return dataset.stacked()[0]


def _norms(tensor: Tensor) -> Tensor:
    return tensor.double().flatten(1).norm(dim=1)


def _errors(found: Tensor, exact: Tensor) -> Tensor:
    """Return the relative L2 error of each picture."""
    return _norms(found - exact) / _norms(exact).clamp(min=1e-30)


def _agreement(found: Tensor, exact: Tensor) -> Tensor:
    """Return the share of the ten units of largest influence that both name."""
    ours, theirs = (t.flatten(1).abs().topk(10).indices for t in (found, exact))
    return (ours.unsqueeze(2) == theirs.unsqueeze(1)).any(dim=2).double().mean(dim=1)


if __name__ == "__main__":
    sys.exit(main())
