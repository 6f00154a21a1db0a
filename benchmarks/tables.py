"""``python -m benchmarks.tables``: the tables of the documentation, from ``benchmarks/results``.

Where a result is absent, the page says which command writes it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.accuracy import tables as accuracy
from benchmarks.effects import tables as effects
from benchmarks.markdown import table
from benchmarks.provenance import sentence
from benchmarks.speed import tables as speed
from benchmarks.training import tables as training

RESULTS, PAGES = Path("benchmarks/results"), Path("docs/_generated")


def families(found: dict[str, Any]) -> str:
    """Which networks of libraries go in as they are, and where their channels are found."""
    verbs = list(found["rows"][0]["verbs"])
    heads = ["library", "network", "layer taken", "its shape", "channels", *verbs]
    rows = []
    for row in found["rows"]:
        shape = "×".join(map(str, row.get("shape", [])))
        rows.append(
            (
                row["library"],
                f"`{row['name']}`",
                f"`{row['layer']}`" if "layer" in row else "",
                shape,
                row["units"].partition(" of (")[0] if "units" in row else "",
                *(_verb(row["verbs"][name]) for name in verbs),
            )
        )
    return table(heads, rows)


def _verb(found: dict[str, Any]) -> str:
    if "error" in found:
        return found["error"].partition(":")[0]
    maps = f", {found['maps']} methods" if "maps" in found else ""
    return f"{found['seconds']:.1f} s{maps}"


TABLES: dict[str, tuple[str, str, Callable[[Any], str]]] = {
    **speed.TABLES,
    **accuracy.TABLES,
    **effects.TABLES,
    **training.TABLES,
    "families": ("families", "python -m benchmarks.families", families),
}


def main(arguments: list[str] | None = None) -> int:
    """Write every table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables", description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--pages", type=Path, default=PAGES)
    asked = parser.parse_args(arguments)
    asked.pages.mkdir(parents=True, exist_ok=True)
    for name, (source, command, drawn) in TABLES.items():
        path = asked.results / f"{source}.json"
        if path.is_file():
            found = json.loads(path.read_text(encoding="utf-8"))
            text = f"{drawn(found)}\n\n{sentence(found['machine'], command)}\n"
        else:
            text = f"*Not measured yet: `{command}`, then `python -m benchmarks.tables`.*\n"
        (asked.pages / f"{name}.md").write_text(text, encoding="utf-8")
    print(f"wrote {len(TABLES)} tables to {asked.pages}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
