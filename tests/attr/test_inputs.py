"""Inputs stand for their activations, for all examples or for those of a data set."""

from typing import Any

import pytest
import torch

from captum_influence.attr.inputs import Inputs, NamedInputs, names_inputs
from captum_influence.attr.paths import LinearPath

IDS = torch.tensor([[1, 2], [3, 4], [5, 6]])


@pytest.mark.parametrize(
    ("values", "count"),
    [(IDS, 3), (IDS[:1], 1), ((None, IDS), 3), ({"ids": IDS, "scale": 0.5}, 3), (0.0, 1)],
)
def test_for_how_many_examples_they_are(values: Any, count: int) -> None:
    assert len(Inputs(values)) == count


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (IDS, IDS[[2, 0]]),
        (IDS[:1], IDS[:1]),  # one for all
        ((None, IDS), (None, IDS[[2, 0]])),
        ({"ids": IDS, "scale": 0.5}, {"ids": IDS[[2, 0]], "scale": 0.5}),
    ],
)
def test_rows_are_those_of_the_data_set(values: Any, expected: Any) -> None:
    found = Inputs(values).rows(torch.tensor([2, 0])).values
    parts = found.values() if isinstance(found, dict) else found
    wanted = expected.values() if isinstance(expected, dict) else expected
    for a, b in zip(parts, wanted, strict=True):
        assert torch.equal(a, b) if isinstance(b, torch.Tensor) else a == b


def test_too_few_for_a_data_set() -> None:
    with pytest.raises(ValueError, match="got 3 and an example number 3"):
        Inputs(IDS).rows(torch.tensor([3]))


@pytest.mark.parametrize("values", ["Mary left", ["Mary"], {"text": "Mary"}, (IDS, "John")])
def test_text_is_tokenised_first(values: Any) -> None:
    with pytest.raises(TypeError, match="tokenise text first"):
        Inputs(values)


def test_what_names_inputs() -> None:
    named = [Inputs(IDS), {"ids": IDS}, NamedInputs({"ids": IDS}), (None, 0.0)]
    assert all(map(names_inputs, named))
    assert not any(map(names_inputs, [0.0, IDS, (0.0, IDS)]))


def test_only_a_network_knows_their_activations() -> None:
    with pytest.raises(TypeError, match="give the distribution to DistributionalInfluence"):
        next(LinearPath(Inputs(IDS)).points((IDS.float(),)))
