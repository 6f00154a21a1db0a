"""The short form of entries loses what a half loses of each row's largest number, at most."""

from __future__ import annotations

import torch

from captum_influence.training.index.entries import Short


def test_rows_of_any_size_keep_their_digits() -> None:
    torch.manual_seed(0)
    rows = torch.randn(4, 50) * torch.tensor([1e-20, 1.0, 1e9, 0.0]).unsqueeze(1)
    queries = torch.randn(3, 50)
    short = Short.of(torch.arange(4), {"layer": rows}, torch.float16)
    found = short.product(queries, "layer")
    error = (found - queries @ rows.mT).abs()
    assert bool((error <= 5e-4 * queries.norm(dim=1)[:, None] * rows.norm(dim=1)).all())


def test_batches_are_joined_in_their_order() -> None:
    first = Short.of(torch.tensor([4, 2]), {"a": torch.ones(2, 3)}, torch.float32)
    second = Short.of(torch.tensor([1]), {"a": torch.full((1, 3), 2.0)}, torch.float32)
    both = Short.joined([first, second])
    assert both.places.tolist() == [4, 2, 1]
    assert both.product(torch.ones(1, 3), "a").tolist() == [[3.0, 3.0, 6.0]]
