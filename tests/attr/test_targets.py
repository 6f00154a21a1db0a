"""Targets: which entries of an output they address, and what is told of those that don't fit."""

import functools
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from captum_influence.attr.targets import (
    check_labels,
    entry_of_each,
    one_entry,
    one_per_row,
    per_example_index,
    picked,
    with_labels,
)

OUTPUT = torch.arange(24.0).reshape(2, 3, 4)


@pytest.mark.parametrize(
    ("target", "index"),
    [
        (None, None),
        (3, None),
        ((1, 2), None),
        (torch.tensor(3), None),
        (torch.tensor([3]), None),  # one for all examples
        (torch.tensor([3, 1]), [[3], [1]]),
        ([3], [[3]]),
        ([3, 1], [[3], [1]]),
        ([(1, 2), (0, 3)], [[1, 2], [0, 3]]),
    ],
)
def test_one_target_or_one_for_each_example(target: Any, index: Any) -> None:
    found = per_example_index(target)
    assert (found if found is None else found.tolist()) == index


def test_entries_are_tuples_of_whole_numbers() -> None:
    assert one_entry(3) == one_entry((3,)) == one_entry(torch.tensor([3])) == (3,)
    assert one_entry((1, torch.tensor(2))) == (1, 2)
    for wrong in (1.5, "cat", (1, "cat"), torch.tensor([1, 2])):
        with pytest.raises(TypeError, match="a target is an int, a tuple of ints"):
            one_entry(wrong)


def test_the_same_entry_of_every_row() -> None:
    assert entry_of_each(OUTPUT, (1, 3)).tolist() == [7, 19]
    assert entry_of_each(OUTPUT, (-1, -1)).tolist() == [11, 23]
    assert entry_of_each(OUTPUT[:, :, :1], (2,)).tolist() == [8, 20]  # a column of one


def test_an_entry_for_each_row() -> None:
    assert picked(OUTPUT, torch.tensor([[1, 3], [0, 0]])).tolist() == [7, 12]
    assert picked(OUTPUT[:, 0], torch.tensor([[1], [-1]])).tolist() == [1, 15]


def test_outputs_of_one_number_each() -> None:
    assert one_per_row(OUTPUT[:, :1, :1]).tolist() == [0, 12]
    for wrong in (OUTPUT, torch.tensor(1.0)):
        with pytest.raises(ValueError, match="one number per example, got shape"):
            one_per_row(wrong)


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (
            lambda: entry_of_each(OUTPUT, (1,)),
            r"returns \(2, 3, 4\) needs a target of 2 indices.*got 1",
        ),
        (lambda: entry_of_each(OUTPUT, (1, 2, 3)), "got 3"),
        (
            lambda: entry_of_each(OUTPUT, (3, 0)),
            r"target \(3, 0\) is out .* of shape \(3, 4\)",
        ),
        (lambda: picked(OUTPUT, torch.tensor([[0, 0]])), "one target per example, got 1 for 2"),
        (lambda: picked(OUTPUT, torch.tensor([[0, 0], [0, -5]])), "out of range"),
    ],
)
def test_what_is_not_in_the_output_is_refused(read: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read()


# Labels of a loss


SCORES, LABELS = torch.zeros(3, 4), torch.tensor([0, 3, 1])


@pytest.mark.parametrize(
    ("loss", "output", "labels"),
    [
        (nn.CrossEntropyLoss(), SCORES, LABELS),
        (nn.CrossEntropyLoss(), SCORES, torch.tensor([0, -100, 3])),
        (nn.NLLLoss(ignore_index=7), SCORES, torch.tensor([0, 7, 3])),
        (nn.CrossEntropyLoss(), SCORES, torch.full((3, 4), 0.25)),
        (nn.CrossEntropyLoss(), torch.zeros(3, 4, 5), torch.full((3, 5), 3)),
        (nn.MSELoss(), SCORES, SCORES),
        (F.mse_loss, SCORES, torch.zeros(3, 1)),  # one target for an example's outputs
        (lambda o, y: o, SCORES, LABELS[:2]),
        (nn.MSELoss(), {"scores": SCORES}, LABELS),
    ],
)
def test_labels_that_fit_pass(loss: Any, output: Any, labels: Any) -> None:
    check_labels(loss, output, labels)


@pytest.mark.parametrize(
    ("loss", "output", "labels", "message"),
    [
        (nn.CrossEntropyLoss(), SCORES, LABELS + 1, r"labels from 0 to 3, .* \(3, 4\), got 4"),
        (nn.NLLLoss(), SCORES, LABELS - 1, "labels from 0 to 3, .* got -1"),
        (nn.CrossEntropyLoss(), torch.zeros(3, 4, 5), torch.full((3, 5), 4), "from 0 to 3"),
        (nn.MSELoss(), SCORES[:, :1], LABELS, r"shape, \(3, 1\), got \(3,\), .* broadcast"),
        (functools.partial(F.l1_loss, reduction="sum"), SCORES[:, 0], LABELS[:, None], "broadcast"),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    loss: Any, output: Any, labels: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        check_labels(loss, output, labels)


def test_what_a_loss_says_of_labels_is_said_in_words() -> None:
    assert with_labels(F.cross_entropy, SCORES, LABELS) == F.cross_entropy(SCORES, LABELS)
    for loss in (lambda o, y: o[torch.arange(3), y], lambda o, y: o.gather(1, y[:, None])):
        with pytest.raises(ValueError, match=r"expected labels that the loss has .* \(3, 4\)"):
            with_labels(loss, SCORES, LABELS + 1)
    with pytest.raises(RuntimeError, match="must match the size"):
        with_labels(torch.add, SCORES, LABELS)
