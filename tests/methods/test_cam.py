import pytest
import torch
from captum.attr import LayerGradCam
from torch import nn

from captum_influence import Cut
from captum_influence.methods.cam import class_map
from captum_influence.testing.state import unchanged


class Pooled(nn.Module):
    """Means over places, by a module or a function, and one linear layer."""

    def __init__(self, functional: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(3, 5, 3, stride=2), nn.ReLU(inplace=True))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout()
        self.head = nn.Linear(5, 4)
        self.functional = functional

    def forward(self, x):
        x = self.body(x)
        x = x.mean((2, 3)) if self.functional else torch.flatten(self.pool(x), 1)
        return self.head(self.dropout(x))


IMAGES = torch.rand(3, 3, 11, 9, generator=torch.Generator().manual_seed(0)).double()
TARGET = torch.tensor([0, 3, 1])


@pytest.mark.parametrize("functional", [False, True])
def test_it_is_grad_cam_without_relu_times_the_number_of_places(functional):
    model = Pooled(functional).double().eval()
    with unchanged(model):
        found = class_map(model, IMAGES, Cut("body"), TARGET)
    leaf = IMAGES.clone().requires_grad_()
    cam = LayerGradCam(model, model.body).attribute(leaf, target=TARGET).detach()
    torch.testing.assert_close(found, cam * (5 * 4))
    scores = model(IMAGES)[range(3), TARGET].detach()
    bias = model.head.bias.detach()[TARGET]
    torch.testing.assert_close(found.mean((1, 2, 3)) + bias, scores)


@pytest.mark.parametrize(
    ("model", "layer", "reason"),
    [
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(2)), "0", "no nn.Linear"),
        (
            nn.Sequential(nn.Conv2d(3, 1, 3), nn.Flatten(), nn.Linear(63, 4)),
            "0",
            "what 2 reads is something else",
        ),
        (
            nn.Sequential(
                nn.Conv2d(3, 4, 3),
                nn.AdaptiveAvgPool2d(1),
                nn.Flatten(),
                nn.Linear(4, 4),
                nn.Tanh(),
            ),
            "0",
            "aren't what its last one",
        ),
        (Pooled(False), "body.0", "something else"),
    ],
)
def test_other_networks_are_refused(model, layer, reason):
    model = model.double().eval()
    with unchanged(model), pytest.raises(ValueError, match=reason):
        class_map(model, IMAGES, Cut(layer), TARGET)
