"""Places of a layer, followed to the picture, beside where its gradients arrive."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from captum_influence.network.following import Grid, followed
from captum_influence.testing.state import unchanged

SIZE = 47


class Branches(nn.Module):
    """Two branches that are laid side by side, and a shortcut, all by functions."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 7, stride=2)
        self.small = nn.Conv2d(4, 3, 1)
        self.large = nn.Conv2d(4, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.down = nn.Conv2d(6, 6, 1, stride=2)
        self.body = nn.Conv2d(6, 6, 3, stride=2, padding=1)
        self.out = nn.Identity()

    def forward(self, x):
        x = functional.relu(self.stem(x))
        x = functional.max_pool2d(x, 3, stride=2, ceil_mode=True)
        x = torch.relu(self.norm(torch.cat([self.small(x), self.large(x)], 1)))
        y = self.body(x)
        y += self.down(x)
        return self.out(y * torch.sigmoid(y.mean((2, 3), keepdim=True)))


NETWORKS = {
    "valid": nn.Sequential(nn.Conv2d(3, 4, 11, stride=4)),
    "alexnet": nn.Sequential(
        nn.Conv2d(3, 4, 11, stride=4, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2)
    ),
    "even kernel": nn.Sequential(nn.Conv2d(3, 4, 4, stride=2, padding=1), nn.AvgPool2d(2)),
    "dilated": nn.Sequential(
        nn.Conv2d(3, 4, 3, dilation=2), nn.Conv2d(4, 4, (3, 5), stride=(1, 2), padding=(0, 1))
    ),
    "same": nn.Sequential(nn.Conv2d(3, 4, 5, padding="same", padding_mode="circular")),
    "padded by itself": nn.Sequential(nn.ZeroPad2d((3, 0, 1, 0)), nn.Conv2d(3, 4, 3, stride=3)),
    "branches": Branches(),
}


def measured(model, inputs):
    """Centres of receptive fields within the picture: the middle of where gradients arrive."""
    leaf = inputs.clone().requires_grad_()
    found = model(leaf)
    centres = {}
    for i in range(1, found.shape[2] - 1, max(1, found.shape[2] // 5)):
        for j in range(1, found.shape[3] - 1, max(1, found.shape[3] // 5)):
            (slope,) = torch.autograd.grad(found[:, :, i, j].sum(), leaf, retain_graph=True)
            rows, columns = (slope.abs().amax((0, 1, d)).nonzero()[:, 0] for d in (3, 2))
            ends = [rows[0], rows[-1], columns[0], columns[-1]]
            if min(ends) > 0 and max(ends) < SIZE - 1:  # the picture's edge cuts nothing off
                centres[i, j] = (float(sum(ends[:2])) / 2, float(sum(ends[2:])) / 2)
    return centres


@pytest.mark.parametrize("name", NETWORKS)
def test_centres_are_where_gradients_arrive(name, monkeypatch):
    torch.manual_seed(0)
    model = NETWORKS[name].double().eval()
    for parameter in model.parameters():
        nn.init.uniform_(parameter)  # positive, so that no ReLU is off
    inputs = torch.rand(48, 3, SIZE, SIZE).double()  # many, for the maxima to be everywhere
    smooth = [m for m in model.modules() if not isinstance(m, nn.Sequential | Branches)]
    with unchanged(model):
        grid = followed(model, inputs, smooth[-1])
    if name == "same":
        smooth[0].padding_mode = "zeros"  # around the corner, fields would have two parts
    with monkeypatch.context() as patch:
        patch.setattr(torch, "sigmoid", torch.ones_like)  # a gate looks at everything
        centres = measured(model, inputs)
    assert len(centres) > 1
    for place, centre in centres.items():
        found = (o + s * p for o, s, p in zip(grid.offset, grid.stride, place, strict=True))
        assert tuple(found) == pytest.approx(centre), place


class Turned(nn.Module):
    def __init__(self, turn) -> None:
        super().__init__()
        self.turn, self.out = turn, nn.Identity()

    def forward(self, x):
        return self.out(self.turn(x))


@pytest.mark.parametrize(
    "turn",
    [
        lambda x: x.flip(3),
        lambda x: x.flatten(2),
        lambda x: x.roll(1, 2),
        lambda x: x.transpose(2, 3),
        lambda x: x[:, :, 1:],
        lambda x: x + x.flip(3),
    ],
)
def test_what_moves_places_about_otherwise_loses_them(turn):
    model, inputs = Turned(turn), torch.rand(1, 3, 8, 8)
    with unchanged(model):
        assert followed(model, inputs, "out") is None


def test_two_branches_that_meet_look_in_the_middle():
    class Shifted(nn.Module):
        def __init__(self):
            super().__init__()
            self.left, self.right = nn.ZeroPad2d((1, 0, 0, 0)), nn.ZeroPad2d((0, 1, 0, 0))
            self.out = nn.Identity()

        def forward(self, x):
            return self.out(self.left(x) + self.right(x))

    assert followed(Shifted(), torch.rand(1, 3, 6, 6), "out") == Grid((0.0, -0.5), (1.0, 1.0))


def test_an_even_grid_divides_the_picture():
    assert Grid.even((2, 3), (8, 6)) == Grid((1.5, 0.5), (4.0, 2.0))
