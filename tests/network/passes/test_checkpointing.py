"""Checkpointed parts compute the same function, so all answers are the same."""

from typing import Any

import pytest
import torch
import torch.utils.checkpoint as library
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torch.utils.data import TensorDataset

from captum_influence import DistributionalInfluence, Expert, LayerInfluence, LinearPath, Point
from captum_influence.network.passes.checkpointing import without_checkpointing

KINDS = [False, True]
X = torch.sin(torch.arange(9.0, dtype=torch.float64)).reshape(3, 3)


class Net(nn.Module):
    def __init__(self, reentrant: bool | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.c = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 4)
        self.d, self.reentrant = nn.Linear(4, 2), reentrant
        self.double().eval()

    def middle(self, h: Tensor) -> Tensor:
        return torch.tanh(self.c(torch.tanh(self.b(h)) ** 2))

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.a(x))
        if self.reentrant is None:
            return self.d(self.middle(h))
        return self.d(checkpoint(self.middle, h, use_reentrant=self.reentrant))


@pytest.mark.parametrize("reentrant", KINDS)
@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize(
    ("layer", "sample_at"),
    [*((layer, None) for layer in "abcd"), *((layer, "b") for layer in "bcd")],
)
def test_influences(reentrant: bool, create_graph: bool, layer: str, sample_at: Any) -> None:
    asked = {"distribution": LinearPath(0.0, 4), "sample_at": sample_at}
    found, expected = (
        DistributionalInfluence(net, layer, **asked).attribute(
            X, target=1, grad_kwargs={"create_graph": create_graph}
        )
        for net in (Net(reentrant), Net())
    )
    torch.testing.assert_close(found.detach(), expected.detach())


@pytest.mark.parametrize("reentrant", KINDS)
def test_a_gradient_through_an_expert(reentrant: bool) -> None:
    grads = []
    for net in (Net(reentrant), Net()):
        leaf = X.clone().requires_grad_()
        Expert(net, "b", [1], mode="remove", replace=0.7)(leaf)[:, 1].sum().backward()
        grads.append(leaf.grad)
    torch.testing.assert_close(*grads)


@pytest.mark.parametrize("reentrant", KINDS)
def test_training_influence(reentrant: bool) -> None:
    y = torch.tensor([0, 1, 0])
    found, expected = (
        LayerInfluence(
            net, TensorDataset(X, y), loss_fn=nn.CrossEntropyLoss(), curvature="identity"
        ).influence((X, y))
        for net in (Net(reentrant), Net())
    )
    torch.testing.assert_close(found, expected)


def test_the_switch_is_turned_back() -> None:
    own = library.CheckpointFunction
    with without_checkpointing(), without_checkpointing():
        assert library.CheckpointFunction is not own
    assert library.CheckpointFunction is own
    with pytest.raises(KeyError), without_checkpointing():
        raise KeyError
    assert library.CheckpointFunction is own
    net = Net(reentrant=False).train()
    net(X).sum().backward()
    DistributionalInfluence(net.eval(), "b", distribution=Point()).attribute(X, target=0)
    assert net.c.weight.grad is not None
