import copy
import json

import pytest
import torch
from captum.attr import LayerGradCam, Saliency
from torch import nn

from captum_influence import Cut
from captum_influence.demo import demo_scene, load_demo_network
from captum_influence.methods.catalogue import METHODS
from captum_influence.methods.find import compare
from captum_influence.methods.lrp.zennit_backend import imported
from captum_influence.metrics import FlippingScore, LocalizationScore, flip_pixels, localize
from captum_influence.metrics.blobs import centre_prior
from captum_influence.testing.state import preserved, unchanged


def vgg_like() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 4, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16, 3),
    )


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.relu = nn.ReLU()
        self.body = nn.Conv2d(4, 4, 3, padding=1)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        x = self.relu(self.norm(self.stem(x)))
        return self.head(self.relu(x + self.body(x)).mean((2, 3)))


class Transformer(nn.Module):
    """Patches, a class token, one block, and a head on the class token."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, stride=4)
        self.token = nn.Parameter(torch.randn(1, 1, 8))
        self.norm = nn.LayerNorm(8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.block = nn.Linear(8, 8)
        self.gelu = nn.GELU()
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1)
        x = self.block(x)
        y = self.norm(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        return self.head(self.gelu(x)[:, 0])


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(5, 6, batch_first=True)
        self.states = nn.Tanh()
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.states(self.gru(x)[0]).mean(1))


class Pooled(nn.Module):
    """Scores are a linear layer of the means of the last layer's channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 5, stride=2)
        self.relu = nn.ReLU(inplace=True)
        self.body = nn.Conv2d(4, 6, 3)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flat = nn.Flatten()
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.flat(self.pool(self.body(self.relu(self.stem(x))))))


try:
    ZENNIT = bool(imported())
except ImportError:
    ZENNIT = False
IMAGES = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
RELUS = ("GuidedBackprop", "Deconvolution")
FINE, COARSE = "IntegratedGradientsFine", "IntegratedGradientsCoarse"
CHANNELS = ("CAM", "LayerGradCam", "GuidedGradCam")
PROPAGATED = ("LRP", "LayerLRP")
MODELS = {
    "vgg": (vgg_like, IMAGES, "3", ("CAM",)),
    "residual": (Residual, IMAGES, "body", ("CAM",) if ZENNIT else (*PROPAGATED, "CAM")),
    "pooled": (Pooled, IMAGES, "body", ()),
    "transformer": (Transformer, IMAGES, "block", (COARSE, *RELUS, *CHANNELS)),
    "recurrent": (
        Recurrent,
        torch.rand(2, 7, 5),
        "states",
        (FINE, COARSE, *RELUS, *PROPAGATED, *CHANNELS),
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_each_method_runs_or_says_why_not_and_the_model_is_left(name):
    build, inputs, layer, refused = MODELS[name]
    torch.manual_seed(0)
    model = build()
    before = inputs.clone()
    with unchanged(model), preserved(check="compare"):
        found = compare(model, inputs, layer, points=4)
    assert set(found.maps) | set(found.not_applicable) == set(METHODS)
    assert not set(found.maps) & set(found.not_applicable)
    assert tuple(found.not_applicable) == refused, found.not_applicable
    assert all(len(reason) > 20 for reason in found.not_applicable.values())
    size = inputs.shape[-2:]
    assert all(values.shape == (2, 1, *size) for values in found.maps.values())
    assert {"influence", "LayerActivation", "LayerConductance"} <= set(found.units)
    assert not {"Saliency", "LRP", "LayerGradCam", "CAM"} & set(found.units)
    assert len({values.shape for values in found.units.values()}) == 1
    scores = model.eval()(inputs)
    assert torch.equal(found.target, scores.argmax(1))
    torch.testing.assert_close(found.output, scores.amax(1).detach())
    assert torch.equal(inputs, before)
    json.dumps(found.to_dict())


def test_maps_equal_captums_own():
    model = load_demo_network()
    image = demo_scene().image[None]
    found = compare(model, image, "relu5", 2, ["Saliency", "LayerGradCam", "sensitivity"])
    leaf = image.clone().requires_grad_()
    saliency = Saliency(model).attribute(leaf, target=2)
    torch.testing.assert_close(found.maps["Saliency"], saliency.sum(1, keepdim=True))
    squared = saliency.square().sum(1, keepdim=True)
    torch.testing.assert_close(found.maps["sensitivity"], squared)
    cam = LayerGradCam(model, model.relu5).attribute(leaf, target=2, relu_attributions=True)
    cam = found.geometry.enlarged(cam.detach())
    torch.testing.assert_close(found.maps["LayerGradCam"], cam)
    assert all(seconds > 0 for seconds in found.seconds.values())


def test_the_seed_decides_on_the_noise_and_train_mode_is_kept():
    model = vgg_like().train()
    first, again, other = (
        compare(model, IMAGES, "3", 0, ["SmoothGrad"], points=3, seed=seed).maps["SmoothGrad"]
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert model.training


def test_a_method_that_crashes_stops_no_other(monkeypatch):
    def crash(question):
        question.model[0].weight.data.zero_()
        raise RuntimeError("no luck")

    broken = copy.copy(METHODS["Saliency"])
    object.__setattr__(broken, "run", crash)
    monkeypatch.setitem(METHODS, "Saliency", broken)
    model = vgg_like()
    found = compare(model, IMAGES, model[3], 0, ["Saliency", "InputXGradient"])
    assert found.not_applicable == {"Saliency": "no luck"}
    assert found.maps["InputXGradient"].any()
    assert model[0].weight.any()


def test_flat_layers_and_cuts_that_captum_does_not_take():
    flat = compare(vgg_like(), IMAGES, "7", 0, ["influence", "LayerActivation", "Saliency"])
    assert list(flat.maps) == ["Saliency"]
    assert "no places" in flat.not_applicable["influence"]
    before = compare(vgg_like(), IMAGES, Cut("3", "input"), 0, ["influence", "LayerActivation"])
    assert list(before.maps) == ["influence"]


def test_scores_are_asked_of_every_map_and_of_noise():
    masks = torch.zeros(2, 16, 16, dtype=torch.bool)
    masks[:, 4:12, 4:12] = True
    scores = {"mass": LocalizationScore(masks), "ABPC": FlippingScore("mean", steps=4)}
    model, names = vgg_like(), ["Saliency", "influence", "LayerGradCam"]
    with unchanged(model), preserved(check="compare"):
        found = compare(model, IMAGES, "3", [0, 1], names, points=3, scores=scores)
    assert set(found.scores) == set(scores)
    assert all(list(by) == names for by in found.scores.values())
    for name in names:
        own = localize(found.maps[name], masks).mass
        torch.testing.assert_close(found.scores["mass"][name], own, equal_nan=True)
        flipped = flip_pixels(
            model.eval(), IMAGES, found.maps[name], [0, 1], replace="mean", steps=4, draws=1
        )
        torch.testing.assert_close(found.scores["ABPC"][name], flipped.abpc("mean"))
    assert found.chance["mass"].shape == (2,)
    assert 0.15 < found.chance["mass"].mean() < 0.35  # the mask is a quarter of the picture
    blob = centre_prior(16, 16).expand(2, 1, 16, 16)
    torch.testing.assert_close(found.prior["mass"], localize(blob, masks).mass)
    content = json.loads(json.dumps(found.to_dict()))
    assert set(content["methods"]["Saliency"]["scores"]) == set(scores)


def test_what_is_no_picture_has_no_middle():
    model = nn.Sequential(nn.Linear(4, 3)).eval()
    length = {"length": lambda model, inputs, target, maps: maps.flatten(1).norm(dim=1)}
    found = compare(model, torch.rand(2, 4), "0", 1, ["Saliency"], scores=length)
    assert not found.prior
    assert "noise gets" in found.headline
    assert "a blob" not in found.headline


def test_a_score_that_is_no_number_per_example_is_refused():
    with pytest.raises(ValueError, match="one number for each of 2"):
        compare(
            vgg_like(), IMAGES, "3", 0, ["Saliency"], scores={"all": lambda *question: question[3]}
        )


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="Saliency, sensitivity"):
        compare(vgg_like(), IMAGES, "3", 0, ["Insight"])
    with pytest.raises(ValueError, match="from 0 to 2"):
        compare(vgg_like(), IMAGES, "3", 3)
    with pytest.raises(ValueError, match="no layer named"):
        compare(vgg_like(), IMAGES, "layer3", 0)
    with pytest.raises(ValueError, match="positive number of points"):
        compare(vgg_like(), IMAGES, "3", 0, points=0)
    with pytest.raises(ValueError, match="example= from 0 to 1, got 2"):
        compare(vgg_like(), IMAGES, "3", 0, example=2)
    with pytest.raises(ValueError, match=r"picture= beside one input, got 2 inputs"):
        compare(vgg_like(), IMAGES, "3", 0, ["Saliency"], picture=IMAGES[0])
    with pytest.raises(TypeError, match=r"compare\(\) takes no keyword 'axis'"):
        compare(vgg_like(), IMAGES, "3", 0, axis=1)
    with pytest.raises(TypeError, match="scores"):
        compare(vgg_like()[:3], IMAGES, "0", 0)


NAMES = {0: "fish", 1: "tree", 2: "rock"}


def test_classes_go_by_their_names():
    asked = {"methods": ["Saliency"], "class_names": NAMES}
    found = compare(vgg_like(), IMAGES, "3", ["tree", 0], **asked)
    assert (found.target.tolist(), found.names) == ([1, 0], ("tree", "fish"))
    one = compare(vgg_like(), IMAGES, "3", "rock", **asked)
    assert one.names == ("rock", "rock")
    with pytest.raises(ValueError, match="'bird', which is none of the 3 names"):
        compare(vgg_like(), IMAGES, "3", "bird", **asked)


def test_wrapped_networks_are_looked_into():
    model = vgg_like()
    plain = compare(model, IMAGES, "3", 0, ["influence"], points=2)
    for wrapped in (nn.DataParallel(model), torch.compile(model, backend="eager")):
        found = compare(wrapped, IMAGES, "3", 0, ["influence"], points=2)
        assert (found.network, found.layer) == ("Sequential", "3")
        torch.testing.assert_close(found.maps["influence"], plain.maps["influence"])


def test_portions_change_nothing():
    model, names = vgg_like(), ["influence", "LayerConductance"]
    whole = compare(model, IMAGES, "3", 0, names, points=4)
    parts = compare(model, IMAGES, "3", 0, names, points=4, internal_batch_size=2)
    for name in names:
        torch.testing.assert_close(parts.maps[name], whole.maps[name])


def test_only_pictures_have_pictures():
    asked = {"methods": ["Saliency"], "display": lambda one: torch.full((3, 4, 4), 0.5)}
    steps = torch.rand(2, 7, 5)
    assert compare(Recurrent(), steps, "states", 0, ["Saliency"]).pictures == ()
    rows = nn.Sequential(nn.Linear(4, 3), nn.Tanh())
    assert compare(rows, torch.rand(2, 4), "0", 0, ["Saliency"]).pictures == ()
    # The map is as large as the inputs, so a picture must be, too.
    with pytest.raises(ValueError, match=r"geometry of the image, \(3, 16, 16\), got \(3, 4, 4\)"):
        compare(vgg_like(), IMAGES, "3", 0, **asked)


def test_one_picture_may_lack_the_examples():
    network, scene = load_demo_network(), demo_scene().image
    alone = compare(network, scene, "relu5", 0, ["Saliency"])
    batch = compare(network, scene[None], "relu5", 0, ["Saliency"])
    assert torch.equal(alone.maps["Saliency"], batch.maps["Saliency"])
