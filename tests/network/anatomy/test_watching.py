"""A pass is watched function by function."""

import attending
import torch

from captum_influence.network.anatomy.watching import watched


def test_projections_hold_their_weight_by_features_in_and_out() -> None:
    model, ids = attending.reader(), torch.tensor([[3, 1, 4]])
    with watched(model) as watch:
        model(ids)
    names = [projection.name for projection in watch.projections]
    block = ["attention.joint", "attention.out", "gate", "up", "down"]
    assert names == [f"blocks.{i}.{part}" for i in (0, 1) for part in block] + ["scores"]
    for seen in watch.projections:
        assert seen.bias is not None
        torch.testing.assert_close(seen.given @ seen.weight + seen.bias, seen.returned)


def test_mixing_is_pattern_times_value() -> None:
    model, ids = attending.reader(), torch.tensor([[3, 1, 4]])
    with watched(model) as watch:
        model(ids)
    first = watch.mixings[0]
    assert (first.name, len(watch.mixings)) == ("blocks.0.attention", 2)
    assert first.pattern is not None
    torch.testing.assert_close(first.pattern @ first.value, first.mixed)
    torch.testing.assert_close(first.pattern.sum(-1), torch.ones(1, 4, 3, dtype=torch.float64))
    (origin, part) = next(watch.origins(first.value))
    assert (origin.name, part.shape) == ("blocks.0.attention.joint", (1, 3, 4))


def test_calls_nest() -> None:
    model, ids = attending.reader(), torch.tensor([[3, 1, 4]])
    with watched(model) as watch:
        model(ids)
    calls = {call.name: call for call in watch.calls}
    inner, outer = calls["blocks.1.attention.out"], calls["blocks.1"]
    assert outer.began <= inner.began < inner.ended <= outer.ended
    assert inner.single
    assert not outer.single
