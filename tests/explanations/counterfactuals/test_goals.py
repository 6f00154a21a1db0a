"""What a network is asked to say, and what speaks against it, by formula."""

import pytest
import torch
from torch import Tensor

from captum_influence.explanations.counterfactuals.goals import Against, Goal, Mistake

SCORES = torch.tensor([[2.0, 1.0, -1.0, 0.5], [0.0, 3.0, 3.0, 1.0]]).double()


def test_the_lead_is_over_the_best_other_class() -> None:
    assert Goal(0, 1).lead(SCORES).tolist() == [-1.0, 0.0]  # a tie isn't said
    assert Goal(0).lead(SCORES).tolist() == [-1.0, 3.0]
    assert Goal(2).lead(SCORES).tolist() == [3.0, 0.0]  # and isn't left either


def test_what_speaks_against_it() -> None:
    chances = SCORES[0].softmax(0)
    assert float(Goal(0, 3).against(SCORES[0])) == pytest.approx(-float(chances[3].log()))
    odds = float(chances[0] / (1 - chances[0]))
    assert float(Goal(0).against(SCORES[0])) == pytest.approx(float(torch.tensor(odds).log()))
    # Probabilities are taken as they are.
    assert float(Goal(0, 3).against(chances)) == pytest.approx(-float(chances[3].log()))
    sure = torch.tensor([1.0, 0.0]).double()
    assert torch.isfinite(Goal(0, 1).against(sure))


@pytest.mark.parametrize("goal", [Goal(0, 1), Goal(0)])
def test_a_network_that_is_sure_still_has_a_slope(goal: Goal) -> None:
    """In float32, where p(0) rounds to one, and p(1) to nothing."""
    scores = torch.tensor([200.0, 0.0, -3.0], requires_grad=True)
    (slope,) = torch.autograd.grad(goal.against(scores), scores)
    assert slope[:2].tolist() == pytest.approx([1.0, -1.0], abs=0.06)  # log odds: −p(1 | not 0)


def test_in_half_precision_it_is_not_half() -> None:
    assert Goal(0, 1).against(SCORES[0].half()).dtype == torch.float32


def test_each_row_is_asked_for_its_own_goal() -> None:
    goals = (Goal(0, 1), Goal(0, 3))
    both = Against(goals)
    alone = [float(goal.against(row)) for goal, row in zip(goals, SCORES, strict=True)]
    assert both(SCORES).tolist() == pytest.approx(alone)
    assert both.rows(torch.tensor([1])).goals == (goals[1],)
    assert both.examples == 2
    assert both.in_words(["fish", "tree", "rock", "bird"]) == "−log p(tree)"


def scored(*scores: float) -> Tensor:
    return torch.tensor([scores]).double()


def test_outcomes_and_answers() -> None:
    mistake = Mistake(true=1, predicted=0)
    said = {(3, 1, 2): "none", (1, 3, 2): "true", (1, 2, 3): "other", (3, 3, 1): "none"}
    for scores, outcome in said.items():
        assert mistake.outcomes(scored(*scores)) == [outcome]
    assert mistake.answer(scored(3, 3, 1)) == 0  # a tie: it stays
    assert mistake.answer(scored(1, 3, 3)) == 2  # a tie: the true one isn't reached
    assert mistake.margins(scored(3, 1, 2)) == (2.0,)


def test_wrong_classes_are_neither_said_nor_true() -> None:
    row = scored(5, 4, 3, 2, 1, 0)
    for true in range(1, 6):
        found = Mistake(true, 0).wrong(row, seed=3)
        assert found.get("above") == (true - 1 if true > 1 else None)
        assert found.get("below") == (true + 1 if true < 5 else None)
        chosen = set(found.values())
        assert len(chosen) == len(found)
        assert not chosen & {0, true}
    assert Mistake(1, 0).wrong(scored(2, 1), seed=0) == {}
    assert Mistake(1, 0).wrong(scored(3, 2, 1), seed=0) == {"below": 2}
    drawn = {Mistake(2, 0).wrong(row, seed)["random"] for seed in range(40)}
    assert drawn == {4, 5}
