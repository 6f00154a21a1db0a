"""``python -m benchmarks.accuracy.fuzz``: random questions against a slow replica, counted.

Asks the questions of ``tests/fuzz``, by default 5 000 of them, and prints how many were
answered rightly, refused (by what the refusal says), or answered wrongly without a word; after how
many the network, its inputs or torch's random state weren't as before; and of the exceptions that
a network was made to raise, how many reached the caller as they are. The first seed is printed:
``--seed`` asks the same again. Exits with 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import warnings
from collections import Counter
from unittest.mock import patch

import torch
from tqdm import tqdm

from captum_influence import DistributionalInfluence
from tests.fuzz import outcomes

RIGHT, SILENT = "right", "wrong without a word"
FAILED, CHANGED = "an error that is no refusal", "state left changed"
RAISED, REACHED = "exceptions raised inside", "of these, reached the caller"


class Watched(DistributionalInfluence):
    """Keeps what the last refusal said."""

    said = ""

    def attribute(self, *args: object, **keywords: object) -> object:
        try:
            return super().attribute(*args, **keywords)
        except (RuntimeError, ValueError) as error:
            Watched.said = str(error)
            raise


class Thrown(outcomes.Thrown):
    """Counts how often a network raised it."""

    raised = 0

    def __init__(self, words: str) -> None:
        super().__init__(words)
        Thrown.raised += 1


def main(arguments: list[str] | None = None) -> int:
    """Ask, and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=5000)
    parser.add_argument("--seed", type=int, help="of the first case; default: drawn")
    asked = parser.parse_args(arguments)
    first = random.SystemRandom().randrange(10**6) if asked.seed is None else asked.seed
    print(f"{asked.cases} cases, --seed {first}", flush=True)
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", "None of the inputs have requires_grad")  # re-entrant ones
    start = time.process_time()
    counts = counted(range(first, first + asked.cases))
    for name, count in counts.items():
        print(f"{name:60} {count}")
    print(f"{time.process_time() - start:.0f} s of CPU time")
    wrong = any(counts[name] for name in (SILENT, FAILED, CHANGED))
    return int(wrong or counts[RAISED] != counts[REACHED])


def counted(seeds: range) -> Counter[str]:
    """Return how many of the seeds' questions came to what."""
    counts = Counter(dict.fromkeys((RIGHT, SILENT, FAILED, CHANGED, RAISED, REACHED), 0))
    with (
        patch.object(outcomes, "DistributionalInfluence", Watched),
        patch.object(outcomes, "Thrown", Thrown),
    ):
        for seed in tqdm(seeds, leave=False):
            raised = Thrown.raised
            kind, words = outcomes.outcome(seed)
            counts[RAISED] += Thrown.raised > raised
            counts[_name(kind)] += 1
            if kind.startswith("wrong"):
                print(f"seed {seed}: {kind[:200]} ({words})", flush=True)
    return counts


def _name(kind: str) -> str:
    """Return the line that an outcome is counted in."""
    if kind == "refused":
        return f"refused: {next(word for word in outcomes.REFUSED if word in Watched.said)}"
    if kind.startswith("wrong: "):
        said = kind.removeprefix("wrong: ")
        silent = said[0].isdigit() or said.startswith(("shape", "nan"))
        return CHANGED if said == CHANGED else SILENT if silent else FAILED
    return {"thrown": REACHED, "not thrown": "the module that was to raise ran too seldom"}.get(
        kind, kind
    )


if __name__ == "__main__":
    sys.exit(main())
