"""Codes of given directions, beside SciPy, least squares and finite differences."""

import numpy as np
import pytest
import torch
from torch import Tensor

from captum_influence.units.dictionaries.directions import (
    Directions,
    channel_among,
    nonnegative_codes,
)


def draw(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def test_nonnegative_codes_are_those_of_scipy() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    vectors, rows = draw(5, 8).abs(), draw(40, 8, seed=1)
    found = nonnegative_codes(rows @ vectors.T, vectors @ vectors.T)
    expected = [optimize.nnls(vectors.T.numpy(), row)[0] for row in rows.numpy()]
    torch.testing.assert_close(found, torch.tensor(np.stack(expected)), rtol=0, atol=1e-10)
    assert 0 < int((found == 0).sum()) < found.numel()


def test_a_row_is_coded_the_same_alone_as_among_others() -> None:
    coding = Directions(vectors=draw(5, 8).abs(), nonnegative=True)
    rows = draw(40, 8, seed=1)
    torch.testing.assert_close(coding.encode(rows[3:4]), coding.encode(rows)[3:4])


@pytest.mark.parametrize("nonnegative", [False, True])
def test_codes_can_be_differentiated(nonnegative) -> None:
    coding = Directions(vectors=draw(3, 5).abs(), offset=draw(5, seed=4), nonnegative=nonnegative)
    rows = draw(6, 5, seed=2).requires_grad_()
    assert torch.autograd.gradcheck(coding.encode, (rows,), atol=1e-6)


def test_signed_codes_are_least_squares() -> None:
    vectors, offset, rows = draw(3, 5), draw(5, seed=1), draw(7, 5, seed=2)
    coding = Directions(vectors=vectors, offset=offset)
    expected = torch.linalg.lstsq(vectors.T, (rows - offset).T).solution.T
    torch.testing.assert_close(coding.encode(rows), expected)
    torch.testing.assert_close(coding.decode(expected), expected @ vectors + offset)


def test_codes_of_what_is_made_of_directions_are_what_it_is_made_of() -> None:
    vectors, codes = draw(3, 6).abs(), draw(4, 3, seed=1).abs()
    coding = Directions(vectors=vectors, nonnegative=True)
    torch.testing.assert_close(coding.encode(codes @ vectors), codes, rtol=0, atol=1e-8)


@pytest.mark.parametrize(
    ("shape", "axis", "coded"),
    [
        ((2, 5), None, (2, 3)),
        ((2, 7, 5), None, (2, 7, 3)),
        ((2, 5, 4, 4), None, (2, 3, 4, 4)),
        ((2, 4, 4, 5), -1, (2, 4, 4, 3)),
        ((2, 5, 7), 1, (2, 3, 7)),
    ],
)
def test_codes_are_laid_out_as_activations_are(shape, axis, coded) -> None:
    coding = Directions(vectors=draw(3, 5), axis=axis)
    codes = coding.encode(draw(*shape))
    assert tuple(codes.shape) == coded
    assert tuple(coding.decode(codes).shape) == shape


def test_half_precision_is_coded_in_single() -> None:
    coding = Directions(vectors=draw(3, 5).abs().float(), nonnegative=True)
    rows = draw(4, 5).abs().bfloat16()
    assert coding.encode(rows).dtype == torch.bfloat16
    expected = coding.encode(rows.float())
    torch.testing.assert_close(coding.encode(rows).float(), expected, rtol=0.01, atol=0.01)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"vectors": torch.ones(3)}, r"\(k, channels\)"),
        ({"vectors": torch.ones(3, 2).long()}, "int64"),
        ({"vectors": torch.tensor([[1.0, 0.0], [0.0, 0.0]])}, "not zero"),
        ({"vectors": torch.ones(1, 2), "offset": torch.ones(3)}, r"shape \(2,\)"),
    ],
)
def test_what_are_no_directions_is_refused(given, said) -> None:
    with pytest.raises(ValueError, match=said):
        Directions(**given)


def test_activations_of_another_layer_are_refused() -> None:
    with pytest.raises(ValueError, match="5 channels along dimension 1"):
        Directions(vectors=draw(3, 5)).encode(draw(2, 4, 5, 5))


@pytest.mark.parametrize("axis", [0, 4, -4, -5])
def test_a_dimension_that_cannot_count_channels_is_refused(axis) -> None:
    with pytest.raises(ValueError, match="among 1 to 3"):
        channel_among(4, axis)
