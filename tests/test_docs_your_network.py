"""The page on networks of one's own runs from top to bottom, and says true things."""

import re
from pathlib import Path
from typing import Any

import torch

PAGE = Path(__file__).resolve().parents[1] / "docs" / "your_network.md"


def test_it_runs_and_names_the_channels() -> None:
    names: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S):
        exec(block, names)
    found, network = names["found"], names["network"]
    assert (found.layer, found.facts["units"]) == (
        "norm",
        "6 channels along dimension 3 of (examples, 4, 5, 6)",
    )
    assert found.values.shape == (network.head.in_features,)
    # The head is linear in the mean over places: a channel contributes its mean times a weight.
    kept: list[torch.Tensor] = []
    handle = network.norm.register_forward_hook(lambda module, args, output: kept.append(output))
    torch.manual_seed(0)
    type(network)()  # draws the weights again, so that the picture is the page's
    network(torch.rand(1, 3, 16, 20))
    handle.remove()
    expected = kept[0].mean((0, 1, 2)) * network.head.weight[found.targets[0]]
    torch.testing.assert_close(found.values.float(), expected.detach(), atol=1e-6, rtol=1e-5)
