"""Captum's face: shapes in and out, what excludes what, and what every wrong argument is told."""

import copy
import inspect
import pickle
from typing import Any

import pytest
import torch
from captum.attr import InternalInfluence
from torch import Tensor, nn

from captum_influence import (
    ClassScore,
    Cut,
    DistributionalInfluence,
    Function,
    LinearPath,
    Loss,
    Noise,
    Point,
    PredictedClass,
    Unit,
)
from captum_influence.testing import bilinear_model, check_attribution

X = torch.sin(torch.arange(12, dtype=torch.float64)).reshape(4, 3)


@pytest.fixture
def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.ReLU(inplace=True), nn.Linear(5, 2)).double()


class TwoTensors(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru, self.last = nn.GRU(3, 4, batch_first=True), nn.Linear(4, 2)
        self.halves = Halves()
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        left, right = self.halves(self.gru(x)[0][:, -1])
        return self.last(torch.cat([right, left.tanh()], dim=1))


class Halves(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        left, right = x.chunk(2, dim=1)
        return left, right


EXAMPLES: dict[str, Any] = {
    "path": {},
    "point": {"distribution": Point()},
    "noise, displaced": {"distribution": Noise(0.1, n=3), "multiply_by_inputs": True},
    "predicted class": {"quantity": PredictedClass()},
    "several layers": {"layer": ["0", Cut("2", "input"), "2"]},
    "several quantities": {"quantity": [PredictedClass(), Unit(0)]},
    "points in the layer": {"sample_at": "0", "multiply_by_inputs": True},
    "a unit inside": {"quantity": Unit(3), "measure_at": "1"},
    "a reference": {"distribution": Point(), "multiply_by_inputs": True, "reference": 0.5},
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_contract(name: str, model: nn.Module) -> None:
    settings = {"layer": "0", **EXAMPLES[name]}
    arguments = {} if "quantity" in settings else {"target": 1}
    check_attribution(DistributionalInfluence(model, **settings), X, **arguments)


def test_the_first_nine_arguments_are_captums() -> None:
    theirs = inspect.signature(InternalInfluence.attribute).parameters
    ours = inspect.signature(DistributionalInfluence.attribute).parameters
    assert list(ours)[: len(theirs)] == list(theirs)
    for name, parameter in theirs.items():
        assert ours[name].default == parameter.default


def test_shapes(model: nn.Sequential) -> None:
    def shape(layer: Any, quantity: Any) -> Any:
        found = DistributionalInfluence(model, layer, quantity=quantity).attribute(X)
        return [tuple(t.shape) for t in found] if isinstance(found, list) else tuple(found.shape)

    assert shape("0", ClassScore(1)) == (4, 5)
    assert shape(model[0], ClassScore(1)) == (4, 5)
    assert shape(["0"], ClassScore(1)) == [(4, 5)]
    assert shape(["0", Cut("0", "input")], ClassScore(1)) == [(4, 5), (4, 3)]
    assert shape("0", [ClassScore(1)]) == (1, 4, 5)
    assert shape(["0", "2"], [ClassScore(1), ClassScore(0)]) == [(2, 4, 5), (2, 4, 2)]


def test_layers_with_several_tensors_give_tuples() -> None:
    network, x = TwoTensors(), torch.randn(3, 4, 3).double()
    found = DistributionalInfluence(network, "halves").attribute(x, target=1)
    assert [tuple(t.shape) for t in found] == [(3, 2), (3, 2)]
    found = DistributionalInfluence(
        network, ["halves", "last"], quantity=[ClassScore(0), ClassScore(1)]
    ).attribute(x)
    assert [tuple(t.shape) for t in found[0]] == [(2, 3, 2), (2, 3, 2)]
    single = DistributionalInfluence(network, Cut("halves", select=1)).attribute(x, target=1)
    assert torch.allclose(single, network.last.weight[1, :2].expand(3, 2))


def test_everything_at_once(model: nn.Sequential) -> None:
    influence = DistributionalInfluence(
        model, ["0", "2"], distribution=Noise(0.1, n=4), quantity=[ClassScore(0), ClassScore(1)],
        multiply_by_inputs=True,
    )  # fmt: skip
    found, deltas, errors = influence.attribute(
        X, return_convergence_delta=True, return_standard_error=True
    )
    assert [tuple(t.shape) for t in found] == [tuple(t.shape) for t in errors]
    assert [tuple(t.shape) for t in deltas] == [(2, 4), (2, 4)]


def test_several_inputs_and_baselines() -> None:
    known = bilinear_model()
    influence = DistributionalInfluence(known.model, known.layer)
    start = (known.inputs[0][:1], 0.5)
    exact = known.on_path(known.inputs, (start[0], torch.full((1, 2), 0.5).double()), 0)
    assert torch.allclose(influence.attribute(known.inputs, start, 0), exact, atol=1e-14)


def test_the_input_side_of_modules_and_names_but_not_of_cuts(model: nn.Sequential) -> None:
    influence = DistributionalInfluence(model, ["2", model[2], Cut("2", "output")])
    found = influence.attribute(X, target=1, attribute_to_layer_input=True)
    assert [t.shape[1] for t in found] == [5, 5, 2]


def test_functions_and_targets_serve_as_quantities(model: nn.Sequential) -> None:
    expected = DistributionalInfluence(model, "0").attribute(X, target=1)
    for quantity in (ClassScore(1), Function(lambda s: s[:, 1])):
        found = DistributionalInfluence(model, "0", quantity=quantity).attribute(X)
        assert torch.equal(found, expected)


@pytest.mark.usefixtures("terminal")
def test_progress_is_shown_on_demand(model: nn.Module, capsys: Any) -> None:
    influence = DistributionalInfluence(model, "0")
    influence.attribute(X, target=1)
    assert capsys.readouterr().err == ""
    influence.attribute(X, target=1, show_progress=True, internal_batch_size=20)
    assert "200/200" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("constructed", "asked", "message"),
    [
        ({"distribution": Point()}, {"baselines": 0}, "distribution was given to the constructor"),
        ({"distribution": Point()}, {"n_steps": 7}, "baselines, n_steps or method to attribute"),
        ({"distribution": Point()}, {"method": "riemann_left"}, "give one of the two"),
        ({"distribution": Point()}, {"n_steps": 50}, "give one of the two"),
        ({"distribution": Point()}, {"method": "gausslegendre"}, "give one of the two"),
        ({"quantity": Unit(0)}, {"target": 0}, "quantity was given to the constructor, and target"),
        ({"quantity": []}, {}, "at least one quantity"),
        ({}, {"target": 0, "method": "simpson"}, "expected a Rule or one of"),
        ({}, {"target": 0, "n_steps": 0}, "positive number of points, got n=0"),
        ({}, {"target": 0, "internal_batch_size": 0}, "internal_batch_size counts.*got 0"),
        (
            {},
            {"target": 0, "baselines": torch.zeros(2, 3)},
            r"baseline of shape \(4, 3\).*\(2, 3\)",
        ),
        ({}, {"target": 0, "baselines": (0, 0)}, "one baseline for each of 1 inputs, got 2"),
        ({}, {"target": [0, 1]}, "targets or labels for 2 examples, but there are 4 inputs"),
        ({}, {"target": 2}, "out of range"),
        ({}, {}, r"without a target.*one number per example.*\(.*, 2\)"),
        (
            {"quantity": Loss(nn.CrossEntropyLoss(reduction="none"), torch.tensor([0, 1]))},
            {},
            "Loss holds targets or labels for 2 examples",
        ),
    ],
)
def test_wrong_arguments(model: Any, constructed: Any, asked: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DistributionalInfluence(model, "0", **constructed).attribute(X, **asked)


@pytest.mark.parametrize(
    ("inputs", "kind", "message"),
    [
        (
            [X],
            TypeError,
            r"tensor \(examples, ...\), a tuple of these, or a mapping by name, got \['list'\]",
        ),
        (None, TypeError, "NoneType"),
        ((X, "text"), TypeError, r"\['Tensor', 'str'\]"),
        (torch.tensor(1.0), TypeError, "expected inputs"),
        ((), TypeError, "expected inputs"),
        ((X, X[:2]), ValueError, "the same number of examples in every input"),
        (X[:0], ValueError, "at least one"),
        (X * torch.nan, ValueError, r"input of shape \(4, 3\) holds NaN"),
    ],
)
def test_wrong_inputs(model: Any, inputs: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        DistributionalInfluence(model, "0").attribute(inputs, target=1)


def test_a_distribution_is_one(model: Any) -> None:
    with pytest.raises(TypeError, match="expected a Distribution, got float"):
        DistributionalInfluence(model, "0", distribution=0.1)  # type: ignore[arg-type]


def test_the_same_question_as_captums_and_as_a_distribution(model: Any) -> None:
    asked = DistributionalInfluence(model, "0").attribute(X, 0.5, 1, None, 7, "riemann_left")
    path = LinearPath(0.5, n=7, rule="riemann_left")
    given = DistributionalInfluence(model, "0", distribution=path).attribute(X, target=1)
    assert torch.equal(asked, given)


def test_copies_and_pickles(model: nn.Sequential) -> None:
    influence = DistributionalInfluence(
        model, Cut("1", "input"), distribution=LinearPath(0.5), quantity=Unit(0)
    )
    expected = influence.attribute(X)
    for other in (copy.deepcopy(influence), pickle.loads(pickle.dumps(influence))):
        assert torch.equal(other.attribute(X), expected)


def test_a_baseline_of_the_wrong_shape_is_refused_inside_the_network_too(
    model: nn.Sequential,
) -> None:
    path = LinearPath(torch.ones(1, 6).double())
    influence = DistributionalInfluence(model, "0", sample_at="0", distribution=path)
    with pytest.raises(ValueError, match=r"baseline of shape \(4, 5\).*got \(1, 6\)"):
        influence.attribute(X, target=1)
