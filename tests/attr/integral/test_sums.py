"""Rows are added to their examples, however they lie in memory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from captum_influence import ClassScore, LinearPath
from captum_influence.attr.integral.problem import Problem
from captum_influence.attr.integral.sums import Sums
from captum_influence.attr.points import Block
from captum_influence.network.slices import Slice

EXAMPLES = 40
CASES = {
    "runs of few examples": torch.tensor([3, 3, 3, 4, 4, 5]),
    "one example": torch.full((7,), 39),
    "all examples at once": torch.arange(EXAMPLES),
    "in no order": torch.tensor([9, 2, 9, 0, 2, 2]),
}
SHAPES = {"image": (5, 4, 3), "vector": (6,), "number": (), "one pixel": (5, 1, 1)}


def _summed(examples: torch.Tensor, terms: torch.Tensor, quantities: int | None) -> torch.Tensor:
    model = nn.Identity()
    problem = Problem(
        Slice(model, ()),
        LinearPath(0.0, 1),
        [ClassScore(0)] * (quantities or 1),
        (torch.zeros(EXAMPLES, 2),),
    )
    ones = torch.ones(len(examples), dtype=torch.float64)
    block = Block(examples, ones, torch.zeros_like(examples), (torch.zeros(len(examples), 2),))
    sums = Sums(problem)
    for _ in range(2):  # the second time the sums are there
        sums.add(0 if quantities is None else slice(None), block, (terms,))
    return sums.sums[0]


@pytest.fixture(params=["highest", "medium"])
def _precision(request: pytest.FixtureRequest) -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(request.param)
    yield
    torch.set_float32_matmul_precision(before)


@pytest.mark.usefixtures("_precision")
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("examples", CASES.values(), ids=CASES)
@pytest.mark.parametrize("quantities", [None, 3])
def test_sums_are_those_of_a_slow_loop(
    examples: torch.Tensor,
    shape: tuple[int, ...],
    dtype: torch.dtype,
    layout: torch.memory_format,
    quantities: int | None,
) -> None:
    generator = torch.Generator().manual_seed(0)
    lead = () if quantities is None else (quantities,)
    terms = torch.randn(*lead, len(examples), *shape, generator=generator).to(dtype)
    if len(shape) == 3 and quantities is None:
        terms = terms.contiguous(memory_format=layout)
    wanted = torch.zeros(quantities or 1, EXAMPLES, *shape, dtype=torch.float64)
    for k, rows in enumerate(terms if quantities else [terms]):
        for example, row in zip(examples.tolist(), rows, strict=True):
            wanted[k, example] += 2 * row.double()
    found = _summed(examples, terms, quantities)
    assert found.dtype == torch.promote_types(dtype, torch.float32)
    torch.testing.assert_close(found.double(), wanted, atol=1e-5, rtol=1e-6)


def test_rows_that_lie_scattered_are_added_too() -> None:
    terms = torch.randn(6, 4, 5).transpose(1, 2)
    found = _summed(torch.tensor([0, 0, 1, 1, 1, 1]), terms, None)
    torch.testing.assert_close(found[0, 0], 2 * terms[:2].sum(0))


def test_an_infinite_term_is_its_own_examples_only() -> None:
    terms = torch.ones(6, 3)
    terms[0, 1] = torch.inf
    found = _summed(torch.tensor([3, 3, 3, 4, 4, 5]), terms, None)[0, 3:6]
    wanted = torch.tensor([[6.0, torch.inf, 6.0], [4.0, 4.0, 4.0], [2.0, 2.0, 2.0]])
    torch.testing.assert_close(found, wanted)
