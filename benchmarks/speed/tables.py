"""The tables of the documentation on cost: see ``benchmarks.tables``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.markdown import percent, table

Row = dict[str, Any]


def speed(found: Row) -> str:
    """CPU time and wall time against Captum's; the ratio is the median of the rounds' ratios."""
    rows = [(row["network"], row["name"], *_timing(row)) for row in found["rows"]]
    return table(["network", "question", "Captum, s", *_TIMING], rows)


def cuda(found: Row) -> str:
    """The same on a GPU, where wall time counts; what failed, and what was checked."""
    heads = ["network", "what", "Captum, s", "ours, s", "times faster", "difference", "peak MB"]
    names = ("peer_wall", "ours_wall", "ratio_wall", "difference", "peak_MB")
    rows = [
        (
            row["network"],
            row["name"],
            *(f"{row[name]:.3g}" if name in row else "" for name in names[:-1]),
            row.get("error", f"{row.get('peak_MB', 0):.0f}"),
        )
        for row in found["rows"]
    ]
    return table(heads, rows)


def memory(found: Row) -> str:
    """Peak memory beyond the network and its inputs."""
    rows = [
        (
            _WHO.get(r["who"], r["who"]),
            r["network"],
            r["images"],
            r["points"],
            r["rows"] or "default",
            r["MB"],
        )
        for r in found["rows"]
    ]
    return table(["who", "network", "images", "points", "rows at once", "MB"], rows)


def utilization(found: Row) -> str:
    """How near to the machine's own rate."""
    rows = [
        (
            row["network"],
            row["name"],
            f"{row['GFLOP']:.0f}",
            f"{row['seconds']:.2f}",
            f"{100 * row['share_of_rate']:.0f} %",
        )
        for row in found["rows"]
    ]
    return table(["network", "question", "GFLOP", "seconds", "share of the rate"], rows)


def operations(found: Row) -> str:
    """Where the time of those runs goes, in percent."""
    kinds = list(dict.fromkeys(kind for row in found["rows"] for kind in row["profile"]))
    rows = [
        (row["network"], row["name"], *(percent(row["profile"].get(kind, 0.0)) for kind in kinds))
        for row in found["rows"]
    ]
    return table(["network", "question", *kinds], rows)


def peers(found: Row) -> str:
    """Others than Captum with its defaults."""
    rows = [(row["peer"], row["network"], row["name"], *_timing(row)) for row in found["rows"]]
    return table(["against", "network", "question", "theirs, s", *_TIMING], rows)


def patching(found: Row) -> str:
    """Estimates of patching in a GPT-2, in processes of their own, ours and theirs in turn."""
    asked = {
        "nodes": ("EAP-IG, 24 cuts", "a loop by hand"),
        "embedding": ("integrated gradients at the embedding", "Captum's LayerIntegratedGradients"),
    }
    rows = [
        (
            *asked[row["what"]],
            f"{row['theirs s']:.2f}",
            f"{row['ours s']:.2f}",
            f"{row['ratio']:.2f}",
            f"{row['difference']:.0e}",
        )
        for row in found["rows"]
    ]
    heads = ["question", "against", "theirs, s", "ours, s", "ours of theirs", "difference of norms"]
    return table(heads, rows)


def choices(found: Row) -> str:
    """The best and the worst by hand, in CPU time over that of the defaults."""
    rows = []
    for network in dict.fromkeys(row["network"] for row in found["rows"]):
        tried = [row for row in found["rows"] if row["network"] == network]
        tried.sort(key=lambda row: row["of the defaults"])
        ends = (tried[0], tried[-1])
        said = [(row["by hand"], f"{row['of the defaults']:.2f}") for row in ends]
        rows.append((network, tried[0]["points"], len(tried), *said[0], *said[1]))
    heads = ["network", "points", "tried", "best by hand", "of the defaults' time"]
    return table([*heads, "worst by hand", "of the defaults' time"], rows)


def growth(found: Row) -> str:
    """Exponents: 1 is in proportion, 0 is for nothing."""
    who = {(row["what"], row["who"]): row for row in found["exponents"]}
    rows = [
        (what, *(f"{who[what, side][at]:.2f}" for side in ("ours", "captum") for at in _AT))
        for what in dict.fromkeys(what for what, _ in who)
    ]
    return table(["seconds against", "ours", "at the end", "Captum", "at the end"], rows)


def _seconds(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def _timing(row: Row) -> tuple[str, ...]:
    return (
        *(_seconds(row[name]) for name in ("peer_cpu", "ours_cpu")),
        *(f"{row[name]:.2f}" for name in ("ratio", "ratio_wall")),
        f"{row['difference']:.0e}",
    )


_WHO = {"captum": "Captum"}
_TIMING = ("ours, s", "times faster", "in wall time", "difference")
_AT = ("all", "largest")
_RUN, _OUT = "python -m benchmarks.speed.", "--out benchmarks/results/"
_AGAINST = f"{_RUN}against_captum"

TABLES: dict[str, tuple[str, str, Callable[[Row], str]]] = {
    "speed": ("cpu", f"{_AGAINST} {_OUT}cpu.json", speed),
    "cuda": ("cuda", "python -m benchmarks.cuda", cuda),
    "memory": ("memory", f"{_RUN}memory {_OUT}memory.json", memory),
    "floor": ("utilization", f"{_RUN}utilization {_OUT}utilization.json", utilization),
    "profile": ("utilization", f"{_RUN}utilization {_OUT}utilization.json", operations),
    "patching": ("patching", f"{_RUN}patching {_OUT}patching.json", patching),
    "choices": ("choices", f"{_RUN}choices {_OUT}choices.json", choices),
    "growth": ("growth", f"{_RUN}growth", growth),
    "peers": ("peers", f"{_RUN}peers", peers),
}
