import pytest
import torch
from torch import nn

from captum_influence.demo import handwired_networks
from captum_influence.metrics import unit_selectivity

metrics = pytest.importorskip("sklearn.metrics")


@pytest.mark.parametrize("rows", [1, 4, 64])
def test_auc_equals_scikit_learns(rows):
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 5, 3), nn.ReLU()).double()
    present = torch.rand(7, 2, 6, 6, generator=generator, dtype=torch.float64)
    absent = torch.rand(9, 2, 6, 6, generator=generator, dtype=torch.float64) - 0.3
    found = unit_selectivity(model, present, "1", absent, internal_batch_size=rows)
    with torch.no_grad():
        z, other = (model(x).mean((2, 3)) for x in (present, absent))
    truth = [1] * 7 + [0] * 9
    for unit in range(5):
        values = torch.cat([z[:, unit], other[:, unit]])
        assert found.auc[unit].item() == pytest.approx(metrics.roc_auc_score(truth, values))
    torch.testing.assert_close(found.shift, z.mean(0) - other.mean(0))


def test_ties_count_half_and_the_opposite_is_zero():
    model = nn.Sequential(nn.Linear(3, 3, bias=False))
    model[0].weight.data = torch.eye(3)
    present, absent = torch.tensor([[1.0, 5.0, 0.0]]), torch.tensor([[0.0, 5.0, 1.0]])
    found = unit_selectivity(model, present, "0", absent)
    assert found.auc.tolist() == [1, 0.5, 0]
    assert found.shift.tolist() == [1, 0, -1]
    assert found.detectors() == [0]
    assert found.detectors(0.5) == [0, 1]


def test_the_unit_that_is_wired_to_the_rail_is_found():
    wired = handwired_networks()["shortcut_unit"]
    found = unit_selectivity(wired.model, wired.inputs[:2], "units", wired.inputs[2:])
    assert [wired.roles[unit] for unit in found.detectors()] == ["shortcut"]


def test_other_axes_and_the_network_left_as_found():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.eval()
    images = torch.rand(4, 1, 5, 6)
    found = unit_selectivity(model, images, "1", images, axis=3)
    assert found.auc.tolist() == [0.5] * 4
    assert len(found.plot().axes[0].lines) == 2
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_wrong_arguments_are_refused():
    model, inputs = nn.Sequential(nn.Linear(3, 2)), torch.ones(2, 3)
    with pytest.raises(ValueError, match="got 2 and 0: give some of each"):
        unit_selectivity(model, inputs, "0", inputs[:0])
    with pytest.raises(ValueError, match="axis 2 doesn't tell units apart"):
        unit_selectivity(model, inputs, "0", inputs, axis=2)
