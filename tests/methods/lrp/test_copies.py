"""The copy that relevance goes through: folded, out of place, and answering with one tensor."""

import pytest
import torch
from torch import Tensor, nn

from captum_influence.methods.lrp.copies import readied
from captum_influence.network.outputs import answering
from captum_influence.testing.state import unchanged

IMAGES = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(0)).double()


class Net(nn.Module):
    def __init__(self, kind: str = "tensor") -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.relu, self.head = nn.ReLU(inplace=True), nn.Linear(4, 2)
        self.norm.running_mean.uniform_(-0.5, 0.5)
        self.norm.running_var.uniform_(0.5, 2.0)
        self.kind = kind

    def forward(self, x: Tensor):
        scores = self.head(self.relu(self.norm(self.conv(x))).mean((2, 3)))
        forms = {"tensor": scores, "dict": {"logits": scores}, "two": (-scores, scores)}
        if self.kind == "branch" and bool(x.sum() != 0):  # torch.fx can't follow it
            return scores
        return forms.get(self.kind, scores)


@pytest.mark.parametrize("kind", ["tensor", "dict", "two", "branch"])
def test_it_answers_as_the_network_does_and_norms_are_folded(kind: str) -> None:
    model = Net(kind).double().train()
    asked = answering(model, 1) if kind == "two" else model
    with unchanged(model):
        copied, answer = readied(asked, IMAGES)
    expected = Net().double().eval()(IMAGES)
    torch.testing.assert_close(answer, expected)
    torch.testing.assert_close(copied(IMAGES), expected)
    assert isinstance(copied.get_submodule("norm"), nn.Identity)
    assert not copied.get_submodule("relu").inplace
    assert not any(module.training for module in copied.modules())
