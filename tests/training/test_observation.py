"""What a network makes of its training examples, beside plain passes over them."""

import influenced
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from captum_influence import LayerInfluence

LOSS = nn.CrossEntropyLoss()


def test_losses_and_features_are_those_of_a_plain_pass() -> None:
    model, data, _ = influenced.problem()
    other = influenced.Net().double()
    x, y = data.tensors
    loader = DataLoader(data, batch_size=7, shuffle=True)
    influence = LayerInfluence(model, loader, checkpoint=[model, other], loss_fn=LOSS)
    for net, seen in zip((model, other), influence.observe(), strict=True):
        with torch.no_grad():
            hidden = torch.tanh(net.hidden(torch.relu(net.conv(x)).flatten(1)))
            losses = nn.functional.cross_entropy(net.head(hidden), y, reduction="none")
        torch.testing.assert_close(seen.losses, losses)
        torch.testing.assert_close(seen.features, hidden)
        assert torch.equal(seen.labels, y)


def test_another_layer_reads_something_else() -> None:
    model, data, _ = influenced.problem()
    (seen,) = LayerInfluence(model, data, loss_fn=LOSS).observe("conv")
    assert torch.equal(seen.features, data.tensors[0].flatten(1))
    (seen,) = LayerInfluence(model, data, loss_fn=LOSS).observe(model.hidden)
    assert seen.features.shape == (influenced.N, 12)
    with pytest.raises(ValueError, match="expected some of the layers"):
        LayerInfluence(model, data, loss_fn=LOSS, layers=["head"]).observe("conv")


def test_the_model_is_left_as_it_was() -> None:
    model, data, _ = influenced.problem()
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    LayerInfluence(model, data, checkpoint=influenced.Net().double(), loss_fn=LOSS).observe()
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


def test_targets_that_are_no_classes_are_refused() -> None:
    data = TensorDataset(torch.randn(8, 2), torch.randn(8, 1))
    influence = LayerInfluence(nn.Linear(2, 1), data, loss_fn=nn.MSELoss())
    with pytest.raises(ValueError, match=r"one class number .* \(8, 1\), torch.float32"):
        influence.observe()
