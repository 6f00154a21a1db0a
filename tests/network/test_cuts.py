"""Cuts name a place in a network, and pick the right tensor there.

Truth: the gradient of the rest of the network with respect to the tensor, written by hand.
"""

from collections import OrderedDict, namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from captum_influence import Cut, DistributionalInfluence, Point
from captum_influence.network.cuts import (
    concatenated,
    layer_name,
    mapped,
    substituted,
    tensors_in,
    unwrapped,
)
from captum_influence.reports.asked import Asked

X = torch.sin(torch.arange(12, dtype=torch.float64)).reshape(4, 3)
Pair = namedtuple("Pair", ["first", "second"])


@dataclass
class Record:
    hidden: Tensor
    note: str = "kept"


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(3)


def _influence(model: nn.Module, layer: Any, x: Any = X, target: Any = 1, **settings: Any) -> Any:
    settings.setdefault("distribution", Point())
    return DistributionalInfluence(model, layer, **settings).attribute(x, target=target)


def _gradient(onward: Callable[[Tensor], Tensor], units: Tensor) -> Tensor:
    units = units.detach().clone().requires_grad_()
    return torch.autograd.grad(onward(units)[:, 1].sum(), units)[0]


# What passes a cut -------------------------------------------------------------------------------


class Structured(nn.Module):
    """A layer that wraps its tensor in some structure, and a network that unwraps it."""

    class Wrap(nn.Module):
        def __init__(self, wrap: Callable[[Tensor], Any]) -> None:
            super().__init__()
            self.linear, self.wrap = nn.Linear(3, 4).double(), wrap

        def forward(self, x: Tensor) -> Any:
            return self.wrap(self.linear(x).tanh())

    def __init__(self, wrap: Callable[[Tensor], Any], unwrap: Callable[[Any], Tensor]) -> None:
        super().__init__()
        self.wrap, self.unwrap = Structured.Wrap(wrap), unwrap
        self.last = nn.Linear(4, 2).double()

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.unwrap(self.wrap(x)) ** 2)


STRUCTURES = {
    "tuple, by index": (lambda z: (3, z), lambda s: s[1], 1),
    "list, by index": (lambda z: [z, None], lambda s: s[0], 0),
    "tuple, by default": (lambda z: (z, "text", torch.arange(4)), lambda s: s[0], None),
    "dict": (lambda z: {"h": z, "n": 2}, lambda s: s["h"], "h"),
    "ordered dict": (lambda z: OrderedDict(h=z), lambda s: s["h"], "h"),
    "dataclass": (lambda z: Record(z), lambda s: s.hidden, "hidden"),
    "named tuple": (lambda z: Pair(0, z), lambda s: s.second, "second"),
    "nested": (
        lambda z: {"a": [Record(z)]},
        lambda s: s["a"][0].hidden,
        lambda s: s["a"][0].hidden,
    ),
}


@pytest.mark.parametrize("name", STRUCTURES)
def test_a_tensor_is_picked_out_of_a_structure(name: str) -> None:
    wrap, unwrap, select = STRUCTURES[name]
    model = Structured(wrap, unwrap)
    units = model.wrap.linear(X).tanh()
    expected = _gradient(lambda z: model.last(z**2), units)
    assert torch.allclose(_influence(model, Cut("wrap", select=select)), expected, atol=1e-14)


def test_all_tensors_of_a_tuple_are_attributed() -> None:
    model = Structured(lambda z: (z, z + 1), lambda s: s[0] * s[1])
    found = _influence(model, "wrap")
    units = model.wrap.linear(X).tanh().detach()
    assert isinstance(found, tuple)
    left = _gradient(lambda z: model.last((z * (units + 1)) ** 2), units)
    right = _gradient(lambda z: model.last((units * z) ** 2), units + 1)
    assert torch.allclose(found[0], left, atol=1e-13)
    assert torch.allclose(found[1], right, atol=1e-13)


def test_a_tensor_that_is_returned_twice_counts_once_for_each_place() -> None:
    model = Structured(lambda z: (z, z), lambda s: s[0] * s[1])
    units = model.wrap.linear(X).tanh().detach()
    expected = _gradient(lambda z: model.last((z * units) ** 2), units)
    for found in _influence(model, "wrap"):
        assert torch.allclose(found, expected, atol=1e-14)


@pytest.mark.parametrize(
    ("select", "message"),
    [
        ("nothing", "select='nothing' is not in .* dict with keys"),
        (lambda s: s["nothing"], "which holds a dict with keys"),
    ],
)
def test_a_selection_that_is_not_there_names_what_is(select: Any, message: str) -> None:
    model = Structured(lambda z: {"h": z}, lambda s: s["h"])
    with pytest.raises(ValueError, match=message):
        _influence(model, Cut("wrap", select=select))


def test_a_structure_needs_a_selection() -> None:
    model = Structured(lambda z: {"h": z}, lambda s: s["h"])
    with pytest.raises(TypeError, match=r"holds no floating-point tensor but a dict.*select="):
        _influence(model, "wrap")


def test_a_selection_must_be_a_tensor() -> None:
    model = Structured(lambda z: {"h": z, "n": 2}, lambda s: s["h"])
    with pytest.raises(TypeError, match="picked a int"):
        _influence(model, Cut("wrap", select="n"))


# Which module is meant ----------------------------------------------------------------------------


class Reused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear, self.last = nn.Linear(3, 3).double(), nn.Linear(3, 2).double()
        self.alias = self.linear

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.alias(self.linear(x).tanh()).tanh())


def test_a_module_goes_by_all_of_its_names() -> None:
    model = Reused()
    assert torch.equal(
        _influence(model, Cut("alias", call=1)), _influence(model, Cut("linear", call=1))
    )


def test_names_need_a_module() -> None:
    model = _plain()
    with pytest.raises(ValueError, match=r"'first' was named, but the network is a function"):
        DistributionalInfluence(lambda x: model(x), "first").attribute(X, target=1)


@pytest.mark.parametrize("side", ["inside", 3])
def test_a_side_is_input_or_output(side: Any) -> None:
    with pytest.raises(ValueError, match='side="output" or side="input", got'):
        Cut("first", side)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_scripted_modules_are_refused_as_layers_and_accepted_elsewhere() -> None:
    scripted = torch.jit.script(nn.Sequential(nn.Tanh(), nn.Linear(3, 2)).double())
    model = nn.Sequential(nn.Linear(3, 3).double(), scripted)
    with pytest.raises(TypeError, match=r"scripted or traced module.*the network it was made from"):
        _influence(model, "1.0")
    assert torch.allclose(_influence(model, "0"), _gradient(scripted, model[0](X)))
    _influence(model, "0", sample_at="0", multiply_by_inputs=True)


def _plain() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.Tanh(), nn.Linear(3, 2))).double()


def test_data_parallel_on_one_device() -> None:
    model = _plain()
    expected = _influence(model, "1.0")
    parallel = nn.DataParallel(model)
    for layer in ("1.0", "module.1.0", model[1][0]):
        assert torch.equal(_influence(parallel, layer), expected)


@pytest.mark.parametrize("call", [-1, 0.5, "first"])
def test_a_call_is_counted_from_the_first(call: object) -> None:
    with pytest.raises(ValueError, match="expected call as an int from 0"):
        Cut("layer", call=call)


def test_several_devices_are_refused() -> None:
    with pytest.raises(ValueError, match=r"names 2 devices.*torchrun"):
        DistributionalInfluence(_plain(), "0", device_ids=[0, 1]).attribute(X, target=1)
    parallel = nn.DataParallel(_plain())
    parallel.device_ids = [0, 1]
    with pytest.raises(ValueError, match=r"runs on 2 devices.*torchrun"):
        _influence(parallel, "0")


def test_layers_are_named_with_what_matters() -> None:
    model = _plain()
    assert layer_name(model, Cut("1.0")) == layer_name(model, Cut(model[1][0])) == "1.0"
    assert layer_name(model, Cut("1", "input", call=2)) == "1 (input), call 2"
    assert layer_name(model, Cut(model)) == "Sequential"
    assert str(Cut(model[0], "input", call=1)) == "input of Linear (call 1)"


def test_what_is_no_layer_is_refused() -> None:
    with pytest.raises(TypeError, match="Module or its dotted name as a layer, got int"):
        Cut(7)  # type: ignore[arg-type]


@pytest.mark.parametrize("windows", [0, 1.5])
def test_windows_are_counted_from_one(windows: Any) -> None:
    with pytest.raises(ValueError, match="windows as an int from 1"):
        Cut("1.0", windows=windows)


def test_windows_are_neither_shared_nor_in_a_basis() -> None:
    with pytest.raises(ValueError, match="cut at the output of the block"):
        Cut("1.0", "input", shared=True, windows=2)


def _asking(model: nn.Module, inputs: Any, *, cut: Cut) -> Asked:
    return Asked.of(_asking, locals())


@pytest.mark.parametrize(
    ("cut", "code"),
    [
        (Cut("1.0"), "Cut('1.0')"),
        (Cut("1.0", "input", call=0), "Cut('1.0', 'input', call=0)"),
        (Cut("1.0", select="h"), "Cut('1.0', select='h')"),
        (Cut("1.0", select=tensors_in), "Cut('1.0', select=tensors_in)"),
        (Cut("1.0", "input", windows=4), "Cut('1.0', 'input', windows=4)"),
    ],
)
def test_a_cut_is_printed_as_it_is_written(cut: Cut, code: str) -> None:
    asked = _asking(_plain(), X, cut=cut)
    assert asked.keywords["cut"] == code
    known: dict[str, Any] = {}
    exec("\n".join(asked.imports), known)
    assert vars(eval(code, known)) == vars(cut)


def test_a_module_is_printed_by_its_name_in_the_network() -> None:
    model = _plain()
    assert _asking(model, X, cut=Cut(model[1][0], "input")).keywords["cut"] == "Cut('1.0', 'input')"
    assert _asking(model, X, cut=Cut(model)).keywords["cut"] == "Cut(model)"
    elsewhere = _asking(model, X, cut=Cut(nn.Tanh()))
    assert elsewhere.keywords["cut"] == "Cut(layer)"
    assert elsewhere.names == ("model", "inputs", "layer")


# Structures of tensors ----------------------------------------------------------------------------


class Bag(dict):  # type: ignore[type-arg]
    """A mapping of a user's own, as transformers return."""


def _structure() -> Any:
    return {"a": [torch.ones(2, 1), 3], "b": (Record(torch.zeros(2)), Pair(torch.ones(2), None))}


def test_tensors_are_found_in_order() -> None:
    assert [tuple(t.shape) for t in tensors_in(_structure())] == [(2, 1), (2,), (2,)]
    assert tensors_in("no tensor") == []


def test_a_structure_keeps_its_types_and_what_is_no_tensor() -> None:
    found = mapped(lambda tensor: tensor + 1, _structure())
    assert found["a"][1] == 3
    record, pair = found["b"]
    assert (type(record), record.note) == (Record, "kept")
    assert (type(pair), pair.second) == (Pair, None)
    assert [float(t.flatten()[0]) for t in tensors_in(found)] == [2, 1, 2]
    assert type(mapped(lambda tensor: tensor, Bag(a=torch.ones(1)))) is Bag


def test_tensors_are_replaced_by_identity() -> None:
    old, other = torch.ones(1), torch.ones(1)
    new = torch.zeros(1)
    found = substituted([old, (other, old), 3], (old,), (new,))
    assert found[0] is found[1][1] is new
    assert found[1][0] is other
    each = substituted([old, old], (old, old), (new, other))
    assert each[0] is new
    assert each[1] is other


def test_structures_are_joined_by_rows() -> None:
    parts = [{"h": torch.full((n, 2), float(n)), "scale": torch.tensor(5.0)} for n in (1, 2)]
    joined = concatenated(parts)
    assert joined["h"].tolist() == [[1, 1], [2, 2], [2, 2]]
    assert joined["scale"] == 5  # a number has no rows
    assert concatenated(parts[:1]) is parts[0]


def test_wrappers_are_opened() -> None:
    model = _plain()
    assert unwrapped(model) is model
    assert unwrapped(nn.DataParallel(nn.DataParallel(model))) is model
    assert unwrapped(torch.compile(model, backend="eager")) is model
