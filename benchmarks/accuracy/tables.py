"""The tables of the documentation on numerical accuracy: see ``benchmarks.tables``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.markdown import percent, table

Row = dict[str, Any]


def points_errors(found: Row) -> str:
    """Median relative error of each rule at 18 and 54 points, in percent, by network."""
    curves = found["curves"]
    networks = list(dict.fromkeys(row["network"] for row in curves))
    values = {(r["network"], r["rule"], r["n"]): r for r in curves}
    rows = [
        (rule, n, *(percent(values[network, rule, n]["error"]) for network in networks))
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


_POINTS = "python -m benchmarks.accuracy.points"

TABLES: dict[str, tuple[str, str, Callable[[Row], str]]] = {
    "points_errors": ("points", _POINTS, points_errors),
    "points_top10": ("points", _POINTS, points_top10),
    "points_bounds": ("points", _POINTS, points_bounds),
    "points_auto": ("points", _POINTS, points_auto),
    "points_means": ("points", _POINTS, points_means),
}
