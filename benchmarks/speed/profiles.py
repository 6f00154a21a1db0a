"""``python -m benchmarks.speed.profiles``: a profile of CIFAR-10 in one pass.

Its seconds, its memory, and how it is shared by two processes; of
Captum's tutorial network, all its layers, ten quantities. Needs the data of CAPTUM_INFLUENCE_DATA
(or ../shared/data). ``--images`` and ``--points`` choose one run; without them, all are made.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks.trained import data_folder, tutorial
from captum_influence import ClassScore, DistributionalInfluence, InfluenceProfile
from captum_influence.attr import StratifiedPath

LAYERS = ["conv1", "relu1", "pool1", "conv2", "relu2", "pool2"]
LAYERS += ["fc1", "relu3", "fc2", "relu4", "fc3"]


class Pictures(Dataset[tuple[Tensor, int]]):
    """Test images, spread over the classes, that become inputs when they are asked for."""

    def __init__(self, count: int) -> None:
        folder = data_folder()
        if folder is None:
            raise SystemExit("expected CIFAR-10 in $CAPTUM_INFLUENCE_DATA/cifar10")
        arrays = np.load(folder / "cifar10" / "cifar10_subset.npz")
        every = len(arrays["y_test"]) // count
        self._images = arrays["x_test"][::every]
        self._labels = arrays["y_test"][::every]

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = torch.from_numpy(self._images[index]).permute(2, 0, 1).float() / 127.5 - 1
        return image, int(self._labels[index])


def one(images: int, points: int) -> dict[str, float]:
    """Profile so many images and return the seconds and the MB that it took."""
    torch.set_num_threads(1)
    subject, data = tutorial(), Pictures(images)
    if subject is None:
        raise SystemExit("expected CIFAR-10 in $CAPTUM_INFLUENCE_DATA/cifar10")
    influence = DistributionalInfluence(
        subject.model,
        LAYERS,
        distribution=StratifiedPath(n=points),
        quantity=[ClassScore(k) for k in range(10)],
    )
    loader = DataLoader(data, batch_size=50)
    InfluenceProfile.over(influence, [next(iter(loader))], group_by="label")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    InfluenceProfile.over(influence, loader, group_by="label")
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "images": images,
        "points": points,
        "seconds": seconds,
        "MB": peak / 1024,
        "grown": (peak - before) / 1024,
    }


def main() -> int:
    """Make one run, or all of them in fresh processes."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.profiles", description=__doc__
    )
    parser.add_argument("--images", type=int)
    parser.add_argument("--points", type=int, default=4)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    if asked.images:
        found = one(asked.images, asked.points)
        if os.environ.get("RANK", "0") == "0":
            print(json.dumps(found))
        return 0
    rows = []
    for images, points, processes in ((200, 4, 1), (2000, 4, 1), (2000, 50, 1), (2000, 50, 2)):
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        command = [sys.executable, *(launcher if processes > 1 else [])]
        command += [
            "-m",
            "benchmarks.speed.profiles",
            "--images",
            str(images),
            "--points",
            str(points),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        row = json.loads(done.stdout.strip().splitlines()[-1])
        rows.append(row | {"processes": processes})
        print(rows[-1], flush=True)
    print(f"2 processes: {rows[2]['seconds'] / rows[3]['seconds']:.2f} times as fast")
    print(f"memory of 2000 images: {rows[1]['MB'] / rows[0]['MB']:.3f} of that of 200")
    if asked.out:
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        asked.out.write_text(json.dumps(rows, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
