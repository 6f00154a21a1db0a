"""Equal questions are told alike, different ones apart, whatever they are made of."""

import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from captum_influence import ClassScore, Distribution, Function, LinearPath, Noise, Samples
from captum_influence.attr.points import WeightedPoint
from captum_influence.data.identity import digest_of_weights, told


@dataclass
class Noted:
    a: int
    made: list[int] = field(default_factory=list, init=False)


def first(output: torch.Tensor) -> torch.Tensor:
    return output[:, 0]


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.arange(3),
        lambda: {"a": [torch.ones(2), None], "b": (1, "x", 2.5)},
        lambda: ClassScore(1) - 2 * ClassScore(0),
        lambda: LinearPath(torch.zeros(1, 2), 4, "riemann_middle"),
        lambda: Noted(1),
        lambda: first,
        lambda: torch.float64,
        lambda: {"b", "a"},
        lambda: np.arange(3),
        lambda: torch.eye(2).to_sparse(),
        lambda: nn.Sequential(nn.Linear(2, 2).requires_grad_(False), nn.Dropout(0.2))[1:],
        lambda: functools.partial(first, 3),
        lambda: Noise(torch.distributions.Normal(0.0, torch.ones(2))),
        lambda: TensorDataset(torch.zeros(2)),
        object,
    ],
)
def test_the_same_is_told_alike_and_fits_into_json(make: Callable[[], Any]) -> None:
    assert told(make()) == told(make())
    assert json.loads(json.dumps(told(make()))) == told(make())


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (torch.zeros(2), torch.zeros(2, 1)),
        (torch.zeros(2), torch.zeros(2, dtype=torch.float64)),
        (torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.0])),
        ([1, 2], [2, 1]),
        ({"a": 1}, {"b": 1}),
        (ClassScore(0), ClassScore(1)),
        (Noise(0.1, 2, seed=0), Noise(0.1, 2, seed=1)),
        (LinearPath(0.0, 4), LinearPath(0.0, 8)),
        (lambda y: y[:, 0], lambda y: y[:, 1]),
        (first, lambda y: y[:, 0]),
        (torch.relu, torch.sigmoid),
        (Noise, LinearPath),
        (1, 1.0),
        (np.zeros(2), np.ones(2)),
        ({1, 2}, {1, 3}),
        (functools.partial(first, 3), functools.partial(first, 4)),
        ({"a": 1}.get, {"a": 2}.get),
        (Noise(torch.distributions.Normal(0.0, 1.0)), Noise(torch.distributions.Normal(0.0, 2.0))),
        (Samples(lambda x: torch.stack([x, x])), Samples(lambda x: torch.stack([x, -x]))),
        (nn.CrossEntropyLoss(), nn.CrossEntropyLoss(ignore_index=3)),
        (nn.Sequential(nn.ReLU()), nn.Sequential(nn.Tanh())),
        (nn.Dropout(0.1), nn.Dropout(0.1).eval()),
        (TensorDataset(torch.zeros(2)), TensorDataset(torch.zeros(3))),
    ],
)
def test_what_differs_is_told_apart(a: Any, b: Any) -> None:
    assert told(a) != told(b)


def test_fields_that_are_no_arguments_do_not_count() -> None:
    one, other = Noted(1), Noted(1)
    other.made.append(3)
    assert told(one) == told(other)


# Functions, and what they hold


def _closed(value: Any) -> Callable[..., Any]:
    return lambda output: output[:, value]


def _with_default(value: Any) -> Callable[..., Any]:
    def read(output: Tensor, place: Any = value, *, factor: Any = 1) -> Tensor:
        return output[:, place] * factor

    return read


def _reading(name: str, value: Any) -> Callable[..., Any]:
    """Return a function that reads a global of this value."""
    code = compile(f"lambda output: [{name} for _ in output]", "<file>", "eval")
    made: Callable[..., Any] = eval(code, {name: value, "__name__": "somewhere"})
    return made


class Grouping:
    """Something that can be called."""

    def __init__(self, count: Any) -> None:
        self.count = count

    def __call__(self, inputs: Any, labels: Any) -> Any:
        return [int(label) % self.count for label in labels]

    def method(self, labels: Any) -> Any:
        return labels


class Corners(Distribution):
    """A distribution of the user's own."""

    def __init__(self, size: Any) -> None:
        self.size_ = size

    def points(self, origin: tuple[Tensor, ...]) -> Any:
        yield WeightedPoint(1.0, tuple(x + self.size_ for x in origin))


MAKERS: dict[str, Callable[[Any], Any]] = {
    "closure": _closed,
    "default": _with_default,
    "global": lambda value: _reading("PLACE", value),
    "helper of the same module": lambda value: _reading("helper", _closed(value)),
    "closure of a closure": lambda value: _closed(_closed(value)),
    "object": Grouping,
    "method": lambda value: Grouping(value).method,
    "partial": lambda value: functools.partial(first, value),
    "distribution": Corners,
    "quantity": lambda value: 2 * Function(_closed(value)),
}
VALUES = [0, 1, "a", (0, 1), torch.zeros(2), torch.ones(2), np.ones(3), {"a": 1}, {"a": 2}, None]


@pytest.mark.parametrize("maker", MAKERS)
def test_what_a_function_holds_is_part_of_it(maker: str) -> None:
    found = [told(MAKERS[maker](value)) for value in VALUES]
    assert found == [told(MAKERS[maker](value)) for value in VALUES]
    assert all(a != b for i, a in enumerate(found) for b in found[:i])


KINDS = ("", "@property\n", "@staticmethod\n", "@classmethod\n")


def _compiled(source: str) -> Any:
    space: dict[str, Any] = {"__name__": "somewhere"}
    exec(compile(source, "<file>", "exec"), space)
    return next(v for v in space.values() if isinstance(v, FunctionType | type))


@pytest.mark.parametrize(
    "sources",
    [
        ("def f(x): return x + 1", "def f(x): return x + 2"),
        ("def f(x): return x.mean()", "def f(x): return x.sum()"),
        ("def f(x): return [y + 1 for y in x]", "def f(x): return [y + 2 for y in x]"),
        ("def f(x): return x in {1, 2}", "def f(x): return x in {1, 3}"),
        *((f"class A:\n {kind} def f(*_): return {n}" for n in (1, 2)) for kind in KINDS),
    ],
)
def test_code_counts_wherever_it_stands(sources: Iterable[str]) -> None:
    one, other = sources
    assert told(_compiled(one)) != told(_compiled(other))
    assert told(_compiled(one)) == told(_compiled("\n\n" + one))


def test_functions_that_call_each_other_are_told() -> None:
    def ping(n: int) -> int:
        return pong(n - 1) if n else 0

    def pong(n: int) -> int:
        return ping(n - 1) if n else 1

    assert told(ping) == told(ping) != told(pong)


@dataclass
class Ring:
    me: Any = None


def test_what_holds_itself_is_told() -> None:
    ring = Ring()
    ring.me = ring
    assert told(ring) == ["Ring", {"me": "Ring"}, *told(Ring())[2:]]


# Networks


def _net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, 3))


def test_weights_and_buffers_count_by_their_places() -> None:
    whole = told(_net())
    assert whole == told(_net())
    for name, change in (
        ("0.weight", lambda t: t.mul_(-1)),
        ("0.weight", lambda t: t.copy_(t.flip(0))),  # the same numbers in other places
        ("1.running_mean", lambda t: t.add_(1)),
        ("1.num_batches_tracked", lambda t: t.add_(1)),
    ):
        net = _net()
        with torch.no_grad():
            change(net.state_dict()[name])
        assert told(net)[0] == whole[0]
        assert told(net)[1] != whole[1]


def test_a_digest_of_weights_knows_names_types_and_shapes() -> None:
    zeros = torch.zeros(4)
    states = [
        {"a": zeros},
        {"b": zeros},
        {"a": zeros.double()},
        {"a": zeros.reshape(2, 2)},
        {"a": zeros, "b": torch.zeros(0)},
        {"a": zeros.bfloat16()},
    ]
    digests = [digest_of_weights(state) for state in states]
    assert len(set(digests)) == len(digests)


SCRIPT = """
import json, sys
sys.path.insert(0, {folder!r})
from asked import MADE
from captum_influence.data.identity import told
print(json.dumps([told(value) for value in MADE]))
"""
ASKED = """
import torch
from torch import nn
from captum_influence import Function, Noise
NAMES = {"b", "a", "c"}
PLACE = {"x": 1}
torch.manual_seed(0)
class Own(nn.Module):
    def forward(self, x):
        return x in {"p", "q", "r"}
def helper(x):
    return x in {"p", "q", "r"} and PLACE
MADE = [NAMES, Function(lambda x: helper(x)), Noise(0.1), Own(), nn.Linear(2, 2), object(), helper]
"""


def test_it_is_the_same_in_another_process(tmp_path: Path) -> None:
    (tmp_path / "asked.py").write_text(ASKED)
    found = []
    for seed in ("1", "2"):
        run = subprocess.run(
            [sys.executable, "-c", SCRIPT.format(folder=str(tmp_path))],
            env={
                **os.environ,
                "PYTHONHASHSEED": seed,
                "PYTHONPATH": str(Path(__file__).parents[2]),
            },
            capture_output=True,
            text=True,
            check=True,
        )
        found.append(json.loads(run.stdout))
    assert found[0] == found[1]
