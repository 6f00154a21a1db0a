import pytest
import torch
from torch import Tensor, nn

from captum_influence import ClassScore, prototype
from captum_influence.demo import CLASSES, load_demo_network
from captum_influence.explanations import Prior


class Filter(nn.Module):
    """Scores how much a picture is like a pattern, and unlike it."""

    def __init__(self, pattern: Tensor) -> None:
        super().__init__()
        self.pattern = nn.Parameter(pattern)
        self.compare = nn.Conv2d(3, 2, pattern.shape[-1], bias=False)
        self.compare.weight = nn.Parameter(torch.stack([pattern, -pattern]))

    def forward(self, images: Tensor) -> Tensor:
        return self.compare(images).mean(dim=(2, 3))


def left_and_right(size: int = 16) -> Tensor:
    """A pattern that is bright on the left and dark on the right."""
    pattern = torch.ones(3, size, size)
    pattern[:, :, size // 2 :] = -1
    return pattern / size**2


STILL = Prior(jitter=0, scale=0, total_variation=0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_network_of_another_precision_has_prototypes(dtype: torch.dtype) -> None:
    model = Filter(left_and_right()).to(dtype)
    found = prototype(model, 0, size=16, steps=3, prior=STILL)
    assert found.image.dtype == torch.float32
    assert found.value > found.start


@pytest.mark.parametrize("sign", [1, -1])
def test_the_prototype_of_a_filter_is_its_pattern(sign: int) -> None:
    """A linear score is highest where every pixel is at the end that its weight points to."""
    model = Filter(left_and_right())
    found = prototype(
        model, 0 if sign > 0 else 1, size=16, steps=60, prior=STILL, learning_rate=0.05
    )
    best = (sign * left_and_right() > 0).float()
    assert (found.image - best).abs().mean() < 0.2
    assert found.value > 0.6 * float(left_and_right().clamp(min=0).sum())
    assert found.image.shape == (3, 16, 16)
    assert bool(((found.image >= 0) & (found.image <= 1)).all())


def test_the_value_is_that_of_the_picture_in_float_precision() -> None:
    model = load_demo_network()
    found = prototype(model, 3, size=64, steps=3)
    with torch.no_grad():
        expected = float(model(found.image[None])[0, 3])
    assert found.value == pytest.approx(expected, rel=1e-5)
    assert len(found.history) == 3


def test_a_unit_is_raised_at_its_layer() -> None:
    model = load_demo_network()
    found = prototype(model, layer="relu3", unit=5, size=32, steps=12)
    assert (found.layer, found.quantity) == ("relu3", "unit 5")
    assert found.value > 2 * max(found.start, 0.01)


def test_any_normalisation_by_a_function_of_the_picture() -> None:
    def to_bgr_bytes(x: Tensor) -> Tensor:
        return 255 * x.flip(1) - torch.tensor([104.0, 117.0, 123.0])[:, None, None]

    model = Filter(torch.tensor([1.0, 0.0, 0.0])[:, None, None] * left_and_right())
    found = prototype(
        model, 0, size=16, steps=40, prior=STILL, learning_rate=0.05, preprocess=to_bgr_bytes
    )
    blue = found.image[2]
    assert float(blue[:, :7].mean() - blue[:, 9:].mean()) > 0.5


def test_of_a_network_of_one_channel_by_the_cure_that_the_error_names() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    with pytest.raises(
        ValueError, match=r"preprocess=, .* lambda picture: picture.mean\(1, "
    ) as no:
        prototype(model, 0, size=8, steps=2)
    cure = str(no.value).partition("for one of one channel ")[2]
    assert prototype(model, 0, size=8, steps=2, preprocess=eval(cure)).image.shape == (3, 8, 8)


def test_seeds_make_it_the_same_and_leave_the_global_state() -> None:
    model = load_demo_network()
    state = torch.get_rng_state()
    found = [prototype(model, 0, size=32, steps=4, seed=seed).image for seed in (1, 1, 2)]
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
    assert torch.equal(torch.get_rng_state(), state)


def test_the_network_is_left_as_it_was() -> None:
    model = load_demo_network()
    model.conv1.weight.requires_grad_(False)
    before = {name: p.clone() for name, p in model.named_parameters()}
    grads = {name: p.requires_grad for name, p in model.named_parameters()}
    prototype(model, 0, size=32, steps=3)
    with pytest.raises(RuntimeError):
        prototype(model, 0, size=32, steps=3, preprocess=lambda x: x[:, :2])
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name])
        assert parameter.grad is None
        assert parameter.requires_grad is grads[name]
    assert not model.training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


@pytest.mark.usefixtures("terminal")
def test_it_works_under_no_grad_and_shows_progress(capsys: pytest.CaptureFixture[str]) -> None:
    with torch.no_grad():
        quantity = ClassScore(0) - ClassScore(1)
        found = prototype(load_demo_network(), quantity, size=32, steps=2, show_progress=True)
    assert "step" in capsys.readouterr().err
    assert found.quantity == "score(class 0) − score(class 1)"


def test_a_class_goes_by_its_name() -> None:
    asked = {"size": 32, "steps": 2, "class_names": CLASSES}
    found = prototype(load_demo_network(), "tree", **asked)
    assert found.quantity == "score(tree)"
    numbered = prototype(load_demo_network(), CLASSES.index("tree"), **asked)
    assert torch.equal(found.image, numbered.image)
    assert numbered.call.startswith("prototype(\n    model,\n    target=5,\n    size=32,\n")


def test_wrapped_networks_are_looked_into() -> None:
    model, asked = load_demo_network(), {"layer": "relu3", "unit": 5, "size": 32, "steps": 2}
    plain = prototype(model, **asked)
    for wrapped in (nn.DataParallel(model), torch.compile(model, backend="eager")):
        found = prototype(wrapped, **asked)
        assert (found.network, found.layer) == ("SceneNet", "relu3")
        assert torch.equal(found.image, plain.image)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, ValueError, "a target or a unit, got neither"),
        ({"target": 0, "unit": 1}, ValueError, "got both"),
        ({"unit": 1}, ValueError, "the layer of unit 1, got none"),
        ({"target": 0, "steps": 0}, ValueError, "positive steps and size, got 0"),
        ({"target": 0, "size": (8, 0)}, ValueError, r"got 256 and \(8, 0\)"),
        ({"target": 99}, ValueError, "out of range"),
        ({"target": "tree"}, ValueError, "no names are known"),
        ({"target": 0, "axis": 1}, TypeError, "prototype.. takes no keyword 'axis'"),
        ({"unit": 99, "layer": "relu3"}, ValueError, "unit 99 is not in a layer"),
        ({"target": 0, "layer": "nose"}, ValueError, "no layer named 'nose'"),
        ({"target": 0, "preprocess": torch.detach}, RuntimeError, "that torch can differentiate"),
        ({"target": 0, "preprocess": lambda x: x * torch.nan}, RuntimeError, "NaN"),
    ],
)
def test_mistakes_are_named_with_their_cure(arguments, error, message) -> None:
    with pytest.raises(error, match=message):
        prototype(load_demo_network(), **{"size": 32} | arguments)


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (6, 7)])
def test_pictures_of_all_sizes(size: tuple[int, int]) -> None:
    found = prototype(_Mean(), 0, size=size, steps=2)
    assert found.image.shape == (3, *size)
    assert bool(found.image.isfinite().all())


class _Mean(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.mean(dim=(2, 3))
