from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from captum_influence import DistributionalInfluence, LinearPath, Point
from captum_influence.network.passes import PerExample, Shared
from captum_influence.network.passes.arguments import Arguments


def _same(tensor: Tensor) -> Tensor:
    return tensor


def test_rows_follow_their_examples_wherever_they_are_kept() -> None:
    own, table = torch.arange(3.0), torch.arange(5.0)
    held = SimpleNamespace(keys=[own, table])
    found = Arguments.of(({"a": [own]}, table, held), {"mask": own}, 3, _same)
    bound = found.rows(torch.tensor([2, 2, 0]))
    expected = torch.tensor([2.0, 2.0, 0.0])
    torch.testing.assert_close(bound.given[0]["a"][0], expected)
    torch.testing.assert_close(bound.given[1], table)
    torch.testing.assert_close(bound.given[2].keys[0], expected)
    torch.testing.assert_close(bound.keywords["mask"], expected)
    assert held.keys[0] is own


def test_a_part_keeps_what_is_shared_although_the_lengths_match_there() -> None:
    found = Arguments.of((torch.arange(5.0), torch.arange(2.0)), {}, 5, _same)
    part = found.part(torch.tensor([1, 3]))
    torch.testing.assert_close(part.rows(torch.tensor([1])).given[0], torch.tensor([3.0]))
    torch.testing.assert_close(part.rows(torch.tensor([1])).given[1], torch.arange(2.0))


def test_what_is_marked_is_as_it_is_said() -> None:
    square = torch.eye(3)
    found = Arguments.of((Shared(square), PerExample(square)), {}, 3, _same)
    assert found.asked == ()
    bound = found.rows(torch.tensor([1]))
    assert [tuple(value.shape) for value in bound.given] == [(3, 3), (1, 3)]
    with pytest.raises(ValueError, match=r"additional_forward_args\[0\] to have a row for each of"):
        Arguments.of((PerExample(torch.ones(2)),), {}, 3, _same)


class Mixing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = nn.Linear(3, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor, mix: Any) -> Tensor:
        return self.b(torch.tanh(mix @ self.a(x)).sum(1))


def test_a_square_matrix_is_asked_for() -> None:
    model, x = Mixing().double(), torch.randn(4, 4, 3, dtype=torch.float64)
    mix = torch.randn(4, 4, dtype=torch.float64)
    influence = DistributionalInfluence(model, "a", distribution=Point())
    with pytest.raises(ValueError, match=r"additional_forward_args\[0\].*Shared\(value\)"):
        influence.attribute(x, target=1, additional_forward_args=(mix,))
    found = influence.attribute(x, target=1, additional_forward_args=(Shared(mix),))
    for i in range(4):
        alone = influence.attribute(x[i : i + 1], target=1, additional_forward_args=(mix,))
        torch.testing.assert_close(found[i : i + 1], alone)


def test_a_mask_that_fits_in_one_way_only_needs_no_word() -> None:
    class Causal(Mixing):
        def forward(self, x: Tensor, mix: Any) -> Tensor:
            h = self.a(x)
            scores = (h @ h.mT).masked_fill(mix.reshape(4, 4), -9.0)
            return self.b((scores.softmax(-1) @ h).sum(1))

    model, x = Causal().double(), torch.randn(4, 4, 3, dtype=torch.float64)
    mask = torch.ones(4, 4, dtype=torch.bool).triu(1)
    influence = DistributionalInfluence(model, "a", distribution=LinearPath(0.0, 3))
    found = influence.attribute(x, target=0, additional_forward_args=(mask,))
    alone = influence.attribute(x[2:3], target=0, additional_forward_args=(mask,))
    torch.testing.assert_close(found[2:3], alone)


class Cache:
    def __init__(self, held: Tensor | None = None) -> None:
        self.held = held


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.out = nn.Embedding(9, 4), nn.Linear(4, 3)

    def forward(self, ids: Tensor, cache: Cache | None = None) -> Tensor:
        h = self.embed(ids)
        if cache is not None:
            h = h if cache.held is None else torch.cat([cache.held, h], 1)
            cache.held = h
        weights = (h[:, -1:] @ h.mT).softmax(-1)
        return self.out(torch.tanh(weights @ h))[:, 0]


@pytest.mark.parametrize("examples", [1, 3])
@pytest.mark.parametrize("points", [1, 4])
def test_a_cache_is_neither_grown_nor_mixed(examples: int, points: int) -> None:
    model, ids = Decoder().double(), torch.randint(0, 9, (examples, 5))
    influence = DistributionalInfluence(
        model, "out", distribution=LinearPath(0.0, points), sample_at="embed"
    )
    cache = Cache()
    with torch.no_grad():
        model(ids[:, :-1], cache)
    held = cache.held
    given = (cache,)
    found = influence.attribute(ids[:, -1:], target=1, additional_forward_args=given)
    assert cache.held is held
    for i in range(examples):
        own = (Cache(held[i : i + 1]),)  # type: ignore[index]  # it is filled
        one = ids[i : i + 1, -1:]
        alone = influence.attribute(
            one, target=1, additional_forward_args=own, internal_batch_size=1
        )
        torch.testing.assert_close(found[i : i + 1], alone)
