import pytest
import torch
from torch import nn
from torch.nn import functional

from captum_influence import Cut
from captum_influence.methods import captum_arrays
from captum_influence.testing.state import unchanged
from captum_influence.units import Geometry

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
        geometry = Geometry.of(model, inputs, smooth[-1])
    if name == "same":
        smooth[0].padding_mode = "zeros"  # around the corner, fields would have two parts
    with monkeypatch.context() as patch:
        patch.setattr(torch, "sigmoid", torch.ones_like)  # a gate looks at everything
        centres = measured(model, inputs)
    assert len(centres) > 1
    for place, centre in centres.items():
        assert geometry.centre(*place) == pytest.approx(centre), place


def test_an_even_one_is_plain_bilinear_enlargement():
    maps = torch.rand(2, 1, 5, 7)
    plain = functional.interpolate(maps, (23, 30), mode="bilinear", align_corners=False)
    torch.testing.assert_close(Geometry.even((5, 7), (23, 30)).enlarged(maps), plain)
    half = Geometry.even((5, 7), (23, 300)).enlarged(maps.bfloat16())
    assert half.dtype == torch.bfloat16
    full = Geometry.even((5, 7), (23, 300)).enlarged(maps)
    torch.testing.assert_close(half.float(), full, atol=0.02, rtol=0.02)
    one = Geometry.even((1, 1), (6, 6)).enlarged(torch.full((1, 1, 1, 1), 3.0))
    torch.testing.assert_close(one, torch.full((1, 1, 6, 6), 3.0))


@pytest.mark.parametrize("place", [(0, 0), (3, 6), (8, 8)])
def test_a_units_peak_lands_on_the_centre_of_what_it_sees(place):
    model = nn.Sequential(nn.Conv2d(3, 1, 11, stride=4, bias=False)).eval()
    picture = torch.zeros(1, 3, 43, 43)
    centre = (5 + 4 * place[0], 5 + 4 * place[1])
    picture[..., centre[0], centre[1]] = 1.0
    with torch.no_grad():
        model[0].weight.copy_(torch.ones(11)[:, None] * torch.ones(11))
        weight = torch.exp(-((torch.arange(11.0) - 5) ** 2) / 8)
        model[0].weight.copy_((weight[:, None] * weight)[None, None].expand(1, 3, 11, 11))
        maps = model(picture)
    geometry = Geometry.of(model, picture, "0")
    peak = geometry.enlarged(maps)[0, 0].flatten().argmax().item()
    rows, columns = divmod(peak, 43)
    if place == (0, 0):  # from the outermost centre to the edge all pixels share its value
        assert rows <= 5
        assert columns <= 5
        assert geometry.enlarged(maps)[0, 0, 5, 5] == maps.max()
    elif place == (3, 6):
        assert (rows, columns) == centre
    plane, _ = captum_arrays(maps[0], picture[0], geometry)
    assert plane[centre[0], centre[1], 0] == pytest.approx(float(maps.max()))
    plain, _ = captum_arrays(maps[0], picture[0])
    off = abs(divmod(int(plain.argmax()), 43)[0] - centre[0])
    assert place == (3, 6) or off > 2  # evenly divided, by half a stride and more


def test_at_another_size_and_at_an_input():
    model = nn.Sequential(nn.Conv2d(3, 4, 11, stride=4), nn.ReLU())
    at = Geometry.of(model, torch.rand(1, 3, 31, 43), Cut("1", "input"))
    assert at == Geometry((31, 43), (5.0, 5.0), (4.0, 4.0))
    doubled = at.scaled((62, 86))
    assert doubled.stride == (8.0, 8.0)
    assert doubled.offset == (10.5, 10.5)  # the centre of the two pixels that were one
    picture = torch.rand(3, 62, 86)
    plane, image = captum_arrays(torch.rand(6, 9), picture, at)
    assert plane.shape == (62, 86, 1)
    assert image.shape == (62, 86, 3)


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
def test_what_cannot_be_followed_is_refused_and_not_guessed(turn):
    model, inputs = Turned(turn), torch.rand(1, 3, 8, 8)
    with unchanged(model), pytest.raises(ValueError, match="can't be followed"):
        Geometry.of(model, inputs, "out")


def test_rows_are_no_pictures():
    with pytest.raises(ValueError, match="expected pictures"):
        Geometry.of(nn.Sequential(nn.Linear(3, 2)), torch.rand(1, 3), "0")
