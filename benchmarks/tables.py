"""``python -m benchmarks.tables``: the tables of the documentation, from ``benchmarks/results``.

Where a result is absent, the page says which command writes it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

RESULTS, PAGES = Path("benchmarks/results"), Path("docs/_generated")
Row = dict[str, Any]


def main(arguments: list[str] | None = None) -> int:
    """Write every table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables", description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--pages", type=Path, default=PAGES)
    asked = parser.parse_args(arguments)
    asked.pages.mkdir(parents=True, exist_ok=True)
    for name, (source, command, table) in TABLES.items():
        path = asked.results / f"{source}.json"
        if path.is_file():
            found = json.loads(path.read_text(encoding="utf-8"))
            text = f"{table(found)}\n\n{provenance(found['machine'], command)}\n"
        else:
            text = f"*Not measured yet: `{command}`, then `python -m benchmarks.tables`.*\n"
        (asked.pages / f"{name}.md").write_text(text, encoding="utf-8")
    print(f"wrote {len(TABLES)} tables to {asked.pages}")
    return 0


def provenance(machine: Row, command: str) -> str:
    """Say where the figures come from."""
    threads = f"{machine['threads']} thread" + ("s" if machine["threads"] != 1 else "")
    return (
        f"*`{command}`, {machine['date']}: {machine['device']}, {threads}, "
        f"torch {machine['torch']}, Captum {machine['captum']}, Python {machine['python']}.*"
    )


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table; the columns from the second of numbers on are set right."""
    rows = [[str(cell) for cell in row] for row in rows]
    numeric = [
        bool(rows) and all(_is_number(row[i]) for row in rows if row[i]) for i in range(len(heads))
    ]
    rule = ["---:" if right else "---" for right in numeric]
    return "\n".join("| " + " | ".join(line) + " |" for line in (heads, rule, *rows))


def speed(found: Row) -> str:
    """CPU time and wall time against Captum's; the ratio is the median of the rounds' ratios."""
    rows = [(row["network"], row["name"], *_timing(row)) for row in found["rows"]]
    return table(["network", "question", "Captum, s", *_TIMING], rows)


def wall(found: Row) -> str:
    """The same on a GPU, where only wall time counts."""
    heads = ["network", "question", "Captum, s", "ours, s", "times faster", "difference"]
    rows = [
        (
            row["network"],
            row["name"],
            f"{row['peer_wall']:.3g}",
            f"{row['ours_wall']:.3g}",
            f"{row['ratio_wall']:.2f}",
            f"{row['difference']:.0e}",
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


def floor(found: Row) -> str:
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


def profile(found: Row) -> str:
    """Where the time of those runs goes, in percent."""
    kinds = list(dict.fromkeys(kind for row in found["rows"] for kind in row["profile"]))
    rows = [
        (row["network"], row["name"], *(_percent(row["profile"].get(kind, 0.0)) for kind in kinds))
        for row in found["rows"]
    ]
    return table(["network", "question", *kinds], rows)


def peers(found: Row) -> str:
    """Others than Captum with its defaults."""
    rows = [(row["peer"], row["network"], row["name"], *_timing(row)) for row in found["rows"]]
    return table(["against", "network", "question", "theirs, s", *_TIMING], rows)


def _seconds(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def _timing(row: Row) -> tuple[str, ...]:
    return (
        *(_seconds(row[name]) for name in ("peer_cpu", "ours_cpu")),
        *(f"{row[name]:.2f}" for name in ("ratio", "ratio_wall")),
        f"{row['difference']:.0e}",
    )


def points_errors(found: Row) -> str:
    """Median relative error of each rule at 18 and 54 points, in percent, by network."""
    curves = found["curves"]
    networks = list(dict.fromkeys(row["network"] for row in curves))
    values = {(r["network"], r["rule"], r["n"]): r for r in curves}
    rows = [
        (rule, n, *(_percent(values[network, rule, n]["error"]) for network in networks))
        for n in (6, 18, 54)
        for rule in dict.fromkeys(row["rule"] for row in curves)
    ]
    return table(["rule", "points", *networks], rows)


def points_top10(found: Row) -> str:
    """Agreement of the ten most influential units, by network."""
    curves = found["curves"]
    networks = list(dict.fromkeys(row["network"] for row in curves))
    values = {(r["network"], r["rule"], r["n"]): r for r in curves}
    rows = [
        (rule, n, *(f"{10 * values[network, rule, n]['top10']:.1f}" for network in networks))
        for n in (6, 18, 54)
        for rule in ("Midpoint", "GaussLegendre")
    ]
    return table(["rule", "points", *networks], rows)


def points_bounds(found: Row) -> str:
    """The error as a share of the estimate."""
    rows = [
        (
            r["network"],
            r["n"],
            r["cases"],
            f"{100 * r['bounded'] / r['cases']:.1f} %",
            f"{r['median']:.2f}",
            f"{r['largest']:.2f}",
        )
        for r in found["bounds"]
    ]
    heads = ["network", "points", "examples × layers", "at most 0.45", "median", "largest"]
    return table(heads, rows)


def points_auto(found: Row) -> str:
    """What n="auto" takes at 1 %."""
    rows = [
        (r["network"], f"{r['points']:.1f}", r["most"], f"{100 * r['within']:.0f} %")
        for r in found["auto"]
    ]
    return table(["network", "points, mean", "points, most", "error below 1 %"], rows)


def points_means(found: Row) -> str:
    """The error of a mean over pictures, from 4 points for each."""
    rows = [
        (r["network"], r["pictures"], f"{r['stratified']:.2f}", f"{r['midpoints']:.2f}")
        for r in found["class_means"]
    ]
    heads = ["network", "pictures", "`StratifiedPath(n=4)`", "4 midpoints for each"]
    return table(heads, rows)


def _percent(share: float) -> str:
    percent = 100 * share
    return f"{percent:.1f} %" if percent >= 0.1 else f"{percent:.1g} %"


def _is_number(cell: str) -> bool:
    try:
        float(cell.removesuffix(" %"))
    except ValueError:
        return False
    return True


_WHO = {"captum": "Captum"}
_BENCH, _POINTS = "python -m benchmarks", "python -m benchmarks.points"
_EXPERTS = "python -m benchmarks.experts --out benchmarks/results"
_POINTING = "python -m benchmarks.pointing --out benchmarks/results"
_WRONG = "python -m benchmarks.wrong_answers --out benchmarks/results"


def experts_f1(found: Row) -> str:
    """F1 of experts of k units, by ranking, averaged over the classes."""
    shown = (4, 8, 16, 32, 64)
    rows = []
    for row in found["rows"]:
        if "experts" not in row:
            continue
        curves = row["experts"]
        places = [curves["k"].index(k) for k in shown]
        names = [name for name in curves if name not in ("k", "whole network")]
        rows += [
            (
                row["network"],
                name,
                *(f"{curves[name][i]:.2f}" for i in places),
                f"{curves['whole network']:.2f}",
            )
            for name in names
        ]
    return table(["network", "ranked by", *(f"k = {k}" for k in shown), "all"], rows)


def experts_ablation(found: Row) -> str:
    """Rank correlation with the exact removal of each unit, over held-out pictures."""
    heads = ["network", "layer", "over", "contribution", "influence", "activation",
             "sizes: influence", "sizes: activation"]  # fmt: skip
    rows = []
    for row in found["rows"]:
        if "P" in row:
            signed, sizes = row["by picture"], row["by picture, sizes"]
            names = ("contribution", "influence", "activation")
            numbers = [signed[n][0] for n in names] + [sizes[n][0] for n in names[1:]]
            cells = [f"{number:.2f}" for number in numbers]
            rows.append((row["network"], f"`{row['layer']}`", row["P"], *cells))
    return table(heads, rows)


def wrong_answers(found: Row) -> str:
    """How many wrong answers are righted by removing at most 16 units, and at what cost."""
    heads = ["put in their place", "influence over", "righted", "to a third class",
             "random sets: righted", "random sets: changed", "units: median, most",
             "right before, right after: mean, least", "the same, random units"]  # fmt: skip
    rows = []
    for row in found["rows"]:
        shares = [
            row[name]
            for name in (
                "flipped to the true class",
                "moved to a third class",
                "random sets: to the true class",
                "random sets: away",
            )
        ]
        after, random = (
            row["accuracy on what was right: mean, least"],
            row["the same, random units"],
        )
        rows.append(
            (
                "zero" if row["replace"] == "0" else "the mean",
                row["distribution"],
                *(f"{share:.1%}" for share in shares),
                "{}, {}".format(*row["units of a flip: median, most"]),
                *("{:.1%}, {:.1%}".format(*pair) for pair in (after, random)),
            )
        )
    return table(heads, rows)


def pointing_layers(found: Row) -> str:
    """How often the coupe's top unit looks at the roof, by layer."""
    heads = ["ranked by", "over", "layer", "comparative: through the unit", "the unit itself",
             "class score: through the unit", "the unit itself"]  # fmt: skip
    rows = [row for row in found["rows"] if row["class"] == "coupe" and "focus" in row]
    places = dict.fromkeys((row["by"], row["over"], row["layer"]) for row in rows)
    cells = {(r["by"], r["over"], r["layer"], r["quantity"], r["focus"]): _hits(r) for r in rows}
    asked = [(q, focus) for q in ("comparative", "class score") for focus in ("quantity", "unit")]
    ordered = sorted(places, key=lambda place: (place[0], place[1] == "path"))
    return table(
        heads,
        [
            (by, over, f"`{layer}`", *(cells[by, over, layer, q, focus] for q, focus in asked))
            for by, over, layer in ordered
        ],
    )


def pointing_classes(found: Row) -> str:
    """The same for each of the twins, beside Captum's methods; and what chance gets."""
    rows = found["rows"]
    methods = list(dict.fromkeys(row["method"] for row in rows if "method" in row))
    heads = ["class", "quantity", "`relu4`", "`relu5`", *methods, "chance"]
    lines = []
    for name, quantity in dict.fromkeys((row["class"], row["quantity"]) for row in rows):
        own = [row for row in rows if (row["class"], row["quantity"]) == (name, quantity)]
        units = {
            row["layer"]: _hits(row)
            for row in own
            if "focus" in row
            and (row["over"], row["by"], row["focus"]) == ("point", "contribution", "quantity")
        }
        others = {row["method"]: _hits(row) for row in own if "method" in row}
        chance = f"{own[0]['chance']:.2f}"
        cells = (units["relu4"], units["relu5"], *(others[m] for m in methods))
        lines.append((name, quantity, *cells, chance))
    return table(heads, lines)


def pointing_several(found: Row) -> str:
    """Where the first 1, 3 and 8 units look together: at the part, at the rest of the object."""
    rows = [row for row in found["rows"] if "units" in row]
    cells = {(r["class"], r["quantity"], r["layer"], r["units"]): r for r in rows}
    counts = list(dict.fromkeys(row["units"] for row in rows))
    heads = ["class", "quantity", "layer", "of it, the first unit",
             *(f"first {k}: part" for k in counts),
             *(f"first {k}: rest" for k in counts)]  # fmt: skip
    lines = []
    for name, quantity, layer in dict.fromkeys(key[:3] for key in cells):
        own = [cells[name, quantity, layer, k] for k in counts]
        part, rest = [_hits(row) for row in own], [f"{row['rest']:.2f}" for row in own]
        lines.append((name, quantity, f"`{layer}`", f"{own[0]['share']:.0%}", *part, *rest))
    return table(heads, lines)


def pointing_networks(found: Row) -> str:
    """The coupe's top unit by contribution at the point, in other trainings of the network."""
    rows = [r for r in found["rows"] if (r["by"], r["focus"]) == ("contribution", "quantity")]
    layers = list(dict.fromkeys(row["layer"] for row in rows))
    cells = {(r["network"], r["quantity"], r["layer"]): _hits(r) for r in rows}
    asked = dict.fromkeys(key[:2] for key in cells)
    lines = [(n.replace("_", " "), q, *(cells[n, q, layer] for layer in layers)) for n, q in asked]
    return table(["training", "quantity", *(f"`{layer}`" for layer in layers)], lines)


def _hits(row: Row) -> str:
    """Return a share of pictures with its standard error."""
    share = row["smoothed"]
    return f"{share:.2f} ± {(share * (1 - share) / row['images']) ** 0.5:.2f}"


_TIMING = ("ours, s", "times faster", "in wall time", "difference")

TABLES: dict[str, tuple[str, str, Callable[[Row], str]]] = {
    "speed": ("cpu", f"{_BENCH} --out benchmarks/results/cpu.json", speed),
    "cuda": ("cuda", f"{_BENCH} --device cuda --out benchmarks/results/cuda.json", wall),
    "memory": ("memory", f"{_BENCH} --memory --out benchmarks/results/memory.json", memory),
    "floor": ("floor", f"{_BENCH} --floor --out benchmarks/results/floor.json", floor),
    "profile": ("floor", f"{_BENCH} --floor --out benchmarks/results/floor.json", profile),
    "peers": ("peers", f"{_BENCH}.peers", peers),
    "points_errors": ("points", _POINTS, points_errors),
    "points_top10": ("points", _POINTS, points_top10),
    "points_bounds": ("points", _POINTS, points_bounds),
    "points_auto": ("points", _POINTS, points_auto),
    "points_means": ("points", _POINTS, points_means),
    "experts_f1": ("experts", _EXPERTS, experts_f1),
    "experts_ablation": ("experts", _EXPERTS, experts_ablation),
    "wrong_answers": ("wrong_answers", _WRONG, wrong_answers),
    "pointing_layers": ("pointing", _POINTING, pointing_layers),
    "pointing_classes": ("pointing", _POINTING, pointing_classes),
    "pointing_several": ("pointing", _POINTING, pointing_several),
    "pointing_networks": ("pointing_networks", f"{_POINTING} --weights ...", pointing_networks),
}

if __name__ == "__main__":
    sys.exit(main())
