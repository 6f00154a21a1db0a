"""A call as the Python that asks it again: executed, it gives the same finding."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import pytest
import torch
from asking import again
from torch import Tensor, nn

from captum_influence import (
    Baselines,
    ClassScore,
    Cut,
    Distribution,
    Expert,
    Function,
    LinearPath,
    Loss,
    Mixture,
    Noise,
    Point,
    PredictedClass,
    Quantity,
    Samples,
    StratifiedPath,
    Unit,
    explain,
)
from captum_influence.attr.points import WeightedPoint
from captum_influence.reports.asked import Asked, code_of, installed_versions
from captum_influence.reports.shown import Shown
from captum_influence.units.units_of import UnitsOf

LOSS = nn.CrossEntropyLoss(reduction="none")
RANDOM = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)).double()


@dataclass(frozen=True)
class Margin(Quantity):
    """A user's own quantity, printed by its fields."""

    over: int
    scale: float = 1.0

    def __call__(self, output: Any) -> Tensor:
        others = output.clone()
        others[:, self.over] = -torch.inf
        return self.scale * (output[:, self.over] - others.amax(1))


class Bare(Quantity):
    """One that isn't a dataclass: it goes by a name."""

    def __call__(self, output: Any) -> Tensor:
        return output[:, 1]


@dataclass(frozen=True, eq=False)
class Halves(Distribution):
    """A user's own distribution: the input, and a part of it."""

    part: float = 0.5

    def points(self, origin: tuple[Tensor, ...]) -> Iterator[WeightedPoint]:
        yield WeightedPoint(0.5, origin)
        yield WeightedPoint(0.5, tuple(self.part * x for x in origin))


def first_score(output: Tensor) -> Tensor:
    return output[:, 0]


QUESTIONS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "class": {"target": 1},
    "tensor class": {"target": ClassScore(torch.tensor([1]))},
    "comparison": {"quantity": ClassScore(0) - 0.3 * ClassScore(2) - ClassScore(1)},
    "mean": {"quantity": (ClassScore(0) + ClassScore(1)) / 3},
    "negative": {"quantity": -(ClassScore(2))},
    "predicted": {"quantity": PredictedClass() - ClassScore(1)},
    "loss": {"quantity": Loss(LOSS, torch.tensor([1]))},
    "function": {"quantity": Function(first_score)},
    "bare function": {"quantity": first_score},
    "own quantity": {"quantity": Margin(1, scale=0.5)},
    "own sum": {"quantity": Margin(0) + ClassScore(1)},
    "names": {"target": "red", "versus": "dark", "class_names": ["red", "green", "dark"]},
    "mapped names": {"target": "red", "class_names": {0: "red", 2: 'it\'s "dark"'}},
    "point": {"target": 0, "distribution": Point()},
    "path": {"target": 0, "distribution": LinearPath(0.5, 7)},
    "auto": {"target": 0, "distribution": LinearPath(n="auto", tolerance=0.1)},
    "rule": {"target": 0, "distribution": LinearPath(0.0, 8, "riemann_left")},
    "constant baseline": {"target": 0, "distribution": LinearPath(torch.full_like(RANDOM, 0.1))},
    "large baseline": {"target": 0, "distribution": LinearPath(RANDOM, 3)},
    "set": {"target": 0, "distribution": Baselines(torch.cat([RANDOM, RANDOM / 2]), 3, seed=4)},
    "samples": {"target": 0, "distribution": Samples(RANDOM)},
    "noise": {"target": 0, "distribution": Noise(0.25, 2)},
    "strata": {"target": 0, "distribution": StratifiedPath(n=3)},
    "mixture": {"target": 0, "distribution": Mixture([(0.25, Point()), (0.75, Halves(0.1))])},
    "own distribution": {"target": 0, "distribution": Halves()},
    "options": {"target": 0, "by": "influence", "aggregate": "mean", "focus": "unit", "seed": 3},
    "axis": {"target": 0, "axis": 3, "percentile": 90.0, "smoothing": 0, "top": 1},
    "groups": {"target": 0, "axis": {"eyes": [0, 1], "none": [2]}},
    "labels": {"target": 0, "axis": torch.tensor([0, 0, 1])},
    "shown": {"target": 0, "shown": Shown(class_names=["a", "b", "c"], smoothing=0.5)},
    "picture": {"target": 0, "picture": torch.full((3, 8, 8), 0.5)},
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_the_printed_call_gives_the_same_finding(model, image, name: str) -> None:
    found = explain(model, image, "relu", **QUESTIONS[name])
    same = again(found, model=model, image=image, loss_fn=LOSS)
    assert same.call == found.call
    assert same.headline == found.headline
    torch.testing.assert_close(same.values, found.values, rtol=0, atol=0)
    assert json.loads(json.dumps(dict(found.settings), allow_nan=False)) == dict(found.settings)


LAYERS: dict[str, Callable[[nn.Module], Any]] = {
    "name": lambda model: "relu",
    "module": lambda model: model.relu,
    "cut": lambda model: Cut("relu", "input"),
    "cut of a module": lambda model: Cut(model.relu, "input", call=0),
    "units": lambda model: UnitsOf(Cut("relu", "input"), "position"),
    "units of a module": lambda model: UnitsOf(model.eyes, "neuron", aggregate="max"),
}


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_layers_go_by_their_names_in_the_network(model, image, name: str, wrapped: bool) -> None:
    given = nn.DataParallel(model) if wrapped else model
    found = explain(given, image, LAYERS[name](model), 0, top=1)
    assert found.asked.names == ("model", "image")
    assert again(found, model=model, image=image).units[0].unit == found.units[0].unit


def test_a_function_that_nobody_can_import_is_called_by_a_name(model, image) -> None:
    def inner(output: Tensor) -> Tensor:
        return output[:, 0]

    for own in (inner, lambda output: output[:, 0]):
        found = explain(model, image, "relu", quantity=own)
        assert found.asked.names == ("model", "image", "quantity")
        same = again(found, model=model, image=image, quantity=own)
        torch.testing.assert_close(same.values, found.values)


def test_an_object_that_python_can_not_write_is_called_by_a_name(model, image) -> None:
    bare = Bare()
    found = explain(model, image, "relu", quantity=bare)
    assert found.asked.names == ("model", "image", "quantity")
    same = again(found, model=model, image=image, quantity=bare)
    torch.testing.assert_close(same.values, found.values)


def test_a_class_of_a_function_is_called_by_a_name(model, image) -> None:
    @dataclass(frozen=True)
    class Local(Quantity):
        index: int

        def __call__(self, output: Any) -> Tensor:
            return output[:, self.index]

    found = explain(model, image, "relu", quantity=Local(1))
    assert "quantity=quantity" in found.call
    assert again(found, model=model, image=image, quantity=Local(1)).headline == found.headline


def test_large_tensors_are_kept_beside_the_call(model, image) -> None:
    found = explain(model, image, "relu", 0, distribution=LinearPath(RANDOM, 3))
    assert set(found.asked.tensors) == {"baseline"}
    assert torch.equal(found.asked.tensors["baseline"], RANDOM)
    assert "LinearPath(baseline, n=3)" in found.call


def test_data_goes_by_a_name_however_little_it_is(model, image) -> None:
    loader = [(image[None], torch.tensor([0]))]
    found = explain(model, image, "relu", 0, loader=loader)
    assert "loader=loader" in found.call
    assert found.asked.names == ("model", "image", "loader")


def test_two_values_have_two_names_and_one_has_one(model, image) -> None:
    once = Mixture([(0.5, LinearPath(RANDOM, 2)), (0.5, LinearPath(RANDOM, 3))])
    found = explain(model, image, "relu", 0, distribution=once)
    assert set(found.asked.tensors) == {"baseline"}
    paths = [(0.5, LinearPath(RANDOM, 2)), (0.5, LinearPath(RANDOM / 2, 2))]
    found = explain(model, image, "relu", 0, distribution=Mixture(paths))
    assert set(found.asked.tensors) == {"baseline", "baseline2"}
    same = again(found, model=model, image=image)
    torch.testing.assert_close(same.values, found.values, rtol=0, atol=0)


def test_many_names_are_not_printed(model, image) -> None:
    names = [f"name {i}" for i in range(1000)]
    found = explain(model, image, "relu", "name 1", class_names=names)
    assert "class_names=class_names" in found.call
    assert "class_names" in found.asked.names


def test_short_calls_fit_a_line_and_long_ones_are_laid_out(model, image) -> None:
    short = explain(model, image, "relu", 0, top=1)
    assert short.call == "explain(model, image, 'relu', target=0, top=1)"
    long = explain(model, image, "relu", 0, class_names=["a long name"] * 9)
    lines = long.call.split("\n")
    assert lines[:3] == ["explain(", "    model, image, 'relu',", "    target=0,"]
    assert lines[-1] == ")"


def test_imports_are_public_and_said_once(model, image) -> None:
    asked = {
        "quantity": ClassScore(0) - ClassScore(1),
        "distribution": LinearPath(0.0, 3, "gausslegendre"),
    }
    found = explain(model, image, Cut("relu", "input"), **asked)
    assert found.asked.imports == (
        "from captum_influence import ClassScore, Cut, LinearPath, explain",
    )


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, "None"),
        (True, "True"),
        (np.int64(3), "3"),
        (np.float32(0.5), "0.5"),
        (math.inf, 'float("inf")'),
        (-math.inf, 'float("-inf")'),
        (math.nan, 'float("nan")'),
        ("it's", '"it\'s"'),
        ((1,), "(1,)"),
        ([1, (2, "a")], "[1, (2, 'a')]"),
        ({"a": [1]}, "{'a': [1]}"),
        (slice(1, None), "slice(1, None, None)"),
        (torch.float16, "torch.float16"),
        (torch.tensor([1, 2]), "torch.tensor([1, 2])"),
        (torch.tensor([True]), "torch.tensor([True])"),
        (torch.tensor(0.5), "torch.tensor(0.5)"),
        (torch.tensor([0.5]).double(), "torch.tensor([0.5], dtype=torch.float64)"),
        (torch.zeros(0, 3), "torch.zeros((0, 3), dtype=torch.float32)"),
        (torch.ones(40), "torch.full((40,), 1.0)"),
        (torch.arange(40), "value"),
        (ClassScore((1, 2)), "ClassScore((1, 2))"),
        (Cut("a", "input", shared=True), "Cut('a', 'input', shared=True)"),
        (Cut("a", call=1, select="logits"), "Cut('a', call=1, select='logits')"),
        (Unit((0, slice(None)), reduce="max"), "Unit((0, slice(None, None, None)), reduce='max')"),
    ],
)
def test_values_as_python_writes_them(value: Any, code: str) -> None:
    assert code_of(value) == code


@pytest.mark.parametrize(
    "value",
    [
        torch.tensor([math.nan, math.inf, -math.inf, 1.0]),
        torch.full((5, 9), math.inf),
        torch.tensor([1, 2], dtype=torch.int32),
        torch.tensor([0.1], dtype=torch.bfloat16),
        torch.zeros(0),
        torch.zeros(2, 0, 3),
        torch.tensor([[True, False]]),
    ],
)
def test_a_tensor_that_is_written_out_is_the_same_tensor(value: Tensor) -> None:
    back = eval(code_of(value), {"torch": torch})
    assert back.dtype == value.dtype
    assert back.shape == value.shape
    torch.testing.assert_close(back, value, equal_nan=True, rtol=0, atol=0)


def test_the_versions_are_those_that_are_installed() -> None:
    versions = installed_versions()
    assert versions["torch"] == version("torch")
    assert set(versions) == {"captum-influence", "torch", "captum", "numpy"}


def test_a_target_and_a_layer_without_data_go_by_name() -> None:
    def verb(model: nn.Module, target: int, layer: str | None = None) -> Asked:
        return Asked.of(verb, locals())

    asked = verb(nn.Identity(), 3, "relu")
    assert asked.call == "verb(model, target=3, layer='relu')"
    assert asked.settings == {"target": 3, "layer": "relu"}


def test_a_part_of_an_answer_is_asked_for_through_the_whole(model, image) -> None:
    found = explain(model, image, "relu", 0, top=1)
    part = found.asked.at(".layers").at('["relu"]')
    assert part.call == """explain(model, image, 'relu', target=0, top=1).layers["relu"]"""
    assert found.call.endswith("top=1)")


def test_a_method_is_called_on_its_object() -> None:
    class LayerScore:
        def over(self, images: Tensor, *, top: int = 3) -> Asked:
            return Asked.of(LayerScore.over, locals())

    asked = LayerScore().over(torch.zeros(2), top=1)
    assert asked.call == "layer_score.over(images, top=1)"
    assert asked.imports == ()


def test_a_name_that_python_keeps_for_itself_is_changed() -> None:
    def verb(model: nn.Module, **options: Any) -> Asked:
        return Asked.of(verb, {"model": model, "options": options})

    asked = verb(nn.Identity(), **{"lambda": object()})
    assert asked.names == ("model", "lambda_")


def test_a_finding_among_the_arguments_is_asked_for_by_itself(model, image) -> None:
    def verb(model: nn.Module, *, beside: Any) -> Asked:
        return Asked.of(verb, locals())

    found = explain(model, image, "relu", 0)
    assert verb(model, beside=found).call == "verb(model, beside=beside)"


def test_a_network_beside_the_first_is_called_by_a_name(model) -> None:
    def verb(model: nn.Module, *, other: nn.Module) -> Asked:
        return Asked.of(verb, locals())

    asked = verb(model, other=Expert(model, "relu", [0]))
    assert asked.call == "verb(model, other=other)"
