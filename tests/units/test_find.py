"""Units of one layer and of several, ranked from tensors, and measured in one pass."""

import math

import pytest
import torch
from torch import nn

from captum_influence import (
    ClassScore,
    Cut,
    DistributionalInfluence,
    LinearPath,
    Point,
    rank_layers,
    rank_units,
)
from captum_influence.attr import Midpoint
from captum_influence.demo import handwired_networks
from captum_influence.experts import combine
from captum_influence.units.units_of import UnitsOf


def values(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def test_channels_of_a_feature_map_are_summed_with_their_signs() -> None:
    influences = torch.tensor([[[[1.0, -5.0]], [[2.0, 2.0]], [[-1.0, 0.0]]]])
    ranking = rank_units(influences)
    assert [unit.index for unit in ranking] == [(1,), (2,), (0,)]
    assert [unit.value for unit in ranking] == [4.0, -1.0, -4.0]
    assert [unit.share for unit in ranking] == pytest.approx([4 / 9, -1 / 9, -4 / 9])
    assert [unit.name for unit in ranking.against(5)] == ["channel 0", "channel 2"]


def test_contribution_multiplies_before_it_pools() -> None:
    influences = torch.tensor([[[1.0, -1.0], [1.0, 1.0]]])[..., None]  # (1, 2, 2, 1)
    activations = torch.tensor([[[3.0, 3.0], [1.0, 2.0]]])[..., None]
    ranking = rank_units(influences, activations, reference=0.5, by="contribution")
    assert [(u.index, u.value) for u in ranking] == [((1,), 2.0), ((0,), 0.0)]
    assert (ranking[0].activation, ranking[0].reference) == (3.0, 1.0)


def test_examples_are_averaged() -> None:
    ranking = rank_units(torch.tensor([[1.0, 3.0], [3.0, 1.0]]), top=1)
    assert (len(ranking), ranking[0].name, ranking[0].value) == (1, "channel 0", 2.0)
    assert ranking[0].standard_error == pytest.approx(1.0)  # of 1 and 3


def test_heads_and_pooling_are_passed_on() -> None:
    x = values(2, 5, 6)
    found = rank_units(x, axis="head", heads=3, aggregate="max")
    torch.testing.assert_close(found.values, x.view(2, 5, 3, 2).amax(dim=(1, 3)).mean(0))


@pytest.mark.parametrize(
    ("influences", "options", "message"),
    [
        (torch.ones(3), {}, "at least one unit per example"),
        (torch.ones(1, 3), {"by": "contribution"}, "pass them as the second"),
        (torch.ones(1, 3), {"by": "size"}, "got 'size'"),
        (torch.ones(1, 3), {"activations": torch.ones(1, 4)}, r"\(1, 3\), got \(1, 4\)"),
    ],
)
def test_bad_input_says_what_came(influences, options, message) -> None:
    with pytest.raises(ValueError, match=message):
        rank_units(influences, **options)


def test_what_is_no_tensor_is_refused() -> None:
    with pytest.raises(TypeError, match="or of several as a mapping"):
        rank_units([[1.0, 3.0]])


# Several layers on one scale ----------------------------------------------------------------------


def test_layers_are_ranked_together_by_their_share_of_the_layer() -> None:
    layers = {"near": torch.tensor([[6.0, -2.0]]), "far": torch.tensor([[0.5, 0.25, 0.25]])}
    ranking = rank_units(layers)
    assert [unit.name for unit in ranking] == [
        "channel 0 of near",
        "channel 0 of far",
        "channel 1 of far",
        "channel 2 of far",
        "channel 1 of near",
    ]
    assert [unit.share for unit in ranking] == pytest.approx([0.75, 0.5, 0.25, 0.25, -0.25])
    assert [unit.value for unit in ranking.layers["far"]] == [0.5, 0.25, 0.25]
    assert [unit.name for unit in ranking.against(3)] == ["channel 1 of near"]
    assert [unit.layer for unit in rank_units(list(layers.values()), top=2)] == ["0", "1"]


@pytest.mark.parametrize("aggregate", ["sum", "mean", "max"])
def test_shares_of_the_quantity_divide_contributions_by_how_far_it_moved(aggregate) -> None:
    influences = {"a": values(2, 3, 4, 4), "b": values(2, 5)}
    activations = {name: x.flip(0) for name, x in influences.items()}
    asked = {"by": "contribution", "aggregate": aggregate, "reference": 0.5}
    ranking = rank_units(influences, activations, change=torch.tensor([-1.0, -3.0]), **asked)
    for unit in ranking:
        alone = rank_units(influences[unit.layer], activations[unit.layer], **asked)
        (same,) = [other for other in alone if other.index == unit.index]
        assert unit.value == pytest.approx(same.value)
        assert unit.share == pytest.approx(same.value / 2)  # the sign says: raises or lowers
    shares = [unit.share for unit in ranking]
    assert shares == sorted(shares, reverse=True)


def test_in_linear_networks_each_layer_s_shares_of_the_quantity_add_up_to_one() -> None:
    torch.manual_seed(0)
    parts = [torch.nn.Linear(4, 6), torch.nn.Linear(6, 5), torch.nn.Linear(5, 1)]
    model = torch.nn.Sequential(*parts).double()
    x, origin = values(3, 4), torch.zeros(1, 4, dtype=torch.float64)
    names = ["0", "1"]
    measure = DistributionalInfluence(model, names, distribution=Point(), quantity=ClassScore(0))
    influences = dict(zip(names, measure.attribute(x), strict=True))
    here = {"0": parts[0](x), "1": parts[1](parts[0](x))}
    begin = {"0": parts[0](origin).expand(3, -1), "1": parts[1](parts[0](origin)).expand(3, -1)}
    change = (model(x) - model(origin))[:, 0].detach()
    ranking = rank_units(influences, here, reference=begin, by="contribution", change=change)
    sign = math.copysign(1.0, float(change.mean()))
    for name in names:
        assert sum(u.share for u in ranking.layers[name]) == pytest.approx(sign)
    assert sum(unit.share for unit in ranking) == pytest.approx(2 * sign)  # counted twice


def test_each_layer_may_have_its_own_axis() -> None:
    layers = {"maps": values(1, 4, 3, 3), "flat": values(1, 6)}
    ranking = rank_units(layers, axis={"maps": "position", "flat": {"left": [0, 1, 2]}})
    assert {unit.axis for unit in ranking.layers["maps"]} == {"position"}
    assert [unit.name for unit in ranking.layers["flat"]] == ["left of flat"]


@pytest.mark.parametrize(
    ("layers", "options", "message"),
    [
        ([], {}, "at least one layer"),
        ({"a": torch.full((1, 2), torch.nan)}, {}, "layer a: .* holds NaN"),
        ({"a": torch.ones(1, 2)}, {"change": 1.0}, "a slope, not a part of a change"),
        ({"a": torch.ones(1, 2)}, {"by": "contribution"}, "layer a: .* pass them as the second"),
        ({"a": torch.ones(1, 2)}, {"activations": {"b": torch.ones(1, 2)}}, r"got \['b'\]"),
        (
            {"a": torch.ones(1, 2)},
            {"activations": [torch.ones(1, 2)], "by": "contribution", "change": 0.0},
            "shares can be taken of",
        ),
    ],
)
def test_bad_layers_say_what_came(layers, options, message) -> None:
    with pytest.raises(ValueError, match=message):
        rank_units(layers, **options)


# Measured in one pass -----------------------------------------------------------------------------

NAMES = ["0", "1", "4"]
PATH = LinearPath(0.1, 7, Midpoint())


def network() -> nn.Sequential:
    torch.manual_seed(0)
    parts = [nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 5), nn.ReLU()]
    return nn.Sequential(*parts, nn.Linear(5, 3)).double().eval()


def images(count: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(count, 2, 4, 4, generator=generator, dtype=torch.float64)


def test_each_layer_is_what_it_is_alone_and_shares_are_of_the_change() -> None:
    model, x = network(), images()
    ranking = rank_layers(model, x, [Cut("0"), model[1], "4"], 2, distribution=PATH)
    assert list(ranking.layers) == NAMES
    change = float((model(x) - model(torch.full_like(x, 0.1)))[:, 2].detach().mean())
    for name in NAMES:
        alone = DistributionalInfluence(
            model, name, distribution=PATH, quantity=ClassScore(2), multiply_by_inputs=True
        ).attribute(x)
        pooled = alone.flatten(2).sum(2) if alone.ndim > 2 else alone
        torch.testing.assert_close(ranking.layers[name].values, pooled.mean(dim=0))
        assert ranking.layers[name].change == pytest.approx(change)
    for unit in ranking:
        assert unit.share == pytest.approx(unit.value / abs(change))


def test_in_a_network_without_biases_each_layer_s_shares_add_up_to_one() -> None:
    for wired in handwired_networks().values():
        path = LinearPath(0.0, 400, Midpoint())
        one = wired.inputs[:1]
        layers = [wired.layer, "detect"]
        ranking = rank_layers(wired.model, one, layers, 0, distribution=path)
        for layer in ranking.layers.values():
            if layer.change is not None:
                assert sum(unit.share for unit in layer) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("asked", [{"distribution": Point()}, {"by": "influence"}])
def test_without_a_change_shares_are_of_the_layer(asked) -> None:
    ranking = rank_layers(network(), images(), NAMES, 0, **asked)
    for layer in ranking.layers.values():
        assert layer.change is None
        assert sum(abs(unit.share) for unit in layer) == pytest.approx(1)


def test_what_was_ranked_together_can_be_removed_together() -> None:
    model, x = network(), images()
    ranking = rank_layers(model, x, NAMES[1:], top=4)
    found = combine(model, x, ranking)
    assert set(found.units) == {unit.name for unit in ranking}
    assert found.joint.shape == (3,)


def test_a_layer_may_say_what_its_units_are_and_so_may_a_mapping() -> None:
    model, x = network(), images()
    asked = {"target": 1, "distribution": PATH}
    halves = {"first": [0, 1], "rest": [2, 3, 4]}
    said = rank_layers(model, x, [UnitsOf("0", "position"), UnitsOf("4", halves)], **asked)
    mapped = rank_layers(model, x, ["0", "4"], axis={"0": "position", "4": halves}, **asked)
    assert [unit.name for unit in said] == [unit.name for unit in mapped]
    assert {unit.axis for unit in said.layers["0"]} == {"position"}
    assert {unit.name for unit in said.layers["4"]} == {"first of 4", "rest of 4"}


def test_names_of_classes_are_understood_and_said() -> None:
    names = ["cat", "dog", "cow"]
    model, x = network(), images()
    found = rank_layers(model, x, ["4"], "dog", versus="cow", class_names=names)
    quantity = ClassScore(1) - ClassScore(2)
    same = rank_layers(model, x, ["4"], quantity=quantity, class_names=names)
    assert found.facts["quantity"] == same.facts["quantity"] == "score(dog) − score(cow)"
    assert [unit.value for unit in found] == [unit.value for unit in same]


def test_an_option_that_means_nothing_here_is_refused() -> None:
    with pytest.raises(TypeError, match="no keyword 'percentile'"):
        rank_layers(network(), images(), ["4"], percentile=90.0)


@pytest.mark.parametrize(
    ("layers", "message"),
    [([], "at least one layer"), ("1", "got str"), (["1", "1"], "each layer once"), (["9"], "9")],
)
def test_bad_layers_are_named(layers, message) -> None:
    with pytest.raises(ValueError, match=message):
        rank_layers(network(), images(), layers)


def test_layers_are_asked_at_the_input_and_compared_in_the_quantity_s_units() -> None:
    """Estimates are exact in a linear network: each is what the unit's removal takes from q."""
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 5), nn.Linear(5, 2)).double()
    x = torch.rand(4, 3, dtype=torch.float64)
    for replace in ("zero", "mean"):
        found = rank_layers(model, x, ["0", "1"], 1, replace=replace)
        values = [unit.value for unit in found]
        assert values == sorted(values, reverse=True)
        here = model[:2](x).detach()
        start = here.mean(dim=0) if replace == "mean" else 0.0
        exact = ((here - start) * model[2].weight[1]).mean(dim=0)
        torch.testing.assert_close(found.layers["1"].values, exact.detach())
        assert found.layers["1"].change is None
    along = rank_layers(model, x, ["0", "1"], 1, distribution=LinearPath(0.0, 2))
    assert along.layers["0"].change is not None
