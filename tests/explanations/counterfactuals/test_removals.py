"""Activations without sets of units, entry by entry."""

import torch

from captum_influence.explanations.counterfactuals.removals import Removals, removed
from captum_influence.network.cuts import Cut
from captum_influence.network.substitution import reruns
from captum_influence.units.axes import Axis
from captum_influence.units.replacement import Constant, MeanActivation

SETS = [[], [1], [0, 2]]


def test_a_set_is_replaced_whole_and_nothing_else() -> None:
    z = torch.randn(1, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    instead = MeanActivation.of([torch.randn(4, 3, 2, 2)])
    found = removed(z, SETS, Axis.ensure("channel", (3, 2, 2)), instead)
    for row, units in zip(found, SETS, strict=True):
        for channel in range(3):
            expected = instead.value.float() if channel in units else z[0]
            assert torch.equal(row[channel], expected[channel])


def test_one_set_is_taken_from_every_example() -> None:
    z = torch.randn(5, 4)
    found = removed(z, [[1, 3]], Axis.ensure("channel", (4,)), Constant(torch.zeros(())))
    assert torch.equal(found, z * torch.tensor([1.0, 0.0, 1.0, 0.0]))


def test_active_units_are_those_that_removal_changes() -> None:
    model = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Linear(4, 2))
    inputs = torch.tensor([[1.0, -1.0, 0.5, 2.0]])
    axis, instead = Axis.ensure("channel", (4,)), Constant(torch.tensor(0.5))
    with reruns(model, Cut("0"), inputs) as runs:
        whole = Removals(runs=runs, axis=axis, replacement=instead)
        assert whole.active() == [0, 1, 3]
        parts = Removals(runs=runs, axis=axis, replacement=instead, rows=2)
        torch.testing.assert_close(parts.answers(SETS), whole.answers(SETS))
        by_hand = model[1](torch.tensor([[0.5, 0.0, 0.5, 2.0]]))
        torch.testing.assert_close(whole.answers(SETS)[2:], by_hand)
