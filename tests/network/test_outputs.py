"""Which tensor of what a network returns is meant: found by its name, or said by ``output=``."""

import copy
import dataclasses
from collections import OrderedDict, namedtuple
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from captum_influence import (
    ClassScore,
    Cut,
    Point,
    class_rankings,
    combine,
    compare,
    counterfactual,
    essence,
    expert_curves,
    explain,
    explain_layers,
    pair,
    prototype,
    rank_layers,
    relevance,
)
from captum_influence.attr.run import Run
from captum_influence.metrics import ablate_units, flip_pixels
from captum_influence.network.inputs import network_of
from captum_influence.network.outputs import answering, scores_in, tensor_of
from tests.asking import again

SCORES, OTHER = torch.rand(2, 3), torch.rand(2, 5)
Outputs = namedtuple("Outputs", ["logits", "aux_logits"])


@dataclasses.dataclass
class Output:
    hidden: Any
    logits: Any = None


MEANT = [
    SCORES,
    {"logits": SCORES, "hidden": OTHER},
    {"out": SCORES, "aux": OTHER},
    OrderedDict(out=SCORES, aux=OTHER),
    Output(OTHER, SCORES),
    Output(SCORES),
    SimpleNamespace(logits=SCORES, hidden=OTHER),
    Outputs(SCORES, None),
    Outputs(SCORES, OTHER),
    {"scores": SCORES},
    {"scores": SCORES, "loss": torch.tensor(0.3)},
    {"scores": SCORES, "labels": torch.tensor([1, 2])},
    (SCORES,),
    [SCORES],
]


@pytest.mark.parametrize("returned", MEANT)
def test_the_tensor_that_is_clearly_meant_is_found(returned: Any) -> None:
    assert tensor_of(returned) is SCORES
    assert scores_in(returned) is SCORES


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        ({"a": SCORES, "b": OTHER}, r"with {'a': 'Tensor', 'b': 'Tensor'}.*output='a'"),
        ((SCORES, OTHER), "a tuple with .*output=0"),
        ({"a": {"b": SCORES, "c": OTHER}}, r"output='\.\.\.', or a function"),
        ({}, "returned a dict:"),
        (None, "returned a NoneType:"),
        ({"ids": torch.tensor([1])}, "with {'ids': 'Tensor'}"),
    ],
)
def test_where_it_is_not_clear_the_error_names_output(returned: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        tensor_of(returned)
    assert scores_in(returned) is None


def test_the_cures_of_the_error_run() -> None:
    returned = {"a": SCORES, "b": OTHER}
    assert tensor_of(returned, "a") is SCORES
    assert tensor_of(returned, lambda found: found["b"]) is OTHER


@pytest.mark.parametrize(
    ("returned", "output"),
    [
        ({"a": SCORES, "b": OTHER}, "a"),
        (Output(OTHER, SCORES), "logits"),
        (Outputs(OTHER, SCORES), "aux_logits"),
        (SimpleNamespace(x=SCORES, y=OTHER), "x"),
        ((OTHER, SCORES), 1),
        ([OTHER, SCORES], -1),
        ({3: SCORES}, 3),
        ((OTHER, {"deep": SCORES}), lambda found: found[1]["deep"]),
    ],
)
def test_output_names_it(returned: Any, output: Any) -> None:
    assert tensor_of(returned, output) is SCORES


@pytest.mark.parametrize(
    ("returned", "output", "error", "words"),
    [
        ({"a": SCORES}, "b", ValueError, "no output='b' in .* a dict with {'a': 'Tensor'}"),
        (SCORES, "logits", ValueError, r"a tensor of shape \(2, 3\): name another, or leave"),
        (SCORES, 0, ValueError, r"no output=0 in .* a tensor of shape \(2, 3\)"),
        ((SCORES,), 1, ValueError, "no output=1"),
        ({"a": (SCORES, OTHER)}, "a", TypeError, "got a tuple by output='a'"),
        ({"a": SCORES}, len, TypeError, "got a int by output="),
    ],
)
def test_what_output_does_not_name_is_refused(returned, output, error, words) -> None:
    with pytest.raises(error, match=words):
        tensor_of(returned, output)


class Net(nn.Module):
    """Two heads: one is asked about, and the other would answer otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu = nn.Conv2d(3, 6, 3), nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flat = nn.Flatten()
        self.head, self.other = nn.Linear(6, 3), nn.Linear(6, 3)
        self.scale = nn.Parameter(torch.ones(3))

    def heads(self, x: Tensor) -> tuple[Tensor, Tensor]:
        flat = self.flat(self.pool(self.relu(self.conv(x))))
        return self.head(flat), self.other(flat)


class Plain(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.heads(x)[0]


class Logits(Net):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        main, other = self.heads(x)
        return {"other": other, "logits": main}


class Two(Net):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        main, other = self.heads(x)
        return {"other": other, "main": main}


def first_of(returned: dict[str, Tensor]) -> Tensor:
    return returned["main"]


@pytest.fixture(scope="module")
def nets() -> dict[str, Net]:
    torch.manual_seed(3)
    plain = Plain().eval()
    found: dict[str, Net] = {"plain": plain, "logits": Logits().eval(), "two": Two().eval()}
    for net in found.values():
        net.load_state_dict(plain.state_dict())
    return found


torch.manual_seed(4)
IMAGES = torch.rand(8, 3, 8, 8)
LABELS = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])
LOADER = [(IMAGES, LABELS)]
IMAGE = IMAGES[:1]


def _wrong(net: nn.Module) -> int:
    with torch.no_grad():
        return int(tensor_of(net(IMAGE), None if not isinstance(net, Two) else "main").argmin())


VERBS = {
    "explain": lambda net, **o: explain(net, IMAGE, "relu", distribution=Point(), **o),
    "explain_layers": lambda net, **o: explain_layers(
        net, IMAGE, ["conv", "relu"], distribution=Point(), **o
    ),
    "counterfactual": lambda net, **o: counterfactual(
        net, IMAGE, "relu", true=_wrong(net), controls=2, **o
    ),
    "essence": lambda net, **o: essence(net, LOADER, "relu", 1, examples=1, **o),
    "pair": lambda net, **o: pair(net, LOADER, "relu", 0, 1, examples=1, **o),
    "prototype": lambda net, **o: prototype(net, 0, size=8, steps=2, **o),
    "compare": lambda net, **o: compare(net, IMAGES, "relu", 1, points=3, **o),
    "relevance": lambda net, **o: relevance(net, IMAGES, 1, tolerance=1e9, **o),
    "expert_curves": lambda net, **o: expert_curves(net, LOADER, "relu", 1, {"x": [0, 1]}, **o),
    "class_rankings": lambda net, **o: class_rankings(net, LOADER, "relu", 1, **o)["conductance"],
    "combine": lambda net, **o: combine(net, IMAGES, {"relu": [0, 1]}, 1, **o),
    "rank_layers": lambda net, **o: rank_layers(net, IMAGES, ["conv", "relu"], **o),
    "ablate_units": lambda net, **o: ablate_units(net, IMAGES, "relu", ClassScore(1), **o),
}
DATA = {"loader": LOADER, "image": IMAGE, "inputs": IMAGES}


def told(found: Any) -> Any:
    """Return all that a finding says, without what differs from call to call."""
    told_, passing = found.to_dict(), ("call", "settings", "seconds", "network", "versions", "took")

    def kept(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: kept(v) for k, v in value.items() if k not in passing}
        if isinstance(value, list):
            return [kept(v) for v in value]
        return pytest.approx(value, rel=1e-4, abs=1e-6) if isinstance(value, float) else value

    return kept(told_)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_takes_logits_by_itself_and_another_tensor_by_output(nets, verb) -> None:
    ask, right = VERBS[verb], VERBS[verb](nets["plain"])
    assert told(right) == told(ask(nets["logits"]))
    before = copy.deepcopy(nets["two"].state_dict())
    for output in ("main", first_of):
        found = ask(nets["two"], output=output)
        assert told(right) == told(found)
        assert found.call.count("output=") == 1
        if verb in ("explain", "pair", "counterfactual", "relevance"):
            assert found.network == "Two"
        assert told(right) == told(again(found, model=nets["two"], **DATA))
    with pytest.raises(TypeError, match="output="):
        ask(nets["two"])
    assert all(torch.equal(v, before[k]) for k, v in nets["two"].state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in nets["two"].modules())


def test_output_is_a_field_of_run_too(nets) -> None:
    ask = VERBS["explain"]
    found = ask(nets["two"], run=Run(output="main"))
    assert told(found) == told(ask(nets["plain"]))
    assert "run=Run(output='main')" in found.call


def test_pictures_are_flipped_in_a_network_that_returns_more(nets) -> None:
    maps = torch.rand(8, 1, 8, 8)
    found = [
        flip_pixels(nets[name], IMAGES, maps, ClassScore(1), patch=4, **options)
        for name, options in (("plain", {}), ("logits", {}), ("two", {"output": "main"}))
    ]
    assert told(found[0]) == told(found[1]) == told(found[2])


class TestAnswering:
    def test_its_layers_are_the_networks_own_by_the_same_names(self, nets) -> None:
        inner = nets["two"]
        outer = network_of(inner, "main")
        assert dict(outer.named_parameters()).keys() == dict(inner.named_parameters()).keys()
        assert all(a is b for a, b in zip(outer.parameters(), inner.parameters(), strict=True))
        assert outer.get_submodule("conv") is inner.conv
        assert type(outer).__name__ == "Two"

    def test_a_layer_may_be_the_network_itself(self, nets) -> None:
        cut = Cut(nets["two"], "input")
        found = explain(nets["two"], IMAGE, cut, distribution=Point(), output="main")
        right = explain(nets["plain"], IMAGE, Cut("", "input"), distribution=Point())
        assert torch.allclose(found.values, right.values)

    def test_its_mode_is_the_networks(self) -> None:
        class Dropping(nn.Module):
            def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
                return x, nn.functional.dropout(x, 0.5, self.training)

        inner = Dropping()
        outer = answering(inner, 1)
        x = torch.ones(4, 50)
        assert outer.training
        assert not torch.equal(outer(x), x)
        assert torch.equal(outer.eval()(x), x)
        assert not inner.training

    def test_a_copy_whose_layer_is_replaced_runs_the_new_one(self, nets) -> None:
        copied = copy.deepcopy(answering(nets["two"], "main"))
        copied.head = nn.Linear(6, 7)
        assert copied(IMAGE).shape == (1, 7)
        assert nets["two"](IMAGE)["main"].shape == (1, 3)
