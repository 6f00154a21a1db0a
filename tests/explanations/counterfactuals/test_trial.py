"""What is asked, and what is measured where little or nothing can be removed."""

import pytest
import torch
from torch import Tensor, nn
from voting import ALL_ON, voters

from captum_influence import Counterfactual, Point, counterfactual


def linear(rows: list[list[float]], bias: list[float] | None = None) -> nn.Sequential:
    """Units that are the input's positive entries, each with a weight for each class."""
    weights = torch.tensor(rows, dtype=torch.float64)
    head = nn.Linear(weights.shape[1], len(weights), dtype=torch.float64)
    head.weight = nn.Parameter(weights)
    head.bias = nn.Parameter(torch.tensor(bias or [0.0] * len(weights), dtype=torch.float64))
    return nn.Sequential(nn.ReLU(), head).eval()


def ones(units: int) -> Tensor:
    return torch.ones(1, units, dtype=torch.float64)


def whole(found: Counterfactual) -> Counterfactual:
    """Return it, once all that is made of it is seen to be."""
    assert found.plot().axes
    assert found.headline
    assert len(found.to_dict()["units"]) == len(found.units)
    assert "<h1" in found.page().html()
    return found


def test_a_tie_is_not_what_was_asked_for() -> None:
    """Without both units the scores are 0 and 0: the first class goes on being said."""
    found = whole(counterfactual(linear([[2.0, 1.0], [1.0, 0.0]]), ones(2), "0", true=1))
    assert (found.outcome, found.wrong, found.nearer) == ("none", (), None)


def test_of_two_classes_none_is_wrong() -> None:
    found = whole(counterfactual(linear([[2.0, 0.0], [0.0, 1.0]]), ones(2), "0", true=1))
    assert (found.outcome, found.wrong, found.nearer) == ("true", (), None)
    assert "There are two classes" in found.headline
    assert found.verdict == "there is nothing to compare the truth with"


def test_one_unit_only() -> None:
    stays = whole(counterfactual(linear([[2.0], [0.0], [-1.0]]), ones(1), "0", true=1))
    assert (stays.outcome, len(stays.units)) == ("none", 1)  # all scores 0: the first wins
    assert stays.effects.random == ()
    biased = linear([[2.0], [0.0], [-1.0]], bias=[0.0, 1.0, 0.5])
    found = whole(counterfactual(biased, ones(1), "0", true=1))
    assert (found.outcome, found.answer, len(found.units)) == ("true", "class 1", 1)


def test_nothing_is_active() -> None:
    """Zero in place of zeros: no unit changes anything."""
    model = linear([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    found = whole(counterfactual(model, -ones(2), "0", true=1))
    assert (found.outcome, found.units, found.controls) == ("none", (), None)
    assert not any(one.reached or one.units for one in found.wrong)
    assert found.effects.agreement is None
    assert found.margins == (0.0,)


def test_no_unit_helps() -> None:
    """Whatever is taken away, the truth only loses."""
    model = linear([[0.0, 0.0], [1.0, 1.0], [0.0, 0.0]], bias=[5.0, 0.0, 0.0])
    loader = [(ones(2), torch.tensor([0]))]
    found = whole(counterfactual(model, ones(2), "0", true=1, loader=loader, replace=0))
    assert (found.outcome, found.units, found.controls) == ("none", (), None)
    assert (found.collateral.before, found.collateral.after) == (1.0, 1.0)
    assert "No channel of 0 raises −log p(class 1)." in found.headline


def test_any_other_answer_needs_no_truth_to_compare_with() -> None:
    found = whole(counterfactual(voters(), ALL_ON, "0", true=2, until="changed"))
    assert (found.outcome, found.answer, found.reached) == ("other", "class 1", True)
    assert (found.wrong, found.nearer) == (None, None)


def test_the_classes_that_matter_are_listed() -> None:
    scores = torch.arange(9.0, 0.0, -1.0).double()[None]
    found = counterfactual(linear(torch.eye(9).tolist()), scores, "0", true=8, max_units=9)
    names = [one.name for one in found.before]
    assert len(names) == 5
    assert names[0] == found.predicted == "class 0"
    assert names[-1] == found.true == "class 8"


def test_what_is_asked_for_twice_is_refused() -> None:
    with pytest.raises(ValueError, match='leave it out, or say search="prefix"'):
        counterfactual(voters(), ALL_ON, "0", true=1, search="greedy", distribution=Point())
    with pytest.raises(ValueError, match='until="right" or until="changed", got'):
        counterfactual(voters(), ALL_ON, "0", true=1, until="wrong")
    with pytest.raises(ValueError, match='search="greedy" or search="prefix", got'):
        counterfactual(voters(), ALL_ON, "0", true=1, search="all")
