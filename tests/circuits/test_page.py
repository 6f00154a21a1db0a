"""The page of a circuit says the share beside chance, and names its edges."""

import torch

from captum_influence.attr.next_token import NextToken
from captum_influence.circuits.find import circuit
from captum_influence.demo import induction_network

CLEAN, OTHER = torch.tensor([[0, 3, 1, 4, 5, 3]]), torch.tensor([[0, 9, 2, 6, 8, 4]])


def test_the_answer_comes_first_and_chance_beside_it() -> None:
    found = circuit(induction_network(), (CLEAN, OTHER), NextToken(1), controls=2)
    page = found.page().html()
    assert found.headline.partition(". ")[0] in page
    assert "random ones, connected in the same way" in page
    assert "head 0 of block 0 → keys of head 0 of block 1" in page
    assert "a0.h0-&gt;a1.h0&lt;k&gt;" in page
    assert page.index("5 edges of 29") < page.index("a0.h0-&gt;a1.h0&lt;k&gt;")


def test_the_figure_has_a_row_for_each_block() -> None:
    found = circuit(induction_network(), (CLEAN, OTHER), NextToken(1), controls=2)
    (axes,) = found.plot().axes
    heights = {text.get_text(): text.get_position()[1] for text in axes.texts}
    assert heights["input"] < heights["block 0"] < heights["block 1"] < heights["answer"]
