"""``python -m benchmarks.tables``: the tables of the documentation, from ``benchmarks/results``.

Where a result is absent, the page says which command writes it.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks.accuracy import tables as accuracy
from benchmarks.effects import tables as effects
from benchmarks.provenance import sentence
from benchmarks.speed import tables as speed
from benchmarks.training import tables as training

RESULTS, PAGES = Path("benchmarks/results"), Path("docs/_generated")
TABLES = {**speed.TABLES, **accuracy.TABLES, **effects.TABLES, **training.TABLES}


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
            text = f"{table(found)}\n\n{sentence(found['machine'], command)}\n"
        else:
            text = f"*Not measured yet: `{command}`, then `python -m benchmarks.tables`.*\n"
        (asked.pages / f"{name}.md").write_text(text, encoding="utf-8")
    print(f"wrote {len(TABLES)} tables to {asked.pages}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
