"""Wrong labels are found where it is known which are wrong."""

import influenced
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from captum_influence import LabelErrors, LayerInfluence, find_label_errors

LOSS = nn.CrossEntropyLoss()
WRONG = (3, 17, 44)


def _clouds() -> tuple[nn.Module, TensorDataset]:
    """Three clouds of points that a fixed network tells apart, three of them mislabelled."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.tensor([[0.0, 4.0], [4.0, -2.0], [-4.0, -2.0]])
    y = torch.arange(60) % 3
    x = centres[y] + torch.randn(60, 2, generator=generator)
    y[list(WRONG)] = (y[list(WRONG)] + 1) % 3
    model = nn.Linear(2, 3)
    model.weight.data, model.bias.data = centres / 4, torch.zeros(3)
    return model, TensorDataset(x, y)


def test_wrong_labels_come_first_and_the_right_ones_are_suggested() -> None:
    model, data = _clouds()
    found = find_label_errors(LayerInfluence(model, data, loss_fn=LOSS), neighbours=10)
    assert set(found.ranking[:3].tolist()) == set(WRONG)
    wrong = torch.tensor(WRONG)
    assert torch.equal(found.suggested[wrong], wrong % 3)
    assert torch.equal(found.labels, data.tensors[1])
    assert (found.disagreement[wrong] >= 0.9).all()  # two of them may be neighbours


def _slowly(model: influenced.Net, x: Tensor, y: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return losses and disagreements, one example at a time."""
    with torch.no_grad():
        read = torch.tanh(model.hidden(torch.relu(model.conv(x)).flatten(1)))
        losses = torch.stack(
            [
                nn.functional.cross_entropy(model.head(read[i : i + 1]), y[i : i + 1])
                for i in range(30)
            ]
        )
    shares = []
    for i in range(len(x)):
        distances = (read - read[i]).square().sum(1)
        near = sorted((j for j in range(len(x)) if j != i), key=lambda j: float(distances[j]))
        shares.append(sum(bool(y[j] != y[i]) for j in near[:count]) / count)
    return losses, torch.tensor(shares)


def test_the_scores_are_means_over_the_networks() -> None:
    first, data, _ = influenced.problem()
    second = influenced.Net().double()
    influence = LayerInfluence(first, data, checkpoint=[first, second], loss_fn=LOSS)
    found = find_label_errors(influence, neighbours=4)
    slow = [_slowly(net, *data.tensors, 4) for net in (first, second)]
    torch.testing.assert_close(found.loss, (slow[0][0] + slow[1][0]) / 2)
    torch.testing.assert_close(found.disagreement, (slow[0][1] + slow[1][1]) / 2)
    torch.testing.assert_close(found.self_influence, influence.self_influence())


def test_another_layers_inputs_can_be_compared() -> None:
    model, data, _ = influenced.problem()
    influence = LayerInfluence(model, data, loss_fn=LOSS)
    found: LabelErrors = find_label_errors(influence, layer="conv", neighbours=4)
    assert not torch.equal(
        found.disagreement, find_label_errors(influence, neighbours=4).disagreement
    )
    assert found.call == "find_label_errors(influence, layer='conv', neighbours=4)"


def test_too_few_examples_are_refused() -> None:
    model, data, _ = influenced.problem()
    with pytest.raises(ValueError, match="from 1 to 29"):
        find_label_errors(LayerInfluence(model, data, loss_fn=LOSS), neighbours=30)
