import copy

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from captum_influence import (
    ClassScore,
    Cut,
    Explanation,
    Function,
    Noise,
    Point,
    PredictedClass,
    explain,
)
from captum_influence.attr.run import Run
from captum_influence.demo import demo_scene, load_demo_network
from captum_influence.metrics.removal import replaced_pixels
from captum_influence.reports.shown import Shown
from captum_influence.units.units_of import UnitsOf

NAMES = ["red", "green", "dark"]


def test_the_unit_behind_a_score_is_found_and_so_is_what_it_sees(model, image) -> None:
    asked = {"distribution": Point(), "smoothing": 0}
    found = explain(model, image, "relu", quantity=0, top=2, **asked)
    assert found.effects.alone == (pytest.approx(16.0), 0.0)
    first, second = found.units
    assert (first.unit.name, first.unit.share) == ("channel 0", 1.0)
    assert first.unit.value == pytest.approx(16.0)
    assert (first.unit.activation, first.unit.reference) == (32.0, 0.0)  # upper left and right
    assert second.unit.value == 0.0
    assert found.value == 16.0
    assert found.delta is None
    seen = torch.zeros(8, 8, dtype=torch.float64)
    seen[:4, :4] = 1.0
    torch.testing.assert_close(first.map, seen)
    assert torch.equal(first.mask, seen.bool())
    (region,) = first.regions
    assert (region.box, region.pixels, region.share) == ((0, 0, 4, 4), 16, 1.0)
    torch.testing.assert_close(
        first.crop, found.picture[:, first.box[0] : first.box[2], first.box[1] : first.box[3]]
    )


def test_pixels_are_asked_on_the_way_from_the_blurred_picture(model) -> None:
    image = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = explain(model, image, "relu", quantity=0, top=1, smoothing=0)
    blurred = replaced_pixels(image[None], "blur")
    slopes = torch.zeros(1, 3, 8, 8, dtype=torch.float64)
    weights = model.head.weight.detach()[0].reshape(3, 2, 2)[0]
    for share in (0.125, 0.375, 0.625, 0.875):
        point = (blurred + share * (image - blurred)).requires_grad_()
        passed_on = (model.eyes(point).relu()[0, 0] * weights).sum()
        slopes += torch.autograd.grad(passed_on, point)[0] / 4
    slow = (slopes * (image - blurred))[0].sum(0)
    torch.testing.assert_close(found.units[0].map, slow)


def test_focus_on_the_unit_shows_all_that_makes_it_active(model, image) -> None:
    found = explain(model, image, "relu", quantity=0, top=1, smoothing=0, focus="unit")
    assert found.units[0].regions[0].box == (0, 0, 4, 8)
    assert float(found.units[0].map.sum()) == pytest.approx(32.0)
    assert found.shown_by_map(found.units[0].unit) == "channel 0"


def test_a_comparison_names_the_unit_for_and_the_unit_against(model, image) -> None:
    asked = ClassScore(0) - ClassScore(1)
    found = explain(model, image, "relu", quantity=asked, class_names=NAMES)
    assert found.quantity == "score(red) − score(green)"
    assert [unit.name for unit in found.against] == ["channel 1"]
    assert found.against[0].value == pytest.approx(-2.0)
    assert found.against[0].activation == 2.0
    assert found.rival == "green"
    same = explain(model, image, "relu", "red", versus="green", class_names=NAMES)
    assert (same.quantity, same.headline) == (found.quantity, found.headline)


def test_by_influence_a_unit_counts_though_it_is_silent(model, image) -> None:
    image[0] = 0.0  # the first eye sees nothing
    asked = {"quantity": ClassScore(0) - ClassScore(1), "top": 1, "distribution": Point()}
    found = explain(model, image, "relu", by="influence", **asked)
    assert (found.units[0].unit.name, found.units[0].unit.activation) == ("channel 0", 0.0)
    assert found.delta is None


def test_default_is_the_predicted_class_at_the_input_counted_from_zero(model, image) -> None:
    plain = explain(model, image[None], "relu", class_names={0: "red"})
    same = explain(
        model,
        image,
        model.relu,
        quantity=PredictedClass(),
        distribution=Point(),
        replace="zero",
        class_names={0: "red"},
    )
    assert plain.quantity == "score(red)"
    torch.testing.assert_close(plain.values, same.values, rtol=0, atol=0)
    assert [p.name for p in plain.predictions] == ["red", "class 1", "class 2"]
    assert sum(p.probability for p in plain.predictions) == pytest.approx(1.0)


def test_half_precision_is_kept_and_saved_as_float32(model, image, tmp_path) -> None:
    found = explain(model.bfloat16(), image.bfloat16(), "relu", quantity=0, top=2)
    assert found.values.dtype == found.units[0].map.dtype == torch.float32
    assert found.units[0].unit.value == pytest.approx(16.0, rel=0.02)
    found.save(tmp_path)
    assert torch.equal(Explanation.load(tmp_path).values, found.values)


def test_positions_and_neurons_are_units_too(model, image) -> None:
    position = explain(model, image, "relu", quantity=0, axis="position", top=1)
    assert position.units[0].unit.name == "position (0, 0)"
    neuron = explain(model, image, "relu", quantity=0, axis="neuron", top=1)
    assert neuron.units[0].unit.name == "neuron (0, 0, 0)"


def test_a_user_s_own_groups_are_units_too(model, image) -> None:
    found = explain(model, image, "relu", quantity=0, axis={"eyes": [0, 1], "none": [2]}, top=1)
    assert (found.units[0].unit.name, found.units[0].unit.axis) == ("eyes", "group")
    assert found.units[0].unit.value == pytest.approx(16.0)
    masks = {"upper": torch.zeros(3, 2, 2, dtype=torch.bool).index_fill(1, torch.tensor(0), True)}
    upper = explain(model, image, "relu", quantity=0, axis=masks, smoothing=0, focus="unit")
    assert upper.units[0].regions[0].box == (0, 0, 4, 8)


class Tokens(nn.Module):
    """Patches as tokens (N, 4, 6); the score is the first feature of token 2, squared."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, 6, 4, stride=4, bias=False)
        self.block = nn.Identity()
        self.features = nn.Identity()
        with torch.no_grad():
            self.patches.weight.zero_()
            self.patches.weight[0] = 1.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens, _ = self.block((self.patches(x).flatten(2).transpose(1, 2), None))
        return self.features(tokens[:, 2] ** 2)


def test_tokens_behind_a_tuple_and_flat_units() -> None:
    model, image = Tokens().eval(), torch.ones(1, 8, 8)
    tokens = Cut("block", select=0)
    asked = {"distribution": Point(), "smoothing": 0}
    channel = explain(model, image, tokens, quantity=0, top=1, **asked)
    assert (channel.units[0].unit.name, channel.units[0].regions[0].box) == (
        "channel 0",
        (4, 0, 8, 4),
    )
    token = explain(model, image, tokens, quantity=0, top=1, axis="position")
    assert token.units[0].unit.name == "position 2"
    head = explain(model, image, tokens, quantity=0, top=1, axis="head", heads=3)
    assert head.units[0].unit.name == "head 0"
    flat = explain(model, image, "features", quantity=0, top=1)
    assert flat.units[0].unit.value == pytest.approx(256.0)


def test_a_silent_unit_has_an_empty_mask_and_no_crop(model, image) -> None:
    silent = explain(model, image, "relu", quantity=0, top=3).units[-1]
    assert not silent.mask.any()
    assert (silent.regions, silent.box, silent.crop) == ((), None, None)


def test_noise_and_functions_are_described(model, image) -> None:
    asked = {"quantity": Function(lambda output: output[:, 0]), "distribution": Noise(0.1, 4)}
    found = explain(model, image, "relu", top=1, **asked)
    assert found.quantity == "a function of the output"
    assert found.facts["distribution"] == "4 draws of noise around the input"


def state(model: nn.Module) -> tuple[object, ...]:
    modules = list(model.modules())
    return (
        [(m.training, len(m._forward_hooks), len(m._forward_pre_hooks)) for m in modules],
        [(p.requires_grad, p.grad) for p in model.parameters()],
        torch.get_rng_state().tolist(),
        torch.is_grad_enabled(),
    )


@pytest.mark.parametrize("layer", ["relu", "nowhere"])
def test_the_model_and_the_random_state_are_left_as_found(model, image, layer) -> None:
    model.eyes.weight.requires_grad_(False)
    model.head.train()
    before, weights = state(model), copy.deepcopy(model.state_dict())
    loader = DataLoader(TensorDataset(image[None]), shuffle=True)
    if layer == "relu":
        explain(model, image, layer, distribution=Noise(0.1, 3), loader=loader)
    else:
        with pytest.raises(ValueError, match="no layer named 'nowhere'"):
            explain(model, image, layer, loader=loader)
    assert state(model) == before
    assert all(torch.equal(w, weights[name]) for name, w in model.state_dict().items())


def test_a_network_that_draws_anew_in_every_pass_is_refused(image) -> None:
    noisy = nn.Sequential(nn.Flatten(), nn.Linear(192, 4), nn.Dropout(), nn.Linear(4, 2)).double()
    before = torch.get_rng_state()
    with pytest.raises(RuntimeError, match=r"2, a Dropout, .* call model.eval\(\)"):
        explain(noisy.train(), image, "1", 0)
    assert torch.equal(torch.get_rng_state(), before)


def test_wrapped_models_are_looked_into(model, image) -> None:
    plain = explain(model, image, "relu", quantity=0)
    for wrapped in (nn.DataParallel(model), torch.compile(model, backend="eager")):
        found = explain(wrapped, image, "relu", quantity=0)
        assert found.headline == plain.headline


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: torch.stack([x, x]), "a batch of 2: pass image"),
        (lambda x: x[0], r"got \(8, 8\)"),
        (lambda x: x[:, :0], r"got \(3, 0, 8\)"),
        (lambda x: x / 0, "NaN or infinite"),
    ],
)
def test_an_image_must_be_one_picture(model, image, change, message) -> None:
    with pytest.raises(ValueError, match=message):
        explain(model, change(image), "relu")


@pytest.mark.parametrize("picture", [torch.zeros(3, 4, 4), torch.zeros(8, 8), None])
def test_a_picture_must_fit_the_image(model, image, picture) -> None:
    display = None if picture is not None else (lambda image: "a string")
    with pytest.raises(ValueError, match=r"\(3, 8, 8\), got"):
        explain(model, image, "relu", picture=picture, display=display)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"picture": torch.full((3, 8, 8), 200.0)}, "divide bytes by 255"),
        ({"by": "size"}, "got 'size'"),
        ({"focus": "all"}, "got 'all'"),
        ({"top": 0}, "got 0"),
        ({"axis": "pixel"}, "got 'pixel'"),
        ({"percentile": 100}, "got 100"),
        ({"smoothing": -1}, "got -1"),
        ({"quantity": 7}, "out of range"),
        ({"target": "blue", "class_names": NAMES}, "'blue', which is none of the 3 names"),
        ({"target": 0, "versus": 0}, "expected two classes to compare"),
        ({"aggregate": "median"}, "got 'median'"),
        ({"internal_batch_size": 0}, "positive number, got 0"),
    ],
)
def test_bad_options_are_named(model, image, options, message) -> None:
    with pytest.raises(ValueError, match=message):
        explain(model, image, "relu", **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"smooting": 3}, r"explain\(\) takes no keyword 'smooting': did you mean smoothing="),
        ({"target": 0, "quantity": 1}, "got both: they are the same thing"),
        ({"shown": Shown(), "percentile": 9.0}, r"got shown=Shown\(...\) and percentile beside"),
        ({"run": Run(), "seed": 1}, r"got run=Run\(...\) and seed beside it"),
        ({"run": 3}, "expected run as a Run, got int"),
    ],
)
def test_what_is_said_twice_or_not_understood_is_refused(model, image, options, message) -> None:
    with pytest.raises(TypeError, match=message):
        explain(model, image, "relu", **options)


def test_values_that_are_made_once_serve_many_questions(model, image) -> None:
    parts = explain(model, image, "relu", 0, class_names=NAMES, smoothing=1, axis="position")
    shown, units = Shown(class_names=NAMES, smoothing=1), UnitsOf("relu", "position")
    whole = explain(model, image, units, 0, shown=shown, run=Run(seed=0))
    assert whole.headline == parts.headline
    assert torch.equal(whole.units[0].mask, parts.units[0].mask)


def test_what_isn_t_a_tensor_or_a_module_is_named(model, image) -> None:
    with pytest.raises(TypeError, match=r"torch\.uint8: preprocess"):
        explain(model, image.byte(), "relu")
    with pytest.raises(TypeError, match="got function"):
        explain(lambda x: x, image, "relu")
    with pytest.raises(TypeError, match="loader to yield images"):
        explain(model, image, "relu", loader=["a word"])
    with pytest.raises(TypeError, match=r"pick one with Cut\(layer, select"):
        explain(Pair(), image, "pair")


class Pair(nn.Module):
    """A layer that returns two tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.pair = nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left, right = self.pair((x, 2 * x))
        return (left + right).flatten(1)


def test_a_network_with_one_output_makes_no_predictions(image) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 1)).double().eval()
    found = explain(model, image, "0", quantity=0)
    assert found.predictions == ()
    assert not found.headline.startswith("The network says")


def test_without_a_layer_the_last_with_places_is_asked_and_said() -> None:
    network, image = load_demo_network(), demo_scene().image
    found, named = explain(network, image, top=1), explain(network, image, "relu5", top=1)
    assert found.layer == "relu5"
    assert torch.equal(found.values, named.values)
    told = "No layer was named: relu5 is the last with several places for each channel, and has "
    assert told in found.headline
    assert told not in named.headline
    assert found.call == "explain(model, image, top=1)"
