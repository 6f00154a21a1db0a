"""The page of routes opens with the answer, and one picture of tokens by blocks."""

import torch

from captum_influence.attr.next_token import NextToken
from captum_influence.circuits.patterns.find import routes
from captum_influence.demo import induction_network

CLEAN, OTHER = torch.tensor([[0, 3, 1, 4, 5, 3]]), torch.tensor([[0, 9, 2, 6, 8, 4]])
FOUND = routes(induction_network(), (CLEAN, OTHER), NextToken(1), controls=2)


def test_the_picture_has_a_line_for_each_route_behind_the_answer() -> None:
    page = FOUND.page().html()
    assert page.count("<polyline") == len(FOUND)
    title = FOUND.headline.partition(". ")[0]
    assert page.index(title) < page.index("<svg") < page.index("Route by route")
    picture = page[page.index("<svg") : page.index("</svg>")]
    assert "blocks.1" in picture
    assert picture.count('class="minus"') == int((FOUND.values[:, -1] < 0).sum())


def test_the_figure_has_a_column_for_each_token() -> None:
    (axes,) = FOUND.plot().axes
    names = [label.get_text() for label in axes.get_xticklabels()]
    assert names == ["0", "3", "1", "4", "5", "3"]
