"""The tables of the documentation on training images: see ``benchmarks.tables``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import mean
from typing import Any

from benchmarks.markdown import table

Row = dict[str, Any]


def settings(found: Row) -> str:
    """How well the scores of each setting predict retraining, on both data sets."""
    data = ("CIFAR-10", "digits")
    both = [found[name]["settings"] for name in data]
    rows = []
    for name in both[0]:
        cells: list[str] = []
        for one in both:
            low, high = one[name]["minus default"][1:]
            cells.append(f"{one[name]['lds'][0]:.3f}")
            cells.append("" if low == high else f"{low:+.3f} … {high:+.3f}")
        rows.append((name, *cells))
    heads = ["scores", *(cell for name in data for cell in (name, "against the defaults"))]
    return table(heads, rows)


def mislabelled(found: Row) -> str:
    """How many of the images that come first are mislabelled, by each ranking and seed."""
    studies = list(found["studies"].values())
    heads = ["ranked by", "networks", "mean", *(f"seed {i}" for i in range(len(studies)))]
    rows = []
    for key in ("one network", "3 networks", "by influence"):
        networks = 3 if key == "3 networks" else 1
        rows += [
            (name, networks, *_cells([study[key][name] for study in studies]))
            for name in studies[0][key]
        ]
    chance = [0.1] * len(studies)
    return table(heads, [*rows, ("at random", "", *_cells(chance))])


def layers(found: Row) -> str:
    """Each layer's share of the influence, and what retraining it alone repairs."""
    rows = []
    for seed, study in enumerate(found["studies"].values()):
        parts = study["layers"].values()
        rows.append((seed, *(f"{x['share']:.0%}, {x['effect']:+.3f}" for x in parts)))
    names = next(iter(found["studies"].values()))["layers"]
    return table(["seed", *(f"`{name}`: share, repaired" for name in names)], rows)


def planted(found: Row) -> str:
    """Planted images among the first 20, by influence and by what needs none."""
    studies = found["planted"].values()
    heads = ["planted", "test images", "influence, normalised", "influence, raw",
             "nearest features", "any of the class"]  # fmt: skip
    names = ("normalized global", "raw global", "nearest in features", "of the class, at random")
    rows = []
    for kind in ("texture", "style", "background"):
        asked = [study[kind]["into 3"] for study in studies]
        known = [one for one in asked if one["queries"]]
        counts = ", ".join(str(one["queries"]) for one in asked)
        rows.append((kind, counts, *(_spread(known, name) for name in names)))
    return table(heads, rows)


def disturbed(found: Row) -> str:
    """How much stronger influence is on disturbed pictures, and in how many seeds clearly so."""
    studies = list(found["studies"].values())
    groups = list(studies[0]["shares"])[1:]
    parts = [q for q in _quantities(studies[0]) if q != "loss"]
    rows = []
    for group in groups:
        cells = []
        for quantity in ("loss", *parts):
            own = [_one(study, group, quantity) for study in studies]
            clear = sum(one["adjusted"] < 0.05 for one in own)
            base = 1.0 if quantity == "loss" else mean(_strength(s, quantity) for s in studies)
            change = mean(one["mean"] for one in own) / base
            shown = f"{change:+.2f}" if quantity == "loss" else f"{change:+.0%}"
            cells.append(f"{shown}, {clear} of {len(own)}")
        moved = max(
            abs(s["shares"][group][k] - v)
            for s in studies
            for k, v in s["shares"]["original"].items()
        )
        rows.append((group, *cells, f"{moved:.3f}"))
    names = (q.removeprefix("influence strength, ") for q in parts)
    named = (name if " " in name else f"`{name}`" for name in names)
    return table(["pictures", "loss", *named, "shares moved by at most"], rows)


def peers(found: Row) -> str:
    """What each method costs and finds, mean over the seeds."""
    studies = list(found["peers"].values())
    units = (
        ("build cpu seconds", ".1f"),
        ("query cpu seconds", ".2f"),
        ("bytes per example", ",.0f"),
        ("recall", ".2f"),
        ("lds", ".3f"),
    )
    rows = [
        (name, *(f"{mean(s[name][key] for s in studies):{unit}}" for key, unit in units))
        for name, first in studies[0].items()
        if isinstance(first, dict)
    ]
    queries = studies[0]["queries"]
    return table(
        ["", "build, CPU s", f"{queries} queries, CPU s", "bytes per example",
         "of the first 100", "predicts retraining"],
        rows,
    )  # fmt: skip


def growth(found: Row) -> str:
    """What an index costs by the number of pictures, with the exponents of the powers that fit."""
    rows = [
        (n["examples"], f"{n['build']:.1f}", f"{n['query']:.2f}", f"{n['bytes'] / 1e6:.0f}")
        for n in found["rows"]
    ]
    names = ("build", "query", "bytes")
    rows.append(("exponent", *(f"{found['exponents'][name]:.2f}" for name in names)))
    return table(["pictures", "build, CPU s", "100 queries, CPU s", "MB"], rows)


def processes(found: Row) -> str:
    """How much faster several processes build an index than one."""
    one = found["processes"][0]
    rows = [
        (
            row["processes"],
            *(f"{row[name]:.1f}" for name in ("wall", "slowest cpu")),
            *(f"{one[name] / row[name]:.2f}" for name in ("wall", "slowest cpu")),
        )
        for row in found["processes"]
    ]
    heads = ["processes", "wall, s", "CPU s of the slowest", "times faster by wall", "by CPU"]
    return table(heads, rows)


def _quantities(study: Row) -> list[str]:
    return list(dict.fromkeys(one["quantity"] for one in study["differences"]))


def _one(study: Row, group: str, quantity: str) -> Row:
    found = (one for one in study["differences"] if one["group"] == group)
    return next(one for one in found if one["quantity"] == quantity)


def _strength(study: Row, quantity: str) -> float:
    return float(study["strength"]["original"][quantity.removeprefix("influence strength, ")])


def _spread(rows: Sequence[Mapping[str, float]], name: str) -> str:
    values = [row[name] for row in rows]
    return f"{mean(values):.2f} ({min(values):.2f} … {max(values):.2f})"


def _cells(values: Sequence[float]) -> list[str]:
    return [f"{mean(values):.3f}", *(f"{value:.3f}" for value in values)]


_MISLABELLED = "python -m benchmarks.training.mislabelled"
_PLANTED = "python -m benchmarks.training.planted --seeds 5 --first-seed 10"

TABLES: dict[str, tuple[str, str, Callable[[Row], str]]] = {
    "training_settings": ("training_settings", "python -m benchmarks.training.settings", settings),
    "training_mislabelled": ("training_mislabelled", _MISLABELLED, mislabelled),
    "training_layers": ("training_mislabelled", _MISLABELLED, layers),
    "training_disturbed": (
        "training_disturbed",
        "python -m benchmarks.training.disturbed",
        disturbed,
    ),
    "training_growth": ("training_growth", "python -m benchmarks.training.growth", growth),
    "training_processes": ("training_growth", "python -m benchmarks.training.growth", processes),
    "training_peers": (
        "training_peers",
        "python -m benchmarks.training.peers --images 1000 --halves 20 --seeds 1",
        peers,
    ),
    "training_planted": ("training_planted", _PLANTED, planted),
}
