"""The embedding of token ids is found, and not that of their positions."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from captum_influence.network.cuts import Cut
from captum_influence.network.passes.embedding import embedding_of


class Reader(nn.Module):
    """Embeds positions first, and then the tokens; by views, casts or copies of them."""

    def __init__(self, how: Any) -> None:
        super().__init__()
        self.how = how
        self.positions, self.tokens = nn.Embedding(9, 3), nn.Embedding(9, 3)

    def forward(self, ids: Tensor) -> Tensor:
        places = torch.arange(ids.shape[1]).expand(ids.shape)
        return self.positions(places) + self.tokens(self.how(ids))


def _found(model: nn.Module, ids: Tensor) -> Cut:
    return embedding_of([model], ids, lambda: model(ids), "input_ids")


@pytest.mark.parametrize(
    "how",
    [lambda x: x, lambda x: x.view(-1, x.shape[-1]), lambda x: x.int(), lambda x: x.clone()],
)
def test_it_is_that_of_the_tokens(how: Any) -> None:
    model = Reader(how)
    assert _found(model, torch.tensor([[4, 0, 2]])).module is model.tokens


@pytest.mark.parametrize("how", [lambda x: x, lambda x: x.view(-1, x.shape[-1])])
def test_also_of_tokens_that_count_up_as_positions_do(how: Any) -> None:
    model = Reader(how)
    assert _found(model, torch.tensor([[0, 1, 2]])).module is model.tokens


def test_a_table_that_is_read_twice_is_meant_where_it_reads_the_ids() -> None:
    table = nn.Embedding(9, 3)

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = table

        def forward(self, ids: Tensor) -> Tensor:
            return self.table(torch.zeros_like(ids)) + self.table(ids)

    assert _found(Twice(), torch.tensor([[4, 2]])).call == 1


def test_nothing_is_left_behind() -> None:
    model = Reader(lambda x: x).train()
    state = torch.get_rng_state()
    _found(model, torch.tensor([[4, 2]]))
    assert not any(module._forward_hooks for module in model.modules())
    assert model.training
    assert torch.equal(torch.get_rng_state(), state)


def test_where_nothing_embeds_them_it_is_said() -> None:
    with pytest.raises(ValueError, match="say where the points live with sample_at="):
        _found(nn.Flatten(), torch.tensor([[4, 2]]))
