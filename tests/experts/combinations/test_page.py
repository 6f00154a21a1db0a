"""The page of a combination."""

import pytest
import torch
from paged import HOSTILE, SCRIPT, Page
from torch import Tensor, nn

from captum_influence import Combination, Point, combine
from captum_influence.demo import handwired_networks
from captum_influence.experts.combinations.page import combination_figure
from captum_influence.visualization.style import DARK, LIGHT

WIRED = handwired_networks()


def found(name: str, **settings) -> Combination:
    wired = WIRED[name]
    return combine(wired.model, wired.inputs[:1], {wired.layer: [0, 1]}, wired.target, **settings)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("redundant_units", "there is a stand-in among them"),
        ("gated_unit", "Together they do less than one by one"),
        ("linear_units", "Together they do what each does alone"),
    ],
)
def test_the_lead_says_what_kind_of_company_they_are(name, words) -> None:
    assert words in Page(found(name).page().html()).text


def test_all_effects_stand_there_with_their_bars() -> None:
    combination = found("gated_unit", distribution=Point())
    shown = Page(combination.page("captum-influence combine").html())
    for words in ("all at once", "each alone, added up", "interaction", "estimate"):
        assert words in shown.text
    assert all(name in shown.text for name in combination.units)
    assert "captum-influence combine" in shown.text
    assert "0 in their place" in shown.text


def test_the_figure_has_a_bar_for_each() -> None:
    combination = found("redundant_units")
    for theme in (LIGHT, DARK):
        (axes,) = combination_figure(combination, theme).axes
        joint, added = float(combination.joint[0]), float(combination.added[0])
        estimate = float(combination.estimate[0])
        widths = [bar.get_width() for bar in axes.patches]
        alone = combination.alone[0].tolist()
        assert widths == pytest.approx([joint, added, joint - added, estimate, *alone])


def test_of_many_units_the_figure_draws_a_few_and_the_table_has_all() -> None:
    model = nn.Sequential(nn.Identity())
    combination = combine(model, torch.rand(1, 30), {"0": range(30)}, 0)
    (axes,) = combination_figure(combination).axes
    assert len(axes.patches) == 4 + 16
    assert "channel 29 of 0" in Page(combination.page().html()).text


@pytest.mark.parametrize("name", HOSTILE)
def test_names_can_not_break_out(name: str) -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.units = nn.Identity()

        def forward(self, x: Tensor) -> Tensor:
            return self.units(x)

    combination = combine(Named(), torch.ones(2, 2), {"units": [1]}, 1, class_names=["", name])
    shown = Page(combination.page().html())
    assert name in shown.text
    assert shown.scripts == [SCRIPT]
