"""``python -m benchmarks.profiles``: a profile of CIFAR-10 in one pass, its memory and its sharing.

Captum's tutorial network, all its layers, ten quantities; needs the data of CAPTUM_INFLUENCE_DATA
(or ../shared/data). ``--images`` and ``--processes`` choose one run; without them, all are made.
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
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from captum_influence import ClassScore, DistributionalInfluence, InfluenceProfile
from captum_influence.attr import StratifiedPath


class TutorialNet(nn.Module):
    """The network of Captum's CIFAR-10 tutorial, its modules named as there."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.pool1 = nn.Conv2d(3, 6, 5), nn.MaxPool2d(2, 2)
        self.conv2, self.pool2 = nn.Conv2d(6, 16, 5), nn.MaxPool2d(2, 2)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)
        self.relu1, self.relu2, self.relu3, self.relu4 = (nn.ReLU() for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        """Return class scores, (examples, 10)."""
        x = self.pool1(self.relu1(self.conv1(x)))
        x = self.pool2(self.relu2(self.conv2(x)))
        return self.fc3(self.relu4(self.fc2(self.relu3(self.fc1(x.flatten(1))))))


LAYERS = ["conv1", "relu1", "pool1", "conv2", "relu2", "pool2"]
LAYERS += ["fc1", "relu3", "fc2", "relu4", "fc3"]


def data_folder() -> Path:
    """Return the folder of the CIFAR-10 data."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    return Path(os.environ.get("CAPTUM_INFLUENCE_DATA", beside)) / "cifar10"


def trained() -> nn.Module:
    """Return the trained network."""
    from safetensors.torch import load_file

    model = TutorialNet()
    model.load_state_dict(load_file(data_folder() / "captum_tutorial_cnn.safetensors"))
    return model.eval()


def pictures(count: int) -> TensorDataset:
    """Return test images as the network takes them, with labels."""
    arrays = np.load(data_folder() / "cifar10_subset.npz")
    images = torch.from_numpy(arrays["x_test"][:count]).permute(0, 3, 1, 2).float() / 127.5 - 1
    return TensorDataset(images, torch.from_numpy(arrays["y_test"][:count]).long())


def one(images: int) -> dict[str, float]:
    """Profile so many images and return the seconds and the MB that it took."""
    torch.set_num_threads(1)
    model, data = trained(), pictures(images)
    influence = DistributionalInfluence(
        model,
        LAYERS,
        distribution=StratifiedPath(n=4),
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
        "seconds": seconds,
        "MB": peak / 1024,
        "grown": (peak - before) / 1024,
    }


def main() -> int:
    """Make one run, or all of them in fresh processes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profiles", description=__doc__)
    parser.add_argument("--images", type=int)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    if asked.images:
        found = one(asked.images)
        if os.environ.get("RANK", "0") == "0":
            print(json.dumps(found))
        return 0
    rows = []
    for images, processes in ((200, 1), (2000, 1), (2000, 2)):
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        command = [sys.executable, *(launcher if processes > 1 else [])]
        command += ["-m", "benchmarks.profiles", "--images", str(images)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        row = json.loads(done.stdout.strip().splitlines()[-1])
        rows.append(row | {"processes": processes})
        print(rows[-1], flush=True)
    print(f"2 processes: {rows[1]['seconds'] / rows[2]['seconds']:.2f} times as fast")
    print(f"memory of 2000 images: {rows[1]['MB'] / rows[0]['MB']:.3f} of that of 200")
    if asked.out:
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        asked.out.write_text(json.dumps(rows, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
