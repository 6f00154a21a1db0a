"""A call by position or by name: what is explained, what is beside it, and what takes its place."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from captum_influence.attr.calls import Call
from captum_influence.attr.distributions import Point
from captum_influence.attr.influence import DistributionalInfluence
from captum_influence.attr.inputs import Inputs
from captum_influence.attr.paths import LinearPath
from captum_influence.data.items import Accepts
from captum_influence.network.passes.arguments import PerExample, Shared

IDS = torch.tensor([[1, 2, 3], [4, 5, 0]])
MASK = torch.tensor([[1, 1, 1], [1, 1, 0]])
X = torch.sin(torch.arange(8.0)).double().reshape(2, 4)
ACCEPTS = Accepts(("input_ids", "attention_mask", "pixel_values"), 1, 3)


def _call(inputs: Any, given: tuple[Any, ...] = (), **keywords: Any) -> Call:
    return Call.of(inputs, given, keywords, ACCEPTS)


@pytest.mark.parametrize(
    ("inputs", "leading"),
    [
        (IDS, (0,)),
        ((IDS, X), (0, 1)),
        ({"attention_mask": MASK, "input_ids": IDS}, ("input_ids",)),
        ({"attention_mask": MASK, "input_ids": IDS, "pixel_values": X}, ("pixel_values",)),
        ({"attention_mask": MASK.double(), "input_ids": IDS}, ("input_ids",)),
    ],
)
def test_what_is_explained(inputs: Any, leading: tuple[Any, ...]) -> None:
    call = _call(inputs)
    assert (call.leading, call.examples) == (leading, 2)


def test_all_of_it_has_a_name() -> None:
    assert list(_call(IDS, (MASK,), pixel_values=X).named) == list(ACCEPTS.names)
    assert _call((IDS, MASK)).named["attention_mask"] is MASK


def test_what_goes_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="give each once"):
        _call({"input_ids": IDS}, input_ids=IDS)
    with pytest.raises(TypeError, match=r"a tensor \(examples, ...\) to explain"):
        _call({"attention_mask": MASK})


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (7, {"input_ids": torch.full((2, 3), 7)}),
        (IDS[:1], {"input_ids": IDS[[0, 0]]}),
        ({"input_ids": IDS + 1}, {"input_ids": IDS + 1}),
        (Inputs({"input_ids": IDS + 1, "attention_mask": MASK}), {"input_ids": IDS + 1}),
    ],
)
def test_what_takes_the_place_of_inputs(values: Any, expected: dict[str, Tensor]) -> None:
    call = _call({"input_ids": IDS, "attention_mask": MASK})
    changed = call.changed(values, "baseline")
    assert torch.equal(changed.named["input_ids"], expected["input_ids"])
    assert torch.equal(changed.named["attention_mask"], MASK)


def test_names_also_mean_inputs_by_position() -> None:
    changed = _call((IDS, MASK)).changed({"input_ids": IDS + 1}, "baseline")
    assert torch.equal(changed.inputs[0], IDS + 1)
    assert torch.equal(_call((IDS, MASK)).changed((None, MASK), "baseline").inputs[0], IDS)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (torch.ones(2, 5).long(), "as long as its example, 3 tokens, got 5"),
        ({"input_ids": IDS[:, :2]}, "3 tokens, got 2 .*replace tokens one by one"),
        ({"input_ids": IDS, "attention_mask": MASK.flip(0)}, "row 0, of 2 tokens for 3"),
        ({"input_ids": IDS, "attention_mask": MASK[:1]}, "row 1, of 3 tokens for 2"),
        ({"pixel_values": X}, r"names 'pixel_values', which isn't among the inputs \['input_ids'"),
        ((IDS,), "one baseline for each of 2 inputs, got 1"),
        ({"input_ids": IDS.double() + 0.5}, "whole numbers"),
    ],
)
def test_other_prompts_are_as_long_and_have_names(values: Any, message: str) -> None:
    call = _call({"input_ids": IDS, "attention_mask": MASK})
    with pytest.raises(ValueError, match=message):
        call.changed(values, "baseline")


def test_a_set_needs_what_differs_from_example_to_example() -> None:
    call, others = _call({"input_ids": IDS, "attention_mask": MASK}), torch.ones(5, 3).long()
    with pytest.raises(ValueError, match=r"a set of baselines with \['attention_mask'\] too"):
        call.of_set(others, "baseline")
    whole = _call({"input_ids": IDS, "attention_mask": torch.ones(2, 3)})
    found = whole.of_set(others, "baseline")
    assert [tuple(x.shape) for x in found.inputs.values()] == [(5, 3), (5, 3)]


class Masked(nn.Module):
    """Means over the entries that a mask leaves; a table (n, n) or (n,) multiplies them."""

    def forward(
        self, x: Tensor, *, mask: Tensor | None = None, table: Tensor | None = None
    ) -> Tensor:
        mask = torch.ones_like(x) if mask is None else mask
        x = x if table is None else x @ table
        return torch.stack([(x * mask).sum(1), (x * x * mask).sum(1)], 1)


def _alone(keywords: dict[str, Tensor]) -> Tensor:
    x = X.clone().requires_grad_()
    (slope,) = torch.autograd.grad(Masked()(x, **keywords)[:, 1].sum(), x)
    return slope


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.masked = nn.Identity(), Masked()

    def forward(self, x: Tensor, **keywords: Any) -> Tensor:
        return self.masked(self.first(x), **keywords)


@pytest.mark.parametrize("rows", [1, 3, None])
@pytest.mark.parametrize("by_name", [True, False])
def test_what_is_per_example_is_cut_by_rows(rows: int | None, by_name: bool) -> None:
    mask = torch.tensor([[1, 0, 1, 1], [0, 1, 1, 0]]).double()
    influence = DistributionalInfluence(Net(), "first", distribution=LinearPath(0.0, 4))
    if by_name:
        found = influence.attribute({"x": X, "mask": mask}, target=1, internal_batch_size=rows)
    else:
        found = influence.attribute(
            X, target=1, internal_batch_size=rows, forward_kwargs={"mask": PerExample(mask)}
        )
    assert torch.allclose(found, _alone({"mask": mask}) / 2, atol=1e-14)


def test_a_square_that_is_for_all_is_said_to_be() -> None:
    x, table = X[:, :2], torch.tensor([[1.0, 2.0], [3.0, 5.0]]).double()
    influence = DistributionalInfluence(Net(), "first", distribution=Point())
    for given in ({"x": x, "table": Shared(table)}, {"x": x}):
        beside = {} if "table" in given else {"forward_kwargs": {"table": Shared(table)}}
        found = influence.attribute(given, target=0, **beside)  # type: ignore[arg-type]
        assert torch.allclose(found, table.sum(1).expand(2, 2))
