"""The page of relevance: every place, every rule, and what is missing."""

import pytest
import torch
from torch import nn

from captum_influence import relevance
from captum_influence.visualization.numbers import number, share

pytest.importorskip("jinja2", reason="pages are drawn with Jinja")

IMAGES = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def network(bias: bool = False) -> nn.Module:
    torch.manual_seed(0)
    body = [nn.Conv2d(3, 4, 3, bias=bias), nn.ReLU(), nn.Flatten()]
    return nn.Sequential(*body, nn.Linear(144, 2, bias=bias)).eval()


def test_it_shows_how_much_arrives_at_each_place_and_by_which_rule():
    asked = {"layers": ["1", "2"], "tolerance": 9.0}
    found = relevance(network(bias=True), IMAGES, 1, **asked)
    page = found.page("captum-influence such").html()
    for name, values in found.relevances.items():
        assert f'alt="Relevance at {name}"' in page
        assert f">{number(float(values[0].sum()))}</td>" in page
        assert f">{share(float(found.error_at(name)[0]))}</td>" in page
    assert "3 × 8 × 8" in page
    assert page.count("Epsilon(epsilon=1e-09)") == 1  # said once, with all that it is the rule of
    assert f"<dd>{', '.join(found.rules)}</dd>" in page
    assert "The first of 2 inputs is drawn." in page
    assert "absorbed by biases" in page
    assert "Captum did it." in page
    assert "captum-influence such" in page
    assert [name for name, _ in found.page().figures()] == ["overview", "picture"]


def test_what_is_no_picture_has_no_picture_and_nothing_missing_no_word_of_it():
    dense = nn.Sequential(nn.Linear(5, 2, bias=False))
    found = relevance(dense, torch.rand(1, 5), 0)
    page = found.page().html()
    assert 'alt="The picture"' not in page
    assert "absorbed by biases" not in page
    assert "is drawn" not in page
    assert [name for name, _ in found.page().figures()] == ["overview"]
