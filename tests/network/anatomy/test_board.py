"""Readers get, beside the stream, what others wrote in place of those they don't hear."""

import torch
from torch import nn

from captum_influence.network.anatomy.board import Apart, Board, Weight


def test_a_shift_is_the_sum_over_those_who_are_not_heard() -> None:
    kept, others = torch.randn(3, 1, 2, 4), torch.randn(3, 1, 2, 4)
    absent = torch.tensor([[True, False, True], [False, True, False]])
    board = Board(kept=list(kept), absent=absent, others=others)
    shifts = board.shifts(slice(0, 2), 3)
    assert shifts is not None
    moved = others - kept
    torch.testing.assert_close(shifts[0], moved[0] + moved[2])
    torch.testing.assert_close(shifts[1], moved[1])
    early = board.shifts(slice(0, 1), 2)
    assert early is not None
    torch.testing.assert_close(early[0], moved[0])  # the third hasn't written yet
    assert Board().shifts(slice(0, 1), 3) is None


def test_each_example_may_hear_others_by_itself() -> None:
    kept, others = torch.randn(3, 2, 5, 4), torch.randn(3, 2, 5, 4)
    absent = torch.rand(2, 4, 3) < 0.5
    found = Board(kept=list(kept), absent=absent, others=others).shifts(slice(1, 3), 3)
    assert found is not None
    for example in range(2):
        alone = Board(
            kept=list(kept[:, example : example + 1]),
            absent=absent[example],
            others=others[:, example : example + 1],
        ).shifts(slice(1, 3), 3)
        assert alone is not None
        torch.testing.assert_close(found[:, example : example + 1], alone)


def test_a_projection_apart_computes_what_it_did() -> None:
    module, x = nn.Linear(4, 6), torch.randn(2, 3, 4)
    weight = Weight(module.weight, module.bias, linear=True)
    groups = [slice(0, 2), slice(2, 5), slice(5, 6)]
    apart = Apart(module, Board(), weight, None, "", groups, first=0, before=1)
    torch.testing.assert_close(apart(x), module(x))
    norm, board = nn.LayerNorm(4), Board(streams={"norm": x})
    apart = Apart(module, board, weight, norm, "norm", groups, first=0, before=1)
    torch.testing.assert_close(apart(norm(x)), module(norm(x)))
