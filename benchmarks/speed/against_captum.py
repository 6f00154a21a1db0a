"""``python -m benchmarks.speed.against_captum``: every scenario against Captum.

Each side runs in a process of its own, with our defaults, in turn. With words, only the scenarios
whose "network: name" contains one of them. Each row is written as soon as it is measured, in the
place of the one that an earlier run has left in ``--out``; the others stay.
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.provenance import keep
from benchmarks.speed.apart import apart
from benchmarks.speed.scenarios import SCENARIOS, Scenario, find
from benchmarks.speed.utilization import rates
from benchmarks.timing import Run
from captum_influence.network.devices import bfloat16_products


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for, print a table, and write JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.against_captum", description=__doc__
    )
    parser.add_argument("words", nargs="*", help="only scenarios that contain one of these")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--out", type=Path, help="where to write the JSON")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    asked = parser.parse_args(arguments)
    torch.set_num_threads(asked.threads)
    speeds = {name: rate / 1e9 for name, rate in rates(asked.device).items()}
    print(", ".join(f"{name} {rate:.0f} GFLOP/s" for name, rate in speeds.items()), flush=True)
    rows = _earlier(asked.out)
    half = bfloat16_products(torch.device(asked.device))
    for scenario in find(asked.words):
        if scenario.execution.precision is not None and not half:
            print(f"{scenario.network:10} {scenario.name:32} left out: bfloat16 is emulated here")
            continue
        rows[scenario.network, scenario.name] = _row(scenario, asked.rounds, asked.device)
        ordered = [rows[s.network, s.name] for s in SCENARIOS if (s.network, s.name) in rows]
        keep(asked.out, {"rates": speeds, "rows": ordered}, asked.device)
    return 0


def _earlier(out: Path | None) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the rows of an earlier run by network and name."""
    rows = json.loads(out.read_text())["rows"] if out is not None and out.exists() else []
    return {(row["network"], row["name"]): row for row in rows}


def _row(scenario: Scenario, rounds: int, device: str) -> dict[str, Any]:
    peer, ours = (partial(_run, scenario, device, side) for side in (0, 1))
    timing = apart(peer, ours, rounds=1 if scenario.heavy else rounds, share=scenario.share)
    print(
        f"{scenario.network:10} {scenario.name:32} captum {timing['peer_cpu']:8.2f} s, "
        f"ours {timing['ours_cpu']:7.2f} s, ratio {timing['ratio']:5.2f} (goal {scenario.goal}), "
        f"wall {timing['ratio_wall']:5.2f}, difference {timing['difference']:.1e}, peak MB "
        f"{timing['peer_MB']:.0f} and {timing['ours_MB']:.0f}",
        flush=True,
    )
    return {"network": scenario.network, "name": scenario.name, "goal": scenario.goal, **timing}


def _run(scenario: Scenario, device: str, side: int) -> Run:
    """Return Captum's run, 0, or ours, 1, in the process that it is made in."""
    return scenario.runs(device)[side]


if __name__ == "__main__":
    sys.exit(main())
