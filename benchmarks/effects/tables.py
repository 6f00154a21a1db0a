"""The tables of the documentation on effects: see ``benchmarks.tables``."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.markdown import table

Row = dict[str, Any]


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
    heads = ["layer", "put in their place", "search", "righted",
             "classes beside the truth: reached", "a class at random: reached",
             "random sets: righted", "truth took fewer units", "units: median, most",
             "to one beside", "to one at random",
             "right before, right after: mean, least", "the same, random units"]  # fmt: skip
    reached = ("flipped to the true class", "wrong classes beside the truth: reached",
               "a class at random: reached")  # fmt: skip
    sizes = ("units of a flip", "units to one beside", "units to one at random")
    rows = []
    for row in found["rows"]:
        spared = (row["accuracy on what was right: mean, least"], row["the same, random units"])
        rows.append(
            (
                f"`{row['layer']}`",
                "zero" if row["replace"] == "0" else "the mean",
                f"{row['search']}, n = {row['wrong answers']}",
                *(_within(row[name]) for name in reached),
                f"{row['random sets: to the true class']:.1%}",
                f"{row['truth took fewer than wrong classes']:.0%}",
                *("{:g}, {}".format(*row[f"{name}: median, most"]) for name in sizes),
                *("{:.1%}, {:.1%}".format(*pair) for pair in spared),
            )
        )
    return table(heads, rows)


def papers_generalising(found: Row) -> str:
    """How many of the ten first units two pictures share."""
    pairs = ("same class", "other class, same score", "other class")
    heads = ["layer", "first by", "same class", "other class, asked about the same score",
             "other class"]  # fmt: skip
    rows = [
        (
            f"`{row['layer']}`, of {row['units']}",
            row["ranked by"],
            *(_within(row[p]) for p in pairs),
        )
        for row in found["generalising"]
    ]
    return table(heads, rows)


def papers_weights(found: Row) -> str:
    """How alike each method's answers are once weights are permuted."""
    heads = ["method", "last layer permuted", "all layers permuted"]
    rows = [
        (row["method"], _within(row["last layer"]), _within(row["all layers"]))
        for row in found["weights"]
    ]
    return table(heads, rows)


def papers_shapley(found: Row) -> str:
    """How well each map agrees with Shapley values of patches."""
    rows = [(row["method"], _within(row["rank correlation"])) for row in found["shapley"]]
    return table(["map", "rank correlation with Shapley values"], rows)


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


def concepts_share(found: Row) -> str:
    """Which share the first five concepts, and channels, have; whether estimates order effects."""
    heads = ["layer", "k", "fitted to", "five concepts hold", "by number", "five channels hold",
             "times", "agreement: concepts", "channels"]  # fmt: skip
    rows = [
        (
            f"`{row['layer']}`",
            row["k"],
            row["fitted to"],
            _between(row["concepts: share"], "{:.0%}"),
            f"{5 / row['k']:.0%}",
            _between(row["channels: share"], "{:.0%}"),
            _between(row["share, to channels'"], "{:.1f}"),
            *(_between(row[f"{name}: agreement"], "{:.2f}") for name in ("concepts", "channels")),
        )
        for row in found["rows"]
    ]
    return table(heads, rows)


def concepts_removed(found: Row) -> str:
    """How often the answer changes, and what its score loses, without three concepts."""
    names = ("concepts", "random concepts", "channels, as far", "channels", "concepts, as little")
    heads = ["layer", "k", "fitted to", "three concepts", "three at random",
             "channels that move it as far", "three channels",
             "three concepts, in part: no further than these"]  # fmt: skip
    rows = [
        (
            f"`{row['layer']}`",
            row["k"],
            row["fitted to"],
            *(f"{row[f'{n}: changed'][0]:.0%}, {row[f'{n}: loss'][0]:.1f}" for n in names),
        )
        for row in found["rows"]
    ]
    return table(heads, rows)


def prompts(found: Row) -> str:
    """Whether estimates of heads and neurons order what replacing each of them does."""
    heads = ["compared with, gradients taken", "heads", "error", "neurons", "error"]
    rows = [
        (
            f"{row['setting']}, n = {row['pairs']}",
            *(
                _between(row[f"{kind}: {what}"], "{:.3f}" if what == "agreement" else "{:.0%}")
                for kind in ("heads", "neurons")
                for what in ("agreement", "error")
            ),
        )
        for row in found["rows"]
    ]
    return table(heads, rows)


def _between(interval: list[float], form: str) -> str:
    """Return a mean and the ends of its interval."""
    mean, low, high = (form.format(value) for value in interval)
    return f"{mean} ({low} to {high})"


def maps(found: Row) -> str:
    """How each map stands insertion − deletion, and the differences on the same pictures."""
    rows = found["rows"]
    heads = ["map", *(f"{_short(row)}, n = {row['pictures']}" for row in rows)]
    lines = [(name, *(_within(row["tests"][name]) for row in rows)) for name in rows[0]["tests"]]
    for name in ("heat less prior", "overlay less prior", "overlay less best rival"):
        lines.append((f"*{name}*", *(_within(row[name]) for row in rows)))
        held_out = (_within(row["held out"][name]) for row in rows)
        lines.append(("*the same, on the half held out*", *held_out))
    chosen = ("; ".join(f"{name} {n}" for name, n in row["chosen"].items()) for row in rows)
    return table(heads, [*lines, ("*the overlay was*", *chosen)])


def rankings_zero(found: Row) -> str:
    """Rank correlation of rankings with the removal of each unit alone, zero in its place."""
    return _rankings(found, "zero")


def rankings_mean(found: Row) -> str:
    """The same with the unit's mean over other pictures in its place."""
    return _rankings(found, "mean")


def circuits(found: Row) -> str:
    """What circuits bring back, by their size and what scores edges, beside random ones."""
    rows = [
        (
            row["way"],
            *(f"{share:.2f}".replace("-", "−") for share in row["shares"]),
            *(f"{row[name]:.2f}" if name in row else "–" for name in ("agreement", "attending")),
        )
        for row in sorted(found["rows"], key=lambda row: row["way"].startswith("random"))
    ]
    sizes = [f"{size} edges" for size in found["sizes"]]
    return table(["edges are scored", *sizes, "with removals", "of queries and keys"], rows)


def routes(found: Row) -> str:
    """What the best route of a pair carries, and what goes without it, beside random ones."""
    heads = ["network", "best route: share of what tokens do", "random routes", "all routes",
             "goes without the best route", "without a random one",
             "the best takes more than"]  # fmt: skip
    names = ("share", "random share", "all routes", "lost", "random lost", "loses more than")
    rows = [
        (f"{row['network']}, n = {row['pairs']}", *(_with_interval(row[name]) for name in names))
        for row in found["rows"]
    ]
    return table(heads, rows)


def _with_interval(found: Sequence[float]) -> str:
    mean, low, high = (f"{100 * share:.0f}".replace("-", "−") for share in found)
    return f"{mean} % ({low} to {high})"


def _rankings(found: Row, replace: str) -> str:
    rows = [row for row in found["rows"] if row["replace"] == replace]
    names = dict.fromkeys(name for row in rows for name in row["rho"])
    heads = ["ranking", *(f"{_short(row)}, n = {row['pictures']}" for row in rows)]
    return table(heads, [(name, *(_rho(row, name) for row in rows)) for name in names])


def _rho(row: Row, name: str) -> str:
    """Return a correlation; starred where it is better than the default's beyond its interval."""
    if name not in row["rho"]:
        return "–"
    star = "\\*" if row["better than the default by"][name][1] > 0 else ""
    return _within(row["rho"][name]) + star


def _short(row: Row) -> str:
    return f"{row['network'].partition(' ')[0]} `{row['layer']}`"


def _within(found: Sequence[float]) -> str:
    """Return a mean with its interval, without leading zeros."""
    mean, low, high = (f"{value:.2f}".replace("-", "−") for value in found)
    return re.sub(r"(?<!\d)0\.", ".", f"{mean} [{low}, {high}]")


def _hits(row: Row) -> str:
    """Return a share of pictures with its standard error."""
    share = row["smoothed"]
    return f"{share:.2f} ± {(share * (1 - share) / row['images']) ** 0.5:.2f}"


_RUN, _OUT = "python -m benchmarks.effects.", "--out benchmarks/results"
_EXPERTS, _WRONG = f"{_RUN}experts {_OUT}", f"{_RUN}wrong_answers {_OUT}"
_POINTING = f"{_RUN}pointing {_OUT}"
_MAPS, _RANKINGS = f"{_RUN}maps {_OUT}", f"{_RUN}rankings {_OUT}"
_CONCEPTS, _PAPERS = f"{_RUN}concepts {_OUT}", f"{_RUN}papers {_OUT}"

TABLES: dict[str, tuple[str, str, Callable[[Row], str]]] = {
    "experts_f1": ("experts", _EXPERTS, experts_f1),
    "experts_ablation": ("experts", _EXPERTS, experts_ablation),
    "concepts_share": ("concepts", _CONCEPTS, concepts_share),
    "concepts_removed": ("concepts", _CONCEPTS, concepts_removed),
    "prompts": ("prompts", "python -m benchmarks.effects.prompts", prompts),
    "maps": ("maps", _MAPS, maps),
    "rankings_zero": ("rankings", _RANKINGS, rankings_zero),
    "circuits": ("circuits", f"{_RUN}circuits {_OUT}", circuits),
    "routes": ("routes", f"{_RUN}routes {_OUT}", routes),
    "rankings_mean": ("rankings", _RANKINGS, rankings_mean),
    "wrong_answers": ("wrong_answers", _WRONG, wrong_answers),
    "papers_generalising": ("papers", _PAPERS, papers_generalising),
    "papers_weights": ("papers", _PAPERS, papers_weights),
    "papers_shapley": ("papers", _PAPERS, papers_shapley),
    "pointing_layers": ("pointing", _POINTING, pointing_layers),
    "pointing_classes": ("pointing", _POINTING, pointing_classes),
    "pointing_several": ("pointing", _POINTING, pointing_several),
    "pointing_networks": ("pointing_networks", f"{_POINTING} --weights ...", pointing_networks),
}
