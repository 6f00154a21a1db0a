"""A class's mean score over a region, in numbers that a reader can add up."""

import pickle
from typing import Any

import pytest
import torch
from torch import nn

from captum_influence.attr.detection.region_score import RegionScore
from captum_influence.attr.influence import DistributionalInfluence
from captum_influence.reports.asked import code_of
from captum_influence.testing import check_quantity

SCORES = torch.cos(torch.arange(4 * 3 * 5 * 6, dtype=torch.float64)).reshape(4, 3, 5, 6)
SQUARE = torch.zeros(5, 6)
SQUARE[1:3, 2:5] = 1
SOFT = torch.linspace(0, 1, 30).reshape(5, 6)
EACH = torch.stack([SQUARE, SQUARE.flip(0), SQUARE.flip(1), SOFT])


def slowly(classes: list[int], masks: torch.Tensor) -> list[float]:
    """Sum place by place."""
    found = []
    for scores, index, mask in zip(SCORES, classes, masks, strict=True):
        places = [(r, c) for r in range(5) for c in range(6)]
        total = sum(float(mask[p]) * float(scores[(index, *p)]) for p in places)
        found.append(total / sum(float(mask[p]) for p in places))
    return found


@pytest.mark.parametrize(
    ("quantity", "classes", "masks"),
    [
        (RegionScore(1, SQUARE), [1] * 4, [SQUARE] * 4),
        (RegionScore(2, SQUARE.bool()), [2] * 4, [SQUARE] * 4),
        (RegionScore(0, SOFT), [0] * 4, [SOFT] * 4),
        (RegionScore([2, 0, 1, 1], SQUARE), [2, 0, 1, 1], [SQUARE] * 4),
        (RegionScore(1, EACH), [1] * 4, list(EACH)),
        (RegionScore(torch.tensor([0, 1, 2, 0]), EACH), [0, 1, 2, 0], list(EACH)),
        (RegionScore(1, SQUARE.tolist()), [1] * 4, [SQUARE] * 4),
    ],
)
def test_contract_and_value(quantity, classes, masks) -> None:
    check_quantity(quantity, SCORES)
    assert quantity(SCORES).tolist() == pytest.approx(slowly(classes, torch.stack(masks)))
    assert quantity({"out": SCORES, "aux": SCORES * 2}).tolist() == quantity(SCORES).tolist()


def test_without_a_mask_it_is_where_the_network_says_the_class() -> None:
    quantity = RegionScore(1)
    check_quantity(quantity, SCORES)
    where = (SCORES.argmax(1) == 1).double()
    assert quantity(SCORES).tolist() == pytest.approx(slowly([1] * 4, where))
    # Decided on the instance: it stays where another output says something else.
    fixed = quantity.resolve(SCORES)
    other = SCORES.roll(1, 1)
    expected = [float((other[i, 1] * where[i]).sum() / where[i].sum()) for i in range(4)]
    assert fixed(other).tolist() == pytest.approx(expected)
    with pytest.raises(ValueError, match="got none in an example: name another class"):
        RegionScore(0).resolve(torch.stack([torch.zeros(2, 2), torch.ones(2, 2)])[None])


def test_it_is_said_written_and_pickled() -> None:
    quantity = RegionScore(1, SQUARE)
    assert quantity.in_words(["sky", "sea", "sand"]) == "mean score(sea, region)"
    assert RegionScore([1, 2]).in_words() == "mean score(classes, region)"
    assert eval(code_of(RegionScore(2)))(SCORES).tolist() == RegionScore(2)(SCORES).tolist()
    assert pickle.loads(pickle.dumps(quantity))(SCORES).tolist() == quantity(SCORES).tolist()


@pytest.mark.parametrize(
    ("settings", "output", "message"),
    [
        ({"target": 1, "mask": SQUARE * 0}, SCORES, "empty, or negative"),
        ({"target": 1, "mask": SQUARE - 0.5}, SCORES, "empty, or negative"),
        ({"target": 1, "mask": torch.stack([SQUARE, SQUARE * 0])}, SCORES, "empty, or negative"),
        ({"target": [0, 1], "mask": EACH}, SCORES, r"as many masks as classes, got \[2, 4\]"),
        ({"target": 3, "mask": SQUARE}, SCORES, r"classes from 0 to 2, got 3"),
        ({"target": -1, "mask": SQUARE}, SCORES, r"classes from 0 to 2, got -1"),
        ({"target": 1, "mask": SQUARE}, SCORES[:, :, 0, 0], r"got shape \(4, 3\).*ClassScore"),
        ({"target": 1, "mask": SQUARE.T}, SCORES, r"a mask of \(5, 6\).*got \(6, 5\): resize it"),
    ],
)
def test_what_cannot_be_meant_is_refused(settings: Any, output: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RegionScore(**settings)(output)


def test_the_cure_for_another_size_runs() -> None:
    small = torch.eye(3)
    cured = nn.functional.interpolate(small[None, None].float(), (5, 6))[0, 0]
    assert RegionScore(1, cured)(SCORES).shape == (4,)


def test_influence_on_a_region_of_a_linear_network() -> None:
    """Scores are a 1 × 1 convolution of the layer: each place counts by its weight in the mean."""
    torch.manual_seed(0)
    body, head = nn.Conv2d(3, 4, 1).double(), nn.Conv2d(4, 3, 1).double()
    network, picture = nn.Sequential(body, head).eval(), torch.rand(1, 3, 5, 6).double()
    influence = DistributionalInfluence(network, body, quantity=RegionScore(1, SQUARE))
    expected = head.weight[1].reshape(1, 4, 1, 1) * SQUARE / SQUARE.sum()
    torch.testing.assert_close(influence.attribute(picture), expected.detach().double())
