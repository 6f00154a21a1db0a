"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table; the columns from the second of numbers on are set right."""
    rows = [[str(cell) for cell in row] for row in rows]
    numeric = [
        bool(rows) and all(_is_number(row[i]) for row in rows if row[i]) for i in range(len(heads))
    ]
    rule = ["---:" if right else "---" for right in numeric]
    return "\n".join("| " + " | ".join(line) + " |" for line in (heads, rule, *rows))


def percent(share: float) -> str:
    """Return a share in percent, a small one with one digit."""
    hundred = 100 * share
    return f"{hundred:.1f} %" if hundred >= 0.1 else f"{hundred:.1g} %"


def _is_number(cell: str) -> bool:
    try:
        float(cell.removesuffix(" %"))
    except ValueError:
        return False
    return True
