"""Methods composed of Captum's: what each adds up to, and what each refuses."""

from dataclasses import replace

import pytest
import torch
from captum.attr import IntegratedGradients, NoiseTunnel, Occlusion, Saliency
from torch import nn

from captum_influence import Cut, compare
from captum_influence.methods.catalogue import METHODS, MethodQuestion, NotApplicable
from captum_influence.methods.lrp.find import relevance

IMAGES = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
RELUS = ("GuidedBackprop", "Deconvolution")


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


class Pooled(nn.Module):
    """Scores are a linear layer of the means of the last layer's channels."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 5, stride=2), nn.ReLU(), nn.Conv2d(4, 6, 3))
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.pool(self.body(x)))


def asked(model: nn.Module, layer: str = "3", points: int = 5) -> MethodQuestion:
    """The question for a plain network whose layer is a module's output."""
    kept = []
    module = model.get_submodule(layer)
    with module.register_forward_hook(lambda *args: kept.append(args[2].detach())):
        model(IMAGES)
    target = torch.tensor([0, 2])
    return MethodQuestion(
        model=model, inputs=IMAGES, cut=Cut(layer), target=target, units=kept[0], points=points
    )


def plain() -> nn.Module:
    """Nothing in place, which Captum's hooks don't survive."""
    torch.manual_seed(0)
    model = vgg_like().eval()
    for module in model:
        if isinstance(module, nn.ReLU):
            module.inplace = False
    return model


def test_each_method_says_what_its_entries_are():
    for name, method in METHODS.items():
        assert method.name == name
        assert method.at in ("input", "layer")
        assert len(method.measures) > 10


CAPTUMS = {
    "Saliency": lambda model, x, t: Saliency(model).attribute(x, target=t),
    "IntegratedGradients": lambda model, x, t: IntegratedGradients(model).attribute(
        x, target=t, n_steps=5
    ),
    "Occlusion": lambda model, x, t: Occlusion(model).attribute(
        x, target=t, sliding_window_shapes=(3, 2, 2), strides=(3, 1, 1)
    ),
}


@pytest.mark.parametrize("name", CAPTUMS)
def test_it_is_captums_own_method(name):
    model = plain()
    question = asked(model)
    expected = CAPTUMS[name](model, IMAGES.clone().requires_grad_(), question.target)
    torch.testing.assert_close(METHODS[name].run(question).detach(), expected.detach())


@pytest.mark.parametrize(
    ("name", "sigma"), [("IntegratedGradientsFine", 0.5), ("IntegratedGradientsCoarse", 2.0)]
)
def test_integrated_gradients_are_smoothed_by_the_picture_or_by_the_layers_step(name, sigma):
    model = plain()  # at "3", places are two pixels apart
    raw = METHODS["IntegratedGradients"].run(asked(model))
    found = METHODS[name].run(asked(model))
    kernel = torch.exp(-(torch.arange(-6, 7) ** 2) / (2 * sigma**2))
    kernel[(torch.arange(-6, 7).abs() > max(1, round(3 * sigma)))] = 0
    kernel = kernel / kernel.sum()
    padded = nn.functional.pad(raw, (6, 6, 6, 6), mode="replicate")
    rows = sum(kernel[i] * padded[:, :, i : i + 16] for i in range(13))
    slow = sum(kernel[i] * rows[..., i : i + 16] for i in range(13))
    torch.testing.assert_close(found, slow)


def test_only_pictures_are_smoothed_and_by_a_step_only_where_there_is_one():
    flat = nn.Sequential(nn.Flatten(), nn.Linear(768, 3)).eval()
    with pytest.raises(NotApplicable, match="can't be followed"):
        METHODS["IntegratedGradientsCoarse"].run(asked(flat, "1"))
    rows = replace(asked(flat, "1"), model=flat[1], inputs=IMAGES.flatten(1))
    with pytest.raises(NotApplicable, match="it smooths pictures"):
        METHODS["IntegratedGradientsFine"].run(rows)


def test_smooth_grad_is_the_mean_slope_amid_noise_of_a_share_of_the_range():
    model = plain()
    question = asked(model)
    level = 0.15 * float(IMAGES.max() - IMAGES.min())
    torch.manual_seed(1)
    found = METHODS["SmoothGrad"].run(question)
    torch.manual_seed(1)
    expected = NoiseTunnel(Saliency(model)).attribute(
        IMAGES.clone().requires_grad_(),
        nt_type="smoothgrad",
        nt_samples=5,
        nt_samples_batch_size=5,
        stdevs=level,
        target=question.target,
    )
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("size", [16, 40])
def test_ablation_sums_to_the_effects_of_single_squares(size):
    torch.manual_seed(0)
    model, images = vgg_like().eval(), torch.rand(2, 3, size, size)
    found = compare(model, images, "4", 1, ["LayerFeatureAblation"]).maps["LayerFeatureAblation"]
    inner = model[:5](images)
    total, side = torch.zeros(2), -(-size // 2 // 8)
    for y in range(0, size // 2, side):
        for x in range(0, size // 2, side):
            removed = inner.clone()
            removed[..., y : y + side, x : x + side] = 0
            total += (model[5:](inner) - model[5:](removed))[:, 1].detach()
    # enlargement by a whole factor, two, keeps the mean
    torch.testing.assert_close(found.sum((1, 2, 3)) / 4, total, atol=1e-4, rtol=1e-3)
    assert (found.flatten(1).std(1) > 0).all()


def test_functional_relus_are_not_silently_left_to_plain_gradients():
    class Functional(nn.Module):
        def __init__(self, activation) -> None:
            super().__init__()
            self.body = nn.Conv2d(3, 4, 3)
            self.activation = activation
            self.head = nn.Linear(4, 3)

        def forward(self, x):
            return self.head(self.activation(self.body(x)).mean((2, 3)))

    class Own(nn.Module):
        def forward(self, x):
            return torch.relu(x)

    for activation in (torch.relu, Own()):
        found = compare(
            Functional(activation), IMAGES, "body", 0, [*RELUS, "GuidedGradCam", "Saliency"]
        )
        assert list(found.maps) == ["Saliency"]
        assert all("functional ones" in reason for reason in found.not_applicable.values())


def test_cam_shares_the_score_out_among_places():
    model = Pooled().eval()
    found = compare(model, IMAGES, "body", 2, ["CAM", "LayerGradientXActivation"]).maps
    torch.testing.assert_close(found["CAM"], found["LayerGradientXActivation"])


def test_layer_lrp_is_the_relevance_at_the_layer():
    model = vgg_like().eval()
    found = compare(model, IMAGES, "4", 1, ["LayerLRP"])
    inner = relevance(model, IMAGES, 1, layers="4", tolerance=torch.inf).layers["4"]
    torch.testing.assert_close(found.units["LayerLRP"], inner)
    expected = found.geometry.enlarged(inner.sum(1, keepdim=True))
    torch.testing.assert_close(found.maps["LayerLRP"], expected)


def test_what_captum_can_not_take_is_said():
    flat = asked(plain(), "6")
    with pytest.raises(NotApplicable, match=r"channels of a layer .* this one is \(2, 16\)"):
        METHODS["LayerGradCam"].run(flat)
    before = MethodQuestion(**{**vars(asked(plain())), "cut": Cut("3", "input")})
    with pytest.raises(NotApplicable, match="a Cut says more than that"):
        METHODS["LayerActivation"].run(before)
