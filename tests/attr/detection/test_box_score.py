"""The score of the detection nearest to a box, in boxes whose overlap a reader can count."""

import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from captum_influence.attr.detection.box_score import BoxScore
from captum_influence.attr.distributions import Point
from captum_influence.attr.influence import DistributionalInfluence
from captum_influence.explanations.instances.find import explain
from captum_influence.reports.asked import code_of


def detections(*found: tuple[list[float], int, float]) -> dict[str, Tensor]:
    boxes, labels, scores = zip(*found, strict=True) if found else ([], [], [])
    return {
        "boxes": torch.tensor(boxes, dtype=torch.float64).reshape(-1, 4),
        "labels": torch.tensor(labels, dtype=torch.int64),
        "scores": torch.tensor(scores, dtype=torch.float64).requires_grad_(),
    }


# Beside (0, 0, 4, 4): all of it, half of it, a corner of 4 in 28, nothing.
WHOLE, HALF, CORNER, AWAY = [0, 0, 4, 4], [0, 0, 4, 2], [2, 2, 6, 6], [8, 8, 9, 9]
FOUND = detections((AWAY, 1, 0.9), (HALF, 2, 0.8), (WHOLE, 1, 0.7), (CORNER, 2, 0.6))
BOX = (0, 0, 4, 4)


@pytest.mark.parametrize(
    ("quantity", "nearest"),
    [
        (BoxScore(BOX), 2),
        (BoxScore(BOX, 1), 2),
        (BoxScore(BOX, 2), 1),
        (BoxScore((2.0, 2.0, 6.0, 6.0), 2), 3),
        (BoxScore((8, 8, 10, 10), overlap=0.25), 0),
        (BoxScore(torch.tensor(BOX), torch.tensor(2), overlap=0.5), 1),
        (BoxScore(BOX, 3), None),
        (BoxScore(BOX, 2, overlap=0.51), None),
        (BoxScore((8, 8, 10, 10), overlap=0.26), None),
    ],
)
def test_the_nearest_of_its_class_that_is_near_enough(quantity, nearest) -> None:
    (value,) = quantity([FOUND])
    (slope,) = torch.autograd.grad(value, FOUND["scores"])
    expected = torch.zeros(4, dtype=torch.float64)
    if nearest is not None:
        expected[nearest] = 1
    assert float(value.detach()) == pytest.approx(float(FOUND["scores"].detach() @ expected))
    assert torch.equal(slope, expected)


def test_nothing_found_is_zero_in_the_graph() -> None:
    empty = detections()
    value = BoxScore(BOX)([empty])
    assert value.tolist() == [0]
    assert torch.autograd.grad(value.sum(), empty["scores"])[0].shape == (0,)


def test_one_box_or_class_for_each_example() -> None:
    quantity = BoxScore([BOX, (2, 2, 6, 6)], [2, 2])
    assert quantity.examples == 2
    assert quantity([FOUND, FOUND]).tolist() == [0.8, 0.6]
    again = quantity.rows(torch.tensor([1, 0, 1]))
    assert again([FOUND] * 3).tolist() == [0.6, 0.8, 0.6]
    assert BoxScore(BOX, [1, 2]).rows(torch.tensor([1]))([FOUND]).tolist() == [0.8]
    both = BoxScore(BOX, 1) - 2 * BoxScore(BOX, 2)
    assert both([FOUND]).tolist() == pytest.approx([0.7 - 1.6])


def test_it_is_said_written_and_pickled() -> None:
    quantity = BoxScore(BOX, 1)
    assert quantity.in_words() == "score(class 1 at 0, 0, 4, 4)"
    assert quantity.in_words(["cat", "dog"]) == "score(dog at 0, 0, 4, 4)"
    assert BoxScore([BOX, BOX]).in_words() == "score(detection at a box each)"
    for other in (eval(code_of(quantity)), pickle.loads(pickle.dumps(quantity))):
        assert other([FOUND]).tolist() == [0.7]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"box": (0, 0, 4)}, r"as \(x1, y1, x2, y2\).*got shape \(3,\)"),
        ({"box": (4, 4, 2, 2)}, r"x1 < x2 and y1 < y2.*\(x, y, x \+ width, y \+ height\)"),
        ({"box": BOX, "overlap": 0}, r"overlap= in \(0, 1\], got 0"),
        ({"box": [BOX, BOX], "label": [1, 2, 3]}, r"as many boxes as labels, got \[2, 3\]"),
    ],
)
def test_what_is_no_box_is_refused(settings: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BoxScore(**settings)


def test_the_explained_instance_has_the_detection_or_it_is_said() -> None:
    quantity = BoxScore(BOX, 2)
    assert quantity.resolve([FOUND]) is quantity
    with pytest.raises(ValueError, match=r"by 0\.9 or more .* got 4 .* nearest overlaps by 0\.50"):
        BoxScore(BOX, 2, overlap=0.9).resolve([FOUND])
    with pytest.raises(ValueError, match="got 0 in example 1, none"):
        quantity.resolve([FOUND, detections()])
    for output in (torch.ones(1, 4), [torch.ones(4)], [{"boxes": torch.ones(1, 4)}]):
        with pytest.raises(TypeError, match="what a detector in eval mode returns"):
            quantity(output)


class Detector(nn.Module):
    """Two boxes whose scores are linear in two channels; of overlapping ones the best is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.channels = nn.Conv2d(3, 2, 1, bias=False)
        self.channels.weight = nn.Parameter(
            torch.tensor([[1.0, 0, 0], [0, 1.0, 0]])[..., None, None]
        )

    def forward(self, pictures: Tensor) -> list[dict[str, Tensor]]:
        found = self.channels(pictures).mean((2, 3))  # (examples, channels)
        scores = found @ torch.tensor([[0.2, 0.3], [0.1, 0.2]])
        boxes = torch.tensor([BOX, HALF]).float()
        kept = scores.argmax(dim=1, keepdim=True)  # they overlap by half: one is suppressed
        return [
            {"boxes": boxes[k], "labels": torch.ones_like(k), "scores": one[k]}
            for one, k in zip(scores, kept, strict=True)
        ]


def test_a_gradient_keeps_what_was_suppressed_and_a_removal_asks_again() -> None:
    network, picture = Detector().eval(), torch.full((1, 3, 4, 4), 0.5)
    (before,) = network(picture)
    assert before["boxes"].tolist() == [HALF]
    quantity = BoxScore(HALF, 1)
    slopes = DistributionalInfluence(
        network, network.channels, quantity=quantity, distribution=Point()
    ).attribute(picture)
    torch.testing.assert_close(slopes.sum((2, 3)), torch.tensor([[0.3, 0.2]]))
    # Without a channel the score is what the formula leaves: 0.5 · 0.2, and 0.5 · 0.3.
    found = explain(network, picture, "channels", quantity=quantity, top=2)
    lost = dict(zip((u.unit.index for u in found.units), found.effects.alone, strict=True))
    assert lost == pytest.approx({(0,): 0.15, (1,): 0.1}, abs=1e-6)
    assert found.value == pytest.approx(0.25)
