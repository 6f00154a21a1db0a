"""Replaced units, in many layers at once: all of them give the other prompt."""

import prompted
import pytest
import torch
from prompted import CLEAN, CORRUPTED
from replaced import MODEL, SITES, patching


def difference(text: str) -> float:
    row = prompted.scores(MODEL, text)[0].detach()
    return float(row[2] - row[1])


@pytest.mark.parametrize("rows", [1, 2, 32])
def test_replacing_everything_gives_the_other_prompt(rows: int) -> None:
    whole = difference(CLEAN) - difference(CORRUPTED)
    everything = [[(site, unit) for unit in range(site.count)] for site in SITES.stream]
    lost = patching(rows).lost([[], *everything, [], everything[0] + everything[1]])
    expected = torch.tensor([0, whole, whole, whole, 0, whole], dtype=torch.float64)
    torch.testing.assert_close(lost, expected, rtol=0, atol=1e-12)
