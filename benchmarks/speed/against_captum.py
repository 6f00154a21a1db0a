"""``python -m benchmarks.speed.against_captum``: every scenario against Captum.

With words, only the scenarios whose "network: name" contains one of them.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

from benchmarks.provenance import keep
from benchmarks.speed.scenarios import Scenario, find
from benchmarks.timing import in_turn


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for, print a table, and write JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.against_captum", description=__doc__
    )
    parser.add_argument("words", nargs="*", help="only scenarios that contain one of these")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--out", type=Path, help="where to write the JSON")
    asked = parser.parse_args(arguments)
    rows = [_row(scenario, asked.rounds, asked.device) for scenario in find(asked.words)]
    keep(asked.out, {"rows": rows}, asked.device)
    return 0


def _row(scenario: Scenario, rounds: int, device: str) -> dict[str, object]:
    peer, ours = scenario.runs(device)
    timing = in_turn(peer, ours, rounds=1 if scenario.heavy else rounds, share=scenario.share)
    row = {"network": scenario.network, "name": scenario.name, "goal": scenario.goal}
    print(
        f"{scenario.network:10} {scenario.name:32} captum {timing.peer_cpu:8.2f} s, "
        f"ours {timing.ours_cpu:7.2f} s, ratio {timing.ratio:5.2f} (goal {scenario.goal}), wall "
        f"{timing.ratio_wall:5.2f}, difference {timing.difference:.1e}",
        flush=True,
    )
    return row | asdict(timing)


if __name__ == "__main__":
    sys.exit(main())
