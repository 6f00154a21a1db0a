"""The same numbers as Captum, and at home wherever Captum takes a layer attribution."""

import ast
import copy
import pickle
import random
from pathlib import Path
from typing import Any

import captum
import numpy as np
import pytest
import torch
from captum.attr import (
    InternalInfluence,
    LayerAttribution,
    LayerConductance,
    LayerGradientShap,
    LayerGradientXActivation,
    LayerIntegratedGradients,
    NoiseTunnel,
)
from captum.attr import visualization as captum_visualization
from captum.concept import TCAV, Concept
from torch import Tensor, nn

import captum_influence
from captum_influence import (
    Baselines,
    ClassScore,
    Cut,
    DistributionalInfluence,
    LinearPath,
    Noise,
    Point,
)

test_config = pytest.importorskip("captum.testing.attr.helpers.test_config")
CASES = {
    case["name"]: case for case in test_config.config if InternalInfluence in case["algorithms"]
}
ROUNDED = 1e-6  # Captum rounds the weights of a path's points to float32


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def _close(ours: Any, theirs: Any, tolerance: float) -> None:
    assert type(ours) is type(theirs)
    pairs = zip(ours, theirs, strict=True) if isinstance(ours, tuple) else [(ours, theirs)]
    for left, right in pairs:
        assert left.shape == right.shape
        left, right = left.detach(), right.detach()
        assert float((left - right).abs().max()) <= tolerance * max(1, float(right.abs().max()))


def _double(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().double() if value.is_floating_point() else value
    return tuple(_double(item) for item in value) if isinstance(value, tuple) else value


# InternalInfluence --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("double", [False, True], ids=["float32", "float64"])
@pytest.mark.filterwarnings("ignore:Internal batch size cannot be less than:UserWarning")
def test_every_case_of_captums_own_tests(name: str, double: bool) -> None:
    case = CASES[name]
    model = copy.deepcopy(case["model"])
    arguments = {**case["attribute_args"], **case.get("baseline_args", {})}
    if double:
        model = model.double()
        arguments = {key: _double(value) for key, value in arguments.items()}
    layer = model.get_submodule(case["layer"])
    theirs = InternalInfluence(model, layer).attribute(**arguments)
    for ours in (layer, case["layer"], Cut(layer)):
        found = DistributionalInfluence(model, ours).attribute(**arguments)
        _close(found, theirs, ROUNDED if double else 1e-5)


def test_there_are_cases() -> None:
    assert len(CASES) >= 8


def _convolutional() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        nn.Linear(32, 10), nn.ReLU(inplace=True), nn.Linear(10, 4),
    ).double().eval()  # fmt: skip


SIDES = [(0, "output"), (1, "input"), (1, "output"), (2, "output"), (3, "input"),
         (4, "output"), (5, "output"), (7, "input"), (8, "output"), (10, "input")]  # fmt: skip


@pytest.mark.parametrize(("layer", "side"), SIDES)
def test_ten_places_in_a_network_with_in_place_relus(layer: int, side: str) -> None:
    model, x, far = _convolutional(), torch.randn(3, 3, 9, 9).double(), torch.rand(1, 3, 9, 9)
    for target in (2, [0, 3, 1]):
        arguments: dict[str, Any] = {"baselines": far.double(), "target": target, "n_steps": 20}
        arguments["attribute_to_layer_input"] = side == "input"
        theirs = InternalInfluence(model, model[layer]).attribute(x, **arguments)
        ours = DistributionalInfluence(model, model[layer]).attribute(x, **arguments)
        _close(ours, theirs, 1e-8)


@pytest.mark.parametrize("method", ["riemann_left", "riemann_middle", "riemann_right"])
def test_captums_methods(method: str) -> None:
    model, x = _convolutional(), torch.randn(2, 3, 9, 9).double()
    arguments: dict[str, Any] = {"target": 1, "n_steps": 8, "method": method}
    theirs = InternalInfluence(model, model[4]).attribute(x, **arguments)
    _close(DistributionalInfluence(model, "4").attribute(x, **arguments), theirs, 1e-8)


def test_arguments_stand_in_captums_order() -> None:
    model, x = _convolutional(), torch.randn(2, 3, 9, 9).double()
    given = (x, 0.1 * x, 1, None, 7, "riemann_middle", 4, True, {"allow_unused": True})
    theirs = InternalInfluence(model, model[4]).attribute(*given)
    _close(DistributionalInfluence(model, model[4]).attribute(*given), theirs, 1e-8)


# The special cases --------------------------------------------------------------------------------


def _smooth() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(5, 8), nn.GELU(), nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 3)
    ).double()


X, FAR = torch.sin(torch.arange(20.0)).reshape(4, 5).double(), torch.linspace(-1, 1, 5).double()


def test_gradient_times_activation() -> None:
    model = _convolutional()
    x = torch.randn(3, 3, 9, 9).double()
    for layer in (0, 4, 8):
        theirs = LayerGradientXActivation(model, model[layer]).attribute(x, target=1)
        ours = DistributionalInfluence(
            model, str(layer), distribution=Point(), multiply_by_inputs=True
        )
        _close(ours.attribute(x, target=1), theirs, 1e-12)


@pytest.mark.parametrize("baselines", [None, 0.5, FAR[None], torch.cos(X)])
def test_layer_integrated_gradients(baselines: Any) -> None:
    model = _smooth()
    theirs, their_delta = LayerIntegratedGradients(model, model[2]).attribute(
        X, baselines, target=1, return_convergence_delta=True
    )
    influence = DistributionalInfluence(model, "2", sample_at="2", multiply_by_inputs=True)
    ours, delta = influence.attribute(X, baselines, 1, return_convergence_delta=True)
    _close(ours, theirs, ROUNDED)
    _close(delta, their_delta, ROUNDED)


def test_layer_integrated_gradients_from_an_activation() -> None:
    model = _smooth()
    theirs = LayerIntegratedGradients(model, model[2]).attribute(X, FAR[None], target=1)
    start = model[:3](FAR[None]).detach()
    influence = DistributionalInfluence(
        model, "2", distribution=LinearPath(start), sample_at="2", multiply_by_inputs=True,
        reference=FAR,
    )  # fmt: skip
    _close(influence.attribute(X, target=1), theirs, ROUNDED)


def test_layer_integrated_gradients_behind_in_place_modules() -> None:
    model, x = _convolutional(), torch.randn(2, 3, 9, 9).double()
    plain = copy.deepcopy(
        model
    )  # Captum's differentiates a leaf, which no in-place module may change
    for module in plain:
        module.inplace = False
    theirs = LayerIntegratedGradients(plain, plain[1]).attribute(x, target=1)
    ours = DistributionalInfluence(model, "1", sample_at="1", multiply_by_inputs=True)
    _close(ours.attribute(x, target=1), theirs, ROUNDED)


def test_conductance_has_the_same_total() -> None:
    model = _smooth()
    theirs = LayerConductance(model, model[2]).attribute(X, FAR[None], target=1, n_steps=1000)
    influence = DistributionalInfluence(model, "2", sample_at="2", multiply_by_inputs=True)
    ours, delta = influence.attribute(X, FAR[None], 1, return_convergence_delta=True)
    _close(ours.sum(dim=1), theirs.sum(dim=1), 1e-4)
    assert float(delta.abs().max()) < 1e-10


def test_gradient_shap_in_expectation() -> None:
    model, far = _smooth(), torch.randn(7, 5).double()
    theirs = LayerGradientShap(model, model[0]).attribute(X, far, n_samples=3000, target=1)
    influence = DistributionalInfluence(
        model, "0", distribution=Baselines(far, n=3000), multiply_by_inputs=True
    )
    ours, error = influence.attribute(X, target=1, return_standard_error=True)
    z = (ours - theirs) / (error * 2**0.5)
    assert float(z.abs().max()) < 4.5
    assert 0.6 < float(z.pow(2).mean().sqrt()) < 1.4


def test_node_level_patching_along_the_inputs() -> None:
    """EAP-IG at nodes: the mean gradient from corrupted to clean, times their difference."""
    model, clean, corrupted, n = _smooth(), X, torch.cos(X), 6
    mean = torch.zeros(4, 6).double()
    for k in range(1, n + 1):
        z = model[:3](corrupted + k / n * (clean - corrupted)).detach().requires_grad_()
        score = (model[3:](z)[:, 1] - model[3:](z)[:, 0]).sum()
        mean += torch.autograd.grad(score, z)[0] / n
    expected = mean * (model[:3](clean) - model[:3](corrupted)).detach()
    influence = DistributionalInfluence(
        model, "2", distribution=LinearPath(corrupted, n=n, rule="riemann_right"),
        quantity=ClassScore(1) - ClassScore(0), multiply_by_inputs=True,
    )  # fmt: skip
    _close(influence.attribute(clean), expected, 1e-12)


# Composition --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["smoothgrad", "smoothgrad_sq", "vargrad"])
def test_noise_tunnel(kind: str) -> None:
    model = _smooth()
    found = []
    for method in (
        InternalInfluence(model, model[2]), DistributionalInfluence(model, "2"),
    ):  # fmt: skip
        torch.manual_seed(4)
        tunnel = NoiseTunnel(method)
        found.append(
            tunnel.attribute(
                X, nt_type=kind, nt_samples=5, stdevs=0.2, target=[0, 1, 2, 1], n_steps=9
            )
        )
    _close(found[1], found[0], 1e-8)


def test_noise_tunnel_with_a_distribution_and_a_delta() -> None:
    model = _smooth()
    tunnel = NoiseTunnel(
        DistributionalInfluence(
            model, "2", distribution=LinearPath(0.0, n=4), sample_at="2", multiply_by_inputs=True
        )
    )
    found, delta = tunnel.attribute(X, nt_samples=3, target=1, return_convergence_delta=True)
    assert found.shape == (4, 6)
    assert len(delta) == 12


def test_interpolation_to_the_inputs_size_and_figures() -> None:
    model, x = _convolutional(), torch.rand(2, 3, 9, 9).double()
    found = DistributionalInfluence(model, "4").attribute(x, target=1)
    wide = LayerAttribution.interpolate(found, (9, 9))
    assert wide.shape == (2, 8, 9, 9)
    picture, heat = (t[0].permute(1, 2, 0).detach().numpy() for t in (x, wide.sum(1, keepdim=True)))
    figure, _ = captum_visualization.visualize_image_attr(
        heat, picture, method="blended_heat_map", sign="all", use_pyplot=False
    )
    assert figure.axes


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_tcav(tmp_path: Path) -> None:
    model = _smooth().float()

    def concept(number: int) -> Concept:
        data = (torch.sin(torch.arange(30.0).reshape(6, 5) * (number + 1))).split(3)
        return Concept(number, f"concept {number}", data)

    def scores(method: LayerAttribution) -> Any:
        torch.manual_seed(0)
        random.seed(0)  # Captum's classifier shuffles with it
        np.random.seed(0)  # noqa: NPY002  # and scikit-learn's draws from this
        folder = tmp_path / method.get_name()
        tcav = TCAV(model, ["2"], layer_attr_method=method, save_path=str(folder))
        return tcav.interpret(X.float(), [[concept(0), concept(1)]], target=1, n_steps=5)

    pytest.importorskip("sklearn")
    theirs = scores(InternalInfluence(model, None))
    ours = scores(DistributionalInfluence(model, "2"))
    for key, layers in theirs.items():
        for layer, values in layers.items():
            for name in ("sign_count", "magnitude"):
                assert torch.allclose(ours[key][layer][name], values[name], atol=1e-5)


def test_copies_pickles_and_names() -> None:
    model = _smooth()
    influence = DistributionalInfluence(model, model[2], distribution=Noise(0.1, n=3))
    expected = influence.attribute(X, target=1)
    for other in (copy.deepcopy(influence), pickle.loads(pickle.dumps(influence))):
        assert torch.equal(other.attribute(X, target=1), expected)
        assert other.layer is other.forward_func[2]
    assert influence.get_name() == "Distributional Influence"
    assert isinstance(influence, LayerAttribution)
    assert not influence.has_convergence_delta()
    assert DistributionalInfluence(model, "2", multiply_by_inputs=True).has_convergence_delta()


def test_there_is_no_asynchronous_form() -> None:
    with pytest.raises(NotImplementedError, match="call attribute with the same"):
        DistributionalInfluence(_smooth(), "2").attribute_future()


# What is imported from Captum ---------------------------------------------------------------------

PRIVATE = {
    "_format_additional_forward_args",
    "_format_output",
    "KMostInfluentialResults",  # the type that k-mode returns
    "SUPPORTED_LAYERS_WITH_RULES",
    "SUPPORTED_NON_LINEAR_LAYERS",
    "Alpha1_Beta0_Rule",
    "EpsilonRule",
    "GammaRule",
    "PropagationRule",
}


def test_private_imports_of_captum_are_those_that_are_listed() -> None:
    package = Path(captum_influence.__file__).parent
    found: dict[str, set[str]] = {}
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                not isinstance(node, ast.ImportFrom)
                or (node.module or "").split(".")[0] != "captum"
            ):
                continue
            names = {alias.name for alias in node.names}
            if "._" in f".{node.module}" or any(name.startswith("_") for name in names):
                found.setdefault(path.name, set()).update(names)
    assert found == {"captum_private.py": PRIVATE}


def test_captums_private_helpers_do_what_they_are_needed_for() -> None:
    common = captum._utils.common
    assert common._format_additional_forward_args(3) == (3,)
    assert common._format_additional_forward_args(None) is None
    assert common._format_output(False, (X,)) is X
    assert common._format_output(True, (X, X)) == (X, X)
