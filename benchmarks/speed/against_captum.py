"""``python -m benchmarks``: every scenario against Captum, as a table and JSON.

With words, only the scenarios that contain one of them. ``--memory`` measures peak memory in
fresh processes, ``--floor`` how near the single-layer runs come to what the machine can do.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from dataclasses import asdict
from datetime import date
from pathlib import Path

import captum
import torch

from benchmarks import floor, memory
from benchmarks.measure import in_turn
from benchmarks.scenarios import SCENARIOS, Scenario, find


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for, print a table, and write JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("words", nargs="*", help="only scenarios that contain one of these")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--out", type=Path, help="where to write the JSON")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--floor", action="store_true")
    parser.add_argument("--one-memory-run", nargs="+", help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.one_memory_run:
        print(memory.one_run(asked.one_memory_run))
        return 0
    if asked.floor:
        rows = floor.rows()
    elif asked.memory:
        rows = memory.rows()
    else:
        rows = [_row(s, asked.rounds, asked.device) for s in find(asked.words) or SCENARIOS]
    if asked.out:
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        asked.out.write_text(json.dumps({"machine": machine(asked.device), "rows": rows}, indent=1))
    return 0


def machine(device: str) -> dict[str, str | int]:
    """Describe where the figures come from."""
    name = torch.cuda.get_device_name() if device == "cuda" else _processor()
    return {
        "device": name,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "captum": captum.__version__,
        "date": date.today().isoformat(),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _row(scenario: Scenario, rounds: int, device: str) -> dict[str, object]:
    peer, ours = scenario.runs(device)
    timing = in_turn(peer, ours, rounds=1 if scenario.heavy else rounds, share=scenario.share)
    row = {"network": scenario.network, "name": scenario.name, "goal": scenario.goal}
    row |= asdict(timing)
    print(
        f"{scenario.network:10} {scenario.name:32} captum {timing.peer_cpu:8.2f} s, "
        f"ours {timing.ours_cpu:7.2f} s, ratio {timing.ratio:5.2f} (goal {scenario.goal}), wall "
        f"{timing.ratio_wall:5.2f}, difference {timing.difference:.1e}",
        flush=True,
    )
    return row


if __name__ == "__main__":
    sys.exit(main())
