"""How a question is run: checked when it is said, and seeded without a trace."""

from typing import Any

import numpy as np
import pytest
import torch

from captum_influence.attr.run import Run


def test_draws_are_the_same_and_the_global_state_is_left_alone() -> None:
    before = torch.get_rng_state()
    draws = []
    for run in (Run(seed=3), Run(seed=3), Run(seed=4)):
        with run.seeded():
            draws.append(torch.rand(5))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert torch.equal(torch.get_rng_state(), before)


def test_the_global_state_is_left_alone_also_by_an_error() -> None:
    before = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError), Run().seeded():
        torch.rand(1) / 0 + 1 / 0
    assert torch.equal(torch.get_rng_state(), before)


def test_whole_numbers_of_other_libraries_count() -> None:
    assert Run(internal_batch_size=np.int64(3)).internal_batch_size == 3


@pytest.mark.parametrize("rows", [0, -1])
def test_a_batch_size_is_positive(rows: int) -> None:
    with pytest.raises(ValueError, match=f"internal_batch_size as a positive number, got {rows}"):
        Run(internal_batch_size=rows)


@pytest.mark.parametrize(
    "wrong", [{"internal_batch_size": 2.5}, {"seed": "0"}, {"internal_batch_size": "many"}]
)
def test_numbers_are_whole(wrong: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=f"expected {next(iter(wrong))} as a whole number, got"):
        Run(**wrong)
