"""The page of a wrong answer: the numbers of the finding, and the words for each outcome."""

import pytest
import torch
from torch import nn
from voting import ALL_ON, Eyes, voters

from captum_influence import counterfactual
from captum_influence.visualization.numbers import number

pytest.importorskip("jinja2", reason="pages are drawn with Jinja")

NAMES = ["fish", "tree", "rock"]
PICTURES = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)).double()
SURE = torch.tensor([[1.0, 1.0, 1.0, 0.1, 0.0]]).double()  # scores 6, 0.4, 0
LOADER = [(PICTURES[1:], torch.tensor([0, 0, 1]))]


@pytest.fixture(scope="module")
def found():
    return counterfactual(
        Eyes(), PICTURES[0], "vote.0", true="tree", loader=LOADER, class_names=NAMES
    )


@pytest.fixture(scope="module")
def text(found) -> str:
    return found.page("captum-influence such --and such").html()


def test_it_shows_the_answer_with_the_units_and_without(found, text) -> None:
    for before, after in zip(found.before, found.after, strict=True):
        assert f"{before.name} {number(before.score)} → {number(after.score)}" in text or (
            before.name == "rock"
        )
    for unit, margin in zip(found.units, found.margins[1:], strict=True):
        assert unit.name in text
        assert number(margin) in text


def test_it_compares_with_random_units_and_counts_the_damage(found, text) -> None:
    assert f"{found.controls.to_true} of {found.controls.sets}" in text
    assert "all 3 inputs" in text
    assert "the 2 of fish" in text
    assert "without random ones" in text


def test_the_verdict_the_answers_and_the_wrong_classes_come_in_this_order() -> None:
    """Units that raise one class each: how many it took for each stands below what it says then."""
    head = nn.Linear(5, 5, bias=False, dtype=torch.float64)
    head.weight = nn.Parameter(torch.eye(5).double())
    scores = torch.arange(5.0, 0.0, -1.0).double()[None]
    found = counterfactual(nn.Sequential(nn.ReLU(), head), scores, "0", true=3)
    verdict, _, rest = found.page().html().partition('<section class="hero">')
    answers, _, rest = rest.partition("</section>")
    wrong, _, folded = rest.partition('id="units"')
    assert found.sentences[1] in verdict
    assert "this is no evidence that these units caused the mistake" in verdict
    assert "with them and without" in answers
    assert folded
    for one in found.wrong:
        assert f'{one.name} <span class="soft">{one.where}, rank {one.rank}</span>' in wrong
    page = counterfactual(voters(), ALL_ON, "0", true=1, class_names=NAMES).page().html()
    assert "the truth was nearer, which is not yet a cause" in page
    assert "score lower than the truth to begin with" in page  # the class above it is said
    assert '<td class="n">over 5</td>' in page  # for rock all were tried


def test_each_unit_has_a_card_that_its_row_leads_to(found, text) -> None:
    assert text.count('<details class="card"') == len(found.seen) == len(found.units)
    for i in range(1, len(found.units) + 1):
        assert f'href="#unit-{i}"' in text
        assert f'id="unit-{i}"' in text


def test_it_gives_the_python_and_the_command(text) -> None:
    assert "from captum_influence import counterfactual" in text
    assert "true=&#39;tree&#39;" in text
    assert "captum-influence such --and such" in text


def test_figures_have_names_of_their_own(found) -> None:
    names = [name for name, _ in found.page().figures()]
    assert names[:3] == ["overview", "margins", "picture"]
    assert "unit1_heat" in names
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"controls": 0}, ["No random units were removed", "Not measured: give a loader"]),
        ({"by": "influence"}, ["Influence: what ranked the unit", "are ranked by influence on"]),
        (
            {"max_units": 1, "image": SURE},
            ["Without 1 channel of 0 it still says fish", "to compare"],
        ),
        (
            {"true": "rock", "max_units": 1},
            ["the truth is rock. Without 1 channel of 0 it says tree."],
        ),
        ({"until": "changed"}, ["there is no truth to hold against", "away from fish"]),
        ({"search": "prefix"}, ["the first 1, 2, 3, ... of them", "score(fish) − score(tree)"]),
        ({"wrong_classes": False}, ["towards wrong classes wasn"]),
    ],
)
def test_other_outcomes_have_other_words(settings, words) -> None:
    asked = {"image": ALL_ON, "layer": "0", "true": 1, "class_names": NAMES} | settings
    page = counterfactual(voters(), **asked).page().html()
    for part in words:
        assert part in page
    assert "<article" not in page  # a row of features isn't shown


def test_a_narrow_lead_is_said() -> None:
    page = counterfactual(voters(), ALL_ON * 0.1, "0", true=1).page().html()
    assert "leads class 1 by only 0.150 here" in page
