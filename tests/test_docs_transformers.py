"""The page for users of transformers runs from top to bottom, and says true things."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

PAGE = Path(__file__).resolve().parents[1] / "docs" / "transformers.md"


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    pytest.importorskip("transformers", reason="transformers is not installed")
    found: dict[str, Any] = {}
    torch.manual_seed(0)
    for block in re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S):
        exec(block, found)
    return found


def test_it_runs(names: dict[str, Any]) -> None:
    assert names["first"].shape == names["second"].shape == (2, 11, 16)
    assert not names["second"][1, 9:].any()  # pads
    means = names["profile"].mean()
    assert torch.allclose(means.float(), names["second"].sum(1).mean(0), atol=1e-6)


def test_patching_is_gradient_times_difference(names: dict[str, Any]) -> None:
    model, prompts = names["model"], names["prompts"]
    kept: list[torch.Tensor] = []

    def keep(module: Any, args: Any, output: torch.Tensor) -> None:
        output.retain_grad()
        kept.append(output)

    handle = model.get_submodule("transformer.h.1").register_forward_hook(keep)
    scores = model(**prompts.clean).logits
    last = prompts.clean["attention_mask"].sum(1) - 1
    rows = torch.arange(2)
    (scores[rows, last, 2] - scores[rows, last, 4]).sum().backward()
    model(**prompts.corrupted)
    handle.remove()
    expected = kept[0].grad * (kept[0] - kept[1]).detach()
    assert torch.allclose(names["at_the_clean_prompt"], expected, atol=1e-6)
