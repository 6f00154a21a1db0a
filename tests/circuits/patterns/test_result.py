"""What routes say of themselves."""

import pytest
import torch

from captum_influence.attr.next_token import NextToken
from captum_influence.circuits.patterns.find import routes
from captum_influence.demo import induction_network

CLEAN, OTHER = torch.tensor([[0, 3, 1, 4, 5, 3]]), torch.tensor([[0, 9, 2, 6, 8, 4]])
FOUND = routes(induction_network(), (CLEAN, OTHER), NextToken(1), controls=2)


def test_the_headline_names_the_strongest_route_and_chance() -> None:
    assert "token 2, 1, by a1.h0 to 5" in FOUND.headline
    assert "random routes" in FOUND.headline
    carried = FOUND.values[:, -1].abs()
    assert FOUND.strongest == int(carried.argmax())
    assert FOUND.share == pytest.approx(float(carried.sum() / FOUND.totals.abs().sum()))


def test_a_token_without_a_route_is_refused() -> None:
    with pytest.raises(ValueError, match=r"one of the tokens \[1, 2, 3, 5\], got 0"):
        FOUND.route(0)


def test_the_table_has_a_row_for_each_route() -> None:
    pytest.importorskip("pandas", reason="pandas is not installed")
    table = FOUND.to_frame()
    assert table.route.tolist()[1] == "skip@2 a1.h0@5"
    assert len(table) == len(FOUND) == 4
