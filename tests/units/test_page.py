"""The page of a ranking: its units, what stands beside them, and what it warns of."""

import pytest
import torch
from paged import HOSTILE, SCRIPT, Page

from captum_influence import rank_layers, rank_units
from captum_influence.units.page import ranking_figure, share_figure
from captum_influence.visualization.style import DARK, LIGHT

VALUES = torch.tensor([[1.0, -3.0, 2.0], [1.0, -1.0, 4.0]])


def rows(text: str) -> int:
    return sum(name == "tr" for name, _ in Page(text).tags) - 1


def test_the_table_ends_with_what_lowers_the_quantity_most() -> None:
    text = Page(rank_units(VALUES, top=1).page().html()).text
    assert text.index("channel 2") < text.index("channel 1")
    assert "channel 0" not in text
    assert "3.00 ± 1.00" in text


def test_long_rankings_are_cut_and_say_so() -> None:
    values = torch.arange(40.0)[None] - 5
    html = rank_units(values).page().html()
    assert rows(html) == 16 + 4
    assert "24 more were asked for" in html


def test_activations_stand_there_if_they_are_known() -> None:
    plain = rank_units(VALUES).page().html()
    known = rank_units(VALUES, VALUES, reference=0.25).page().html()
    assert "activation</th>" not in plain
    assert "activation</th>" in known
    assert "at the start</th>" in known


def test_layers_are_compared_and_a_caveat_says_that_they_dont_add_up(model, image) -> None:
    found = rank_layers(model, image[None], ["eyes", "relu"], 0, class_names=["red"])
    text = Page(found.page("captum-influence rank").html()).text
    assert "Layer by layer" in text
    assert "TwoEyes · layers eyes, relu · contribution to score(red)" in text
    assert "don't add up" in text
    assert "captum-influence rank" in text
    assert "Layer by layer" not in Page(found.layers["eyes"].page().html()).text


def test_figures_are_drawn_on_both_papers() -> None:
    ranking = rank_units(VALUES)
    joint = rank_units({"a": VALUES, "b": VALUES * 100})
    for theme in (LIGHT, DARK):
        bars = ranking_figure(ranking, theme).axes[0]
        assert [label.get_text() for label in bars.get_yticklabels()] == [
            *("channel 2", "channel 0", "channel 1")
        ]
        widths = [bar.get_width() for bar in share_figure(joint, theme).axes[0].patches]
        assert widths == pytest.approx([unit.share for unit in joint])  # not their values


@pytest.mark.parametrize("name", HOSTILE)
def test_names_can_not_break_out(name: str) -> None:
    page = Page(rank_units(VALUES, axis={name: [0], "other": [1, 2]}).page().html())
    assert name in page.text
    assert page.scripts == [SCRIPT]
