import pytest
import torch
from torch import nn

from captum_influence import Cut, DistributionalInfluence, Point, PredictedClass
from captum_influence.demo import handwired_networks
from captum_influence.metrics import ablate_units, ablation_curve
from captum_influence.units.axes import Axis
from captum_influence.units.replacement import MeanActivation

NETWORKS = handwired_networks()
NAMES = list(NETWORKS)


def head_of(wired):
    layers = dict(wired.model.named_children())
    units = layers["units"](layers["detect"](wired.inputs)).detach()
    return units, lambda z: layers["head"](z)[:, wired.target].detach()


@pytest.mark.parametrize("rows", [1, 3, 64])
@pytest.mark.parametrize("name", NAMES)
def test_effects_equal_the_closed_form(name, rows):
    wired = NETWORKS[name]
    found = ablate_units(
        wired.model, wired.inputs, wired.layer, wired.target, internal_batch_size=rows
    )
    torch.testing.assert_close(found.effects, wired.contribution, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("mode", ["remove", "insert"])
@pytest.mark.parametrize("name", NAMES)
def test_curves_equal_a_slow_loop(name, mode):
    wired = NETWORKS[name]
    units, quantity = head_of(wired)
    ranking = torch.randn(units.shape[:2], generator=torch.Generator().manual_seed(1))
    found = ablation_curve(
        wired.model,
        wired.inputs,
        wired.layer,
        wired.target,
        ranking,
        mode=mode,
        internal_batch_size=3,
    )
    for example, order in enumerate(ranking.argsort(1, descending=True).tolist()):
        for k in range(len(order) + 1):
            kept = order[k:] if mode == "remove" else order[:k]
            left = torch.zeros_like(units[example : example + 1])
            left[:, kept] = units[example, kept]
            assert found.scores[example, k].item() == pytest.approx(quantity(left).item())


def test_area_of_a_straight_curve():
    wired = NETWORKS["linear_units"]
    ranking = torch.tensor([3.0, 2.0, 1.0, 0.0])
    found = ablation_curve(wired.model, wired.inputs, "units", 0, ranking)
    # x = (1, 4, .5): q = 2 x1 - 3 x3 = .5, then -1.5 twice, then 0 twice
    by_hand = (0.5 / 2 - 1.5 - 1.5 + 0.0 + 0.0 / 2) / 4
    assert found.area[0].item() == pytest.approx(by_hand)


def test_mean_and_resample_fill_equal_a_slow_loop():
    wired = NETWORKS["linear_units"]
    units, quantity = head_of(wired)
    reference = torch.tensor([[1.0, 1.0, 1.0], [3.0, 2.0, 5.0]], dtype=torch.float64)
    means = torch.tensor([2.0, 1.5, 3.0, 0.0], dtype=torch.float64)
    with torch.no_grad():
        known = dict(wired.model.named_children())["detect"](reference).relu()
    axis = Axis.ensure("channel", (4,))
    mean = MeanActivation.of([known]).pooled(axis)
    found = ablate_units(wired.model, wired.inputs, "units", 0, replace=mean)
    for unit in range(4):
        changed = units.clone()
        changed[:, unit] = means[unit]
        effect = quantity(units) - quantity(changed)
        torch.testing.assert_close(found.effects[:, unit], effect)
    swapped = ablate_units(wired.model, wired.inputs, "units", 0, replace="resample").effects
    for unit in range(4):  # of two examples, each gets the other's
        changed = units.clone()
        changed[:, unit] = units.flip(0)[:, unit]
        torch.testing.assert_close(swapped[:, unit], quantity(units) - quantity(changed))


def test_spearman_of_a_ranking_with_ablation():
    wired = NETWORKS["linear_units"]
    effects = ablate_units(wired.model, wired.inputs, "units", 0)
    assert effects.spearman(wired.contribution).tolist() == pytest.approx([1.0, 1.0])
    influence = DistributionalInfluence(wired.model, "units", distribution=Point())
    found = influence.attribute(wired.inputs, target=0)
    assert (effects.spearman(found) < 1).all()  # the silent unit is used, but removes nothing


def test_convolutional_units_other_axes_and_cuts():
    wired = NETWORKS["colour_detectors"]
    cut = Cut("detect")
    by_column = ablate_units(
        wired.model, wired.inputs, cut, PredictedClass(), axis=3, internal_batch_size=2
    )
    assert by_column.effects.shape == (1, 4)
    assert by_column.effects.sum().item() == pytest.approx(by_column.quantity.item())


def test_the_network_is_left_as_found():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2)).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    inputs = torch.rand(3, 3)
    effects = ablate_units(model, inputs, "2", [0, 1, 0], replace="mean")
    curve = ablation_curve(model, inputs, "2", [0, 1, 0], effects.effects, steps=2)
    assert curve.counts.tolist() == [0, 2, 4]
    torch.testing.assert_close(curve.scores[:, 0], model(inputs).detach()[[0, 1, 2], [0, 1, 0]])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"replace": "nothing"}, 'replace as a number, a tensor, "zero", "mean" or "resample"'),
        ({"replace": "mean"}, "pass a Replacement made of others"),
        ({"internal_batch_size": 0}, "internal_batch_size as a positive number"),
        ({"axis": 2}, "axis 2 doesn't tell units apart"),
    ],
)
def test_wrong_arguments_are_refused(settings, message):
    wired = NETWORKS["linear_units"]
    with pytest.raises(ValueError, match=message):
        ablate_units(wired.model, wired.inputs[:1], "units", 0, **settings)
    with pytest.raises(ValueError, match="expected a ranking of shape"):
        ablation_curve(wired.model, wired.inputs, "units", 0, torch.ones(3))
    with pytest.raises(ValueError, match="remove"):
        ablation_curve(wired.model, wired.inputs, "units", 0, torch.ones(4), mode="drop")


def test_without_pandas_the_cure_is_said(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    wired = NETWORKS["linear_units"]
    with pytest.raises(ImportError, match="pip install pandas"):
        ablate_units(wired.model, wired.inputs, "units", 0).to_frame()
