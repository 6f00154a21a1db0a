"""What units do together, against networks whose answers are known by algebra."""

import pytest
import torch
from torch import Tensor, nn

from captum_influence import ClassScore, Cut, LinearPath, Point, rank_units
from captum_influence.attr import Midpoint
from captum_influence.demo import handwired_networks
from captum_influence.experts import combine

WIRED = handwired_networks()
PATH = LinearPath(0.0, 400, Midpoint())


@pytest.mark.parametrize("name", WIRED)
def test_alone_is_exact_removal(name: str) -> None:
    wired = WIRED[name]
    channels = range(wired.contribution.shape[1])
    found = combine(wired.model, wired.inputs, {wired.layer: channels}, wired.target)
    torch.testing.assert_close(found.alone, wired.contribution)
    torch.testing.assert_close(found.value, wired.model(wired.inputs)[:, wired.target])


@pytest.mark.parametrize(
    ("name", "units", "joint", "interaction"),
    [
        # q = min(z1 + z2, 1) with z1 = z2 = x: either would do where x > 1
        ("redundant_units", [0, 1], lambda x: (2 * x[:, 0]).clamp(max=1), lambda x: x[:, 0] > 1),
        # q = z1 z2: removing either removes everything
        (
            "gated_unit",
            [0, 1],
            lambda x: x.clamp(min=0).prod(1),
            lambda x: -x.clamp(min=0).prod(1),
        ),
        # q = 3 z1 - 3 z2 + z3 with z1 = z2: large effects that cancel, and nothing else
        ("cancelling_units", [0, 1], lambda x: 0 * x[:, 0], lambda x: 0 * x[:, 0]),
        # q = 2 z1 + 0 z2 - 3 z3 + 5 z4: sums of what each does
        ("linear_units", [0, 2], lambda x: 2 * x[:, 0] - 3 * x[:, 2], lambda x: 0 * x[:, 0]),
    ],
)
def test_sets_in_one_layer(name, units, joint, interaction) -> None:
    wired = WIRED[name]
    found = combine(wired.model, wired.inputs, {"units": units}, quantity=0, distribution=PATH)
    torch.testing.assert_close(found.joint, joint(wired.inputs))
    torch.testing.assert_close(found.interaction, interaction(wired.inputs).to(found.joint))
    torch.testing.assert_close(found.joint, found.added + found.interaction)
    # z(t x) = t z(x), so the contributions along the path from zero add up to q where z is all of q
    if name in ("redundant_units", "gated_unit"):
        torch.testing.assert_close(found.estimate, found.joint, rtol=0, atol=3e-3)


class Chain(nn.Module):
    """q = 2 b + c with a = 3 x1, b = relu(a + x2), c = a: ``first`` holds (a, x2), ``second`` b."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Identity()
        self.second = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        z = self.first(x * torch.tensor([3.0, 1.0]).to(x))
        q = 2 * self.second(z.sum(dim=1, keepdim=True)) + z[:, :1]
        return torch.cat([q, -q], dim=1)


INPUTS = torch.tensor([[1.0, 2.0], [0.5, 4.0]], dtype=torch.float64)


def test_units_in_a_chain_are_not_counted_twice() -> None:
    x1, x2 = INPUTS.unbind(1)
    found = combine(
        Chain(), INPUTS, {"second": [0], "first": [0]}, quantity=0, distribution=Point()
    )
    assert found.units == ("channel 0 of second", "channel 0 of first")
    torch.testing.assert_close(found.alone, torch.stack([6 * x1 + 2 * x2, 9 * x1], dim=1))
    torch.testing.assert_close(found.joint, 9 * x1 + 2 * x2)  # all of b, and a's way around it
    torch.testing.assert_close(found.interaction, -6 * x1)  # a's way through b, counted twice
    torch.testing.assert_close(found.estimate, found.joint)  # positively linear here


def test_units_of_a_joint_ranking_know_where_they_are() -> None:
    model = Chain()
    layers = {"first": torch.tensor([[9.0, 2.0]]), "second": torch.tensor([[2.0]])}
    ranking = rank_units(layers, axis={"first": {"both": [0, 1]}, "second": "channel"}, top=2)
    found = combine(model, INPUTS, ranking, quantity=0)
    assert found.units == ("both of first", "channel 0 of second")
    torch.testing.assert_close(found.joint, found.value)
    plain = rank_units(layers, top=3)
    listed = combine(model, INPUTS, list(plain), quantity=0)
    torch.testing.assert_close(listed.joint, found.joint)
    assert len(listed.units) == 3


def test_single_neurons_cuts_and_modules() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2)).double()
    x = torch.rand(3, 1, 2, 2, dtype=torch.float64)
    found = combine(model, x, {Cut("1"): [(1, 0, 1)], model[2]: [0]}, quantity=1)
    assert found.units == ("neuron (1, 0, 1) of 1", "channel 0 of 2")
    z = model[:3](x)
    without = z.clone()
    without[:, [5, 0]] = 0
    torch.testing.assert_close(found.joint, (model[3](z) - model[3](without))[:, 1].detach())


def test_means_of_a_loader_and_a_baseline_take_their_place() -> None:
    x1, x2 = INPUTS.unbind(1)
    mean = combine(
        Chain(),
        INPUTS,
        {"first": [0], "second": [0]},
        quantity=0,
        replace="mean",
        loader=[INPUTS],
    )
    b, a = 3 * x1 + x2, 3 * x1
    torch.testing.assert_close(mean.joint, 2 * (b - b.mean()) + a - a.mean())
    zero = combine(
        Chain(),
        INPUTS,
        {"first": [0]},
        quantity=0,
        replace="mean",
        loader=[torch.zeros(1, 2, dtype=torch.float64)],
    )
    torch.testing.assert_close(zero.joint, 9 * x1)


def test_classes_go_by_their_names_too() -> None:
    units, names = {"first": [0]}, ["yes", "no"]
    found = combine(Chain(), INPUTS, units, "yes", versus="no", class_names=names)
    assert found.quantity == "score(yes) − score(no)"
    same = combine(Chain(), INPUTS, units, ClassScore(0) - ClassScore(1))
    torch.testing.assert_close(found.joint, same.joint)
    torch.testing.assert_close(found.joint, 2 * 9 * INPUTS[:, 0])  # the scores are q and −q


def test_a_network_that_begins_in_place_sees_the_inputs_as_they_are() -> None:
    model = nn.Sequential(nn.ReLU(inplace=True), nn.Linear(2, 2, bias=False)).double()
    x = torch.tensor([[-1.0, 2.0]], dtype=torch.float64)
    found = combine(model, x, {"0": [0], "1": [1]}, 1)
    assert x.tolist() == [[-1.0, 2.0]]
    assert found.alone[0].tolist() == [0.0, float(found.value)]


def test_the_network_is_left_as_it_was() -> None:
    model = Chain()
    before = model(INPUTS)
    with pytest.raises(ValueError, match="no channel"):
        combine(model, INPUTS, {"first": [7]}, quantity=0)
    assert torch.equal(model(INPUTS), before)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


@pytest.mark.parametrize(
    ("units", "message"),
    [
        ({}, "at least one unit"),
        ({"first": []}, "at least one unit of the"),
        ({"third": [0]}, "third"),
        ({"first": [0, 1, 0]}, "each unit of the output of .* once"),
        ({"first": [7]}, "no channel"),
        (rank_units(torch.ones(1, 2)), "channel 0 without one"),
    ],
)
def test_bad_sets_say_what_came(units, message) -> None:
    with pytest.raises(ValueError, match=message):
        combine(Chain(), INPUTS, units, quantity=0)


def test_what_a_word_means_has_to_be_at_hand() -> None:
    with pytest.raises(ValueError, match=r"replace='mean' takes a reference: .* as loader="):
        combine(Chain(), INPUTS, {"first": [0]}, 0, replace="mean")
    with pytest.raises(TypeError, match="no keyword 'reference'"):
        combine(Chain(), INPUTS, {"first": [0]}, 0, replace="mean", reference=[INPUTS])
