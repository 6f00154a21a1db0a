import pytest
import torch
from torch import nn

from captum_influence.demo.handwired import HandWired, handwired_networks

NETWORKS = handwired_networks()
NAMES = list(NETWORKS)


def quantity(wired: HandWired, units: torch.Tensor) -> torch.Tensor:
    return wired.model.head(units)[:, wired.target]


def units_at(wired: HandWired, inputs: torch.Tensor) -> torch.Tensor:
    layers = dict(wired.model.named_children())
    return layers[wired.layer](layers["detect"](inputs)).detach()


def gradient(wired: HandWired, inputs: torch.Tensor) -> torch.Tensor:
    units = units_at(wired, inputs).requires_grad_(True)
    (result,) = torch.autograd.grad(quantity(wired, units).sum(), units)
    return result


@pytest.mark.parametrize("name", NAMES)
def test_expected_is_the_gradient_at_the_point(name):
    wired = NETWORKS[name]
    torch.testing.assert_close(
        gradient(wired, wired.inputs), wired.expected, atol=1e-12, rtol=1e-12
    )


@pytest.mark.parametrize("name", NAMES)
def test_path_is_the_mean_gradient_from_the_zero_input(name):
    wired = NETWORKS[name]
    steps = 1000
    mean = sum(gradient(wired, wired.inputs * (k + 0.5) / steps) for k in range(steps)) / steps
    torch.testing.assert_close(mean, wired.path, atol=1.0 / steps, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_path_times_activation_sums_to_the_quantity(name):
    wired = NETWORKS[name]
    units = units_at(wired, wired.inputs)
    start = quantity(wired, units_at(wired, 0 * wired.inputs))
    total = (wired.path * units).flatten(1).sum(1)
    torch.testing.assert_close(total, quantity(wired, units) - start, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_contribution_is_the_effect_of_removing_each_unit(name):
    wired = NETWORKS[name]
    units = units_at(wired, wired.inputs)
    for unit in range(units.shape[1]):
        removed = units.clone()
        removed[:, unit] = 0
        effect = quantity(wired, units) - quantity(wired, removed)
        torch.testing.assert_close(effect, wired.contribution[:, unit], atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_second_class_scores_the_opposite(name):
    scores = NETWORKS[name].model(NETWORKS[name].inputs)
    assert torch.equal(scores[:, 0], -scores[:, 1])


@pytest.mark.parametrize(("name", "pair"), [("cancelling_units", 0.0), ("redundant_units", 1.0)])
def test_removing_both_of_a_pair(name, pair):
    wired = NETWORKS[name]
    units = units_at(wired, wired.inputs)[:1]
    removed = units.clone()
    removed[:, :2] = 0
    assert float((quantity(wired, units) - quantity(wired, removed)).detach()) == pair


def test_roles_do_what_they_say():
    wired = NETWORKS["linear_units"]
    units = units_at(wired, wired.inputs)
    idle, silent = wired.roles.index("idle"), wired.roles.index("silent")
    assert (units[:, idle] > 0).all()
    assert (wired.expected[:, idle] == 0).all()
    assert (units[:, silent] == 0).all()
    assert (wired.expected[:, silent] != 0).all()


def test_dtype_is_a_choice():
    for wired in handwired_networks(torch.float32).values():
        assert wired.model(wired.inputs).dtype == wired.expected.dtype == torch.float32


def test_a_wrong_shape_is_refused():
    ones = torch.ones(1, 2)
    with pytest.raises(ValueError, match=r"expected roles of shape \(2,\); got \(1,\)"):
        HandWired(nn.Identity(), "", ones, 0, ones, ones, ones, roles=("used",))
    with pytest.raises(ValueError, match="expected path of shape"):
        HandWired(nn.Identity(), "", ones, 0, ones, ones[0], ones, roles=("used", "used"))


def test_without_the_unit_of_the_shortcut_the_tree_is_a_tree():
    wired = NETWORKS["shortcut_unit"]
    assert wired.model(wired.inputs).argmax(1).tolist() == [0, 0, 1]  # house; taken for one; tree
    units = units_at(wired, wired.inputs)
    units[:, wired.roles.index("shortcut")] = 0
    assert wired.model.head(units).argmax(1).tolist() == [0, 1, 1]


def test_the_unit_of_the_shortcut_sees_the_rail_alone():
    wired = NETWORKS["shortcut_unit"]
    images = wired.inputs.clone().requires_grad_()
    unit = wired.roles.index("shortcut")
    (own,) = torch.autograd.grad(wired.model.detect(images)[:, unit].sum(), images)
    rail = wired.inputs[1] - wired.inputs[2]
    assert torch.equal(own, (rail / 2).expand_as(own))
