"""``python -m benchmarks.training.growth``: how the cost of an index grows.

An index of pictures of CIFAR-10 and a ResNet-9 as it was initialized. CPU seconds of the build
and of a query of 100 pictures, and bytes, against the number of training pictures, with the
exponents of the powers that fit; and the build by one process and by several under ``torchrun``:
wall seconds, and the CPU seconds of the slowest, which are what a core for each would take.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.networks import ResNet9
from benchmarks.provenance import keep
from benchmarks.training.digits import show
from benchmarks.training.index import K, influence_of, pictures, seconds

OUT = Path("benchmarks/results/training_growth.json")
WIDTH, SAMPLE, QUERIES = 16, 100, 100


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and write JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training.growth", description=__doc__
    )
    parser.add_argument("--examples", type=int, nargs="+", default=[500, 1000, 2000, 4000, 8000])
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--shared", type=int, default=4000, help="examples of several processes")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=OUT)
    asked = parser.parse_args(arguments)
    torch.set_num_threads(asked.threads)
    rows = [grown(n) for n in asked.examples]
    found = {
        "rows": rows,
        "exponents": {name: exponent(rows, name) for name in rows[0] if name != "examples"},
        "shared": asked.shared,
        "processes": [spread(n, asked.shared) for n in asked.processes],
    }
    for row in (*rows, *found["processes"], found["exponents"]):
        show("growth", row)
    keep(asked.out, found)
    return 0


def grown(examples: int) -> dict[str, float]:
    """Build an index of some pictures, and ask it."""
    torch.manual_seed(0)
    data, queries = pictures(examples, QUERIES)
    influence = influence_of(ResNet9(WIDTH).eval(), data, SAMPLE)
    influence.fit()
    index, build = seconds(lambda: influence.index(tempfile.mkdtemp()))
    index.top(queries, K)  # reads and checks the shards
    _, query = seconds(lambda: index.top(queries, K))
    size = sum(path.stat().st_size for path in index.path.glob("shard-*"))
    return {"examples": examples, "build": build, "query": query, "bytes": size}


def exponent(rows: Sequence[dict[str, float]], name: str) -> float:
    """Return the slope of log cost against the log of the number of examples, by least squares."""
    sizes, costs = (np.log([row[key] for row in rows]) for key in ("examples", name))
    return float(np.polyfit(sizes, costs, 1)[0])


def spread(processes: int, examples: int) -> dict[str, Any]:
    """Build an index by several processes."""
    command = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    asked = ["-m", "benchmarks.training.index", "--build", tempfile.mkdtemp()]
    sizes = [f"--examples={examples}", f"--width={WIDTH}", f"--sample={SAMPLE}"]
    run = subprocess.run(
        [sys.executable, *command, *asked, *sizes], capture_output=True, text=True, check=True
    )
    told = re.findall(r"built in ([\d.]+) s, ([\d.]+) of the CPU", run.stdout)
    wall, cpu = (max(float(row[i]) for row in told) for i in (0, 1))
    return {"processes": processes, "wall": wall, "slowest cpu": cpu}


if __name__ == "__main__":
    sys.exit(main())
