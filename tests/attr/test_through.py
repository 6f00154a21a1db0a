"""Gradients through some units of layers: truth by the chain rule, written out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformed
from torch import Tensor, nn

from captum_influence.attr.distributions import Distribution, Noise, Point
from captum_influence.attr.influence import DistributionalInfluence
from captum_influence.attr.inputs import Inputs
from captum_influence.attr.next_token import NextToken
from captum_influence.attr.paths import LinearPath
from captum_influence.attr.profile.one_pass import Questioner
from captum_influence.attr.profile.result import InfluenceProfile
from captum_influence.attr.quantities import ClassScore
from captum_influence.network.cuts import Cut
from captum_influence.units.selection import Selection
from captum_influence.units.units_of import UnitsOf

X = torch.sin(torch.arange(12, dtype=torch.float64)).reshape(4, 3)
B = torch.cos(torch.arange(12, dtype=torch.float64)).reshape(4, 3)
OVER = {"point": Point(), "path": LinearPath(B, 6), "draws": Noise(0.3, 4)}


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 4),
        nn.ReLU(inplace=True), nn.Linear(4, 2),
    ).double()  # fmt: skip


def influence(layer: Any, through: Any, model: nn.Module | None = None, **given: Any) -> Any:
    given.setdefault("distribution", Point())
    return DistributionalInfluence(model or network(), layer, through=through, **given)


def _jacobian(model: nn.Sequential, first: int, last: int, z: Tensor) -> Tensor:
    """Return the derivatives of what leaves one layer by what leaves another, of one row."""
    found: Tensor = torch.func.jacrev(model[first + 1 : last + 1])(z)
    return found


@pytest.mark.parametrize("distribution", OVER.values(), ids=OVER)
def test_it_is_the_chain_rule_in_one_expectation(distribution: Distribution) -> None:
    model, first, second = network(), [1, 3], [0]
    found = influence("1", [("3", first), ("5", second)], distribution=distribution).attribute(
        X, target=1
    )
    expected = torch.zeros(4, 5).double()
    for weight, (points,), _ in distribution.points((X,)):
        for i, x in enumerate(points):
            z, y = model[:2](x).detach(), model[:4](x).detach()
            one, two = _jacobian(model, 1, 3, z), _jacobian(model, 3, 5, y)
            three = _jacobian(model, 5, 6, model[:6](x).detach())
            way = three[1, second] @ two[second][:, first] @ one[first]
            expected[i] += weight * way.detach()
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("distribution", OVER.values(), ids=OVER)
@pytest.mark.parametrize("more", [{}, {"multiply_by_inputs": True}], ids=["plain", "times"])
def test_all_routes_add_up_to_the_total(distribution: Distribution, more: Any) -> None:
    total = influence("1", None, distribution=distribution, **more).attribute(X, target=1)
    parts = ([0, 2], [1], [3])
    one = [[("3", part)] for part in parts]
    two = [[("3", part), ("5", last)] for part in parts for last in ([0, 1], [2, 3])]
    for routes in (one, two):
        found = [
            influence("1", route, distribution=distribution, **more).attribute(X, target=1)
            for route in routes
        ]
        torch.testing.assert_close(torch.stack(found).sum(0), total, rtol=0, atol=1e-12)


def test_routes_along_a_path_add_up_to_the_difference() -> None:
    model = network()
    expected = (model(X) - model(B))[:, 1].detach()
    routes = [[("3", [k]), ("4", UNITS)] for k in range(4)]
    path = LinearPath(B, 60)
    found = [
        influence("1", route, distribution=path, displacement="along").attribute(X, target=1)
        for route in routes
    ]
    sums = torch.stack(found).sum(0).sum(1)
    torch.testing.assert_close(sums, expected, rtol=0, atol=2e-3)  # a ReLU follows


UNITS = [0, 1, 2, 3]


class Skips(nn.Module):
    """Two ways from the first layer to the last: round the middle, and through it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.first, self.middle, self.last = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.first(x))
        return self.last(h + torch.tanh(self.middle(h)))


def test_what_goes_round_the_layer_does_not_count() -> None:
    model = Skips().double()
    h = torch.tanh(model.first(X)).detach()
    slope = 1 - torch.tanh(model.middle(h)).detach() ** 2
    rest, middle = model.last.weight[1].detach(), model.middle.weight.detach()
    units = [0, 2]
    out = (rest * slope)[:, units] @ middle[units] * (1 - h**2)
    into = ((rest * slope) @ middle)[:, units] * (1 - h**2)[:, units]
    found = influence("first", [("middle", units)], model).attribute(X, target=1)
    torch.testing.assert_close(found, out, rtol=1e-12, atol=1e-14)
    branch = influence("first", [(Cut("middle", "input"), units)], model).attribute(X, target=1)
    expected = torch.zeros(4, 4).double()
    expected[:, units] = into
    torch.testing.assert_close(branch, expected, rtol=1e-12, atol=1e-14)


def test_units_are_named_as_everywhere() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(48, 2))
    model, picture = model.double(), torch.rand(2, 1, 8, 8).double()

    def asked(units: Any, layer: Any = "1") -> Tensor:
        found: Tensor = influence("0", [(layer, units)], model).attribute(picture, target=0)
        return found

    mask = torch.zeros(3, 4, 4, dtype=torch.bool)
    mask[1] = True
    channel = asked(mask)
    for units in (
        1,
        [1],
        torch.tensor([1]),
        Selection(((1,),)),
        [(1, i, j) for i in range(4) for j in range(4)],
    ):
        torch.testing.assert_close(asked(units), channel, rtol=1e-12, atol=0)
    torch.testing.assert_close(asked([1], UnitsOf("1")), channel)
    mask[:] = False
    mask[:, 2, 3] = True
    torch.testing.assert_close(asked([(2, 3)], UnitsOf("1", "position")), asked(mask))


def test_heads_of_a_transformer_add_up_to_their_attention() -> None:
    model, given = transformed.built("GPT-2"), transformed.batch("GPT-2")
    others = Inputs(transformed.corrupted("GPT-2", given)["input_ids"])
    heads = UnitsOf(Cut("transformer.h.1.attn.c_proj", "input"), "head", 2)
    asked = {
        "quantity": NextToken(3) - NextToken(5),
        "distribution": LinearPath(others, 3),
        "displacement": "along",
    }

    def of(through: Any) -> Tensor:
        found: Tensor = influence("transformer.h.0", through, model, **asked).attribute(given)
        return found

    both = of([("transformer.h.1.attn.c_proj", torch.ones(6, 16, dtype=torch.bool))])
    parts = of([(heads, [0])]) + of([(heads, [1])])
    torch.testing.assert_close(parts, both, rtol=0, atol=1e-12)
    assert float(both.abs().max()) > 1e-3


def test_quantities_layers_and_micro_batches_are_the_same_as_one_by_one() -> None:
    asked: dict[str, Any] = {
        "distribution": LinearPath(B, 6),
        "quantity": [ClassScore(0), ClassScore(1)],
    }
    route = [("3", [1, 2]), ("5", [0, 3])]
    both = influence(["0", "1"], route, **asked).attribute(X, internal_batch_size=5)
    for layer, found in zip("01", both, strict=True):
        for k in (0, 1):
            alone = influence(layer, route, distribution=LinearPath(B, 6)).attribute(X, target=k)
            torch.testing.assert_close(found[k], alone, rtol=1e-12, atol=1e-14)
    x = X.clone().requires_grad_()
    graphed = influence("1", route).attribute(x, target=1, grad_kwargs={"create_graph": True})
    assert torch.autograd.grad(graphed.sum(), x)[0].abs().sum() > 0


@pytest.mark.parametrize(
    ("through", "said"),
    [
        ([("3", [4])], "there is no unit 4 at the output of 3"),
        ([("3", [-1])], "there is no unit -1"),
        ([("3", [(0, 1)])], r"there is no unit \(0, 1\)"),
        ([("3", torch.ones(5, dtype=torch.bool))], "expected a mask of units"),
        ([("3", [0]), ("3", [1])], "expected each layer once"),
        ([("1", [0])], "expected each layer once"),
        ([("0", [0])], "got no way from the output of"),
        ([("5", [0]), ("3", [0])], "or change their order"),
        ([("3", "all")], "expected units of the output of 3 as channel numbers"),
        ([("3", [0.5])], "as a channel number or a tuple of ints, got float"),
        (["3"], "expected through= as a list of pairs"),
    ],
)
def test_what_is_no_route_is_refused(through: Any, said: str) -> None:
    with pytest.raises((ValueError, TypeError), match=said):
        influence("1", through).attribute(X, target=1)


def test_a_route_has_no_delta() -> None:
    route = influence("1", [("3", [0])], distribution=LinearPath(), multiply_by_inputs=True)
    with pytest.raises(ValueError, match="leave one of them out"):
        route.attribute(X, target=1, return_convergence_delta=True)


def test_a_profile_takes_a_route_and_knows_it_from_another() -> None:
    labels = torch.tensor([0, 1, 0, 1])
    route = influence("1", [("3", [1])])
    found = InfluenceProfile.over(route, [(X, labels)], group_by="label")
    torch.testing.assert_close(found.mean(0), route.attribute(X, target=labels)[::2].mean(0))
    asked = [influence("1", [("3", units)]) for units in ([1], [1], [2], Selection(((2,),)))]
    first, same, other, named = (Questioner(one, "label", "sum", 1, None).identity for one in asked)
    assert first == same
    assert first != other
    assert first != named
