"""What is asked, from what a user says."""

import pytest
import torch

from captum_influence import ClassScore, PredictedClass
from captum_influence.units.targets import numbered, question

NAMES = ["cat", "dog", "sports car"]
SCORES = torch.tensor([[1.0, 5.0, 2.0], [4.0, 0.0, 3.0]])


@pytest.mark.parametrize(
    ("target", "versus", "expected"),
    [
        (1, None, [5.0, 0.0]),
        ("dog", None, [5.0, 0.0]),
        ("Sports_Car", None, [2.0, 3.0]),
        ("2", None, [2.0, 3.0]),
        (1, 0, [4.0, -4.0]),
        ("dog", "cat", [4.0, -4.0]),
        (None, None, [5.0, 4.0]),
        (None, "sports car", [3.0, 1.0]),
        (ClassScore(0) + ClassScore(1), None, [6.0, 4.0]),
        (ClassScore(0) + ClassScore(1), "cat", [5.0, 0.0]),
        (lambda output: output[:, 0] * 2, None, [2.0, 8.0]),
    ],
)
def test_it_is_a_number_for_each_example(target, versus, expected) -> None:
    asked = question(target, versus=versus, names=NAMES)
    assert asked(SCORES).tolist() == expected


def test_target_and_quantity_are_the_same_thing() -> None:
    assert question(None, quantity="dog", names=NAMES)(SCORES).tolist() == [5.0, 0.0]
    assert isinstance(question(None), PredictedClass)
    with pytest.raises(TypeError, match="got both: they are the same thing"):
        question(0, quantity=0)


@pytest.mark.parametrize(
    ("target", "versus", "names", "message"),
    [
        ("bird", None, NAMES, "'bird', which is none of the 3 names"),
        ("dog", None, None, "no names are known"),
        (1, "bird", NAMES, "'bird'"),
        (1, "dog", NAMES, "difference is zero everywhere: change one"),
        ("dog", 1, NAMES, "got class 1 as target= and as versus="),
    ],
)
def test_what_can_not_be_asked_is_refused(target, versus, names, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        question(target, versus=versus, names=names)


def test_names_among_captums_targets_become_numbers() -> None:
    assert numbered("dog", NAMES) == 1
    assert numbered(["dog", 0, "sports car"], NAMES) == [1, 0, 2]
    for other in (None, 3, [(0, 1)], (2, 3)):
        assert numbered(other, NAMES) == other
    tensor = torch.tensor([1, 2])
    assert numbered(tensor, NAMES) is tensor
