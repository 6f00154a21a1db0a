"""Cuts pick the right tensor anywhere, graphs start there, and everything is left as it was found.

Truth: the gradient of the rest of the network with respect to the tensor, written by hand.
"""

import copy
import pickle
import threading
from collections import OrderedDict, namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from captum_influence import Cut, DistributionalInfluence, LinearPath, Mixture, Point, Samples, Unit
from captum_influence.network import Slice

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


class Doubled(nn.Module):
    """An in-place module that isn't idempotent, so that running it twice shows."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mul_(2)


# What passes a cut --------------------------------------------------------------------------------


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


class ByKeyword(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.join, self.last = nn.Linear(3, 4), Join(), nn.Linear(4, 2)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(input=x)
        return self.last(input=self.join(hidden, scale=hidden.tanh()))


class Join(nn.Module):
    def forward(self, hidden: Tensor, *, scale: Tensor) -> Tensor:
        return hidden * scale


@pytest.mark.parametrize("layer", ["first", Cut("last", "input")])
def test_layers_called_by_keyword(layer: Any) -> None:
    model = ByKeyword()
    hidden = model.first(X)
    if layer == "first":
        expected = _gradient(lambda z: model.last(z * z.tanh()), hidden)
    else:
        expected = _gradient(model.last, hidden * hidden.tanh())
    assert torch.allclose(_influence(model, layer), expected, atol=1e-14)


def test_inputs_given_by_position_and_by_keyword_are_both_attributed() -> None:
    model = ByKeyword()
    hidden = model.first(X).detach()
    found = _influence(model, Cut("join", "input"))
    assert torch.allclose(found[0], _gradient(lambda z: model.last(z * hidden.tanh()), hidden))
    assert torch.allclose(found[1], _gradient(lambda z: model.last(hidden * z), hidden.tanh()))


class Reused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear, self.last = nn.Linear(3, 3).double(), nn.Linear(3, 2).double()
        self.alias = self.linear

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.alias(self.linear(x).tanh()).tanh())


def test_one_of_several_calls() -> None:
    model = Reused()
    first = model.linear(X)
    second = model.linear(first.tanh())
    expected = [
        _gradient(lambda z: model.last(model.linear(z.tanh()).tanh()), first),
        _gradient(lambda z: model.last(z.tanh()), second),
    ]
    found = _influence(model, [Cut("linear", call=0), Cut(model.linear, call=1)])
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, atol=1e-14)


def test_a_module_goes_by_all_of_its_names() -> None:
    model = Reused()
    assert torch.equal(
        _influence(model, Cut("alias", call=1)), _influence(model, Cut("linear", call=1))
    )


def test_layers_upstream_of_one_another_and_twice_the_same() -> None:
    torch.manual_seed(0)
    model = _in_place_network()
    cuts = ["0", "1", Cut("1", "input"), "3", "3", Cut("4", "input"), "4"]
    together = _influence(model, cuts)
    for cut, found in zip(cuts, together, strict=True):
        assert torch.equal(found, _influence(model, cut))


# In-place modules and views -----------------------------------------------------------------------


def _in_place_network() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(3, 4), Doubled(), nn.Unflatten(1, (2, 2)), nn.Flatten(), Doubled(),
        nn.ReLU(inplace=True), nn.Linear(4, 4), nn.ELU(inplace=True), nn.Linear(4, 2),
    ).double()  # fmt: skip


@pytest.mark.parametrize("name", [str(number) for number in range(9)])
@pytest.mark.parametrize("side", ["input", "output"])
def test_in_place_modules_on_either_side(name: str, side: Any) -> None:
    model = _in_place_network()
    cut = int(name) + (side == "output")
    with torch.no_grad():
        units = model[:cut](X.clone()) if cut else X.clone()
    expected = _gradient(lambda z: model[cut:](z.clone()), units)
    x = X.clone()
    assert torch.allclose(_influence(model, Cut(name, side), x), expected, atol=1e-14)
    assert torch.equal(x, X)


class Chunked(nn.Module):
    """Views of one layer, changed in place, one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.split, self.last = nn.Linear(3, 4), Split(), nn.Linear(2, 2)
        self.act = nn.ReLU(inplace=True)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        left, right = self.split(self.first(x).tanh())
        left = left.mul_(3)
        right = self.act(right)
        return self.last(left * right)


class Split(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return x.chunk(2, dim=1)


def test_views_before_in_place_modules() -> None:
    model = Chunked()
    with torch.no_grad():
        hidden = model.first(X)
    left, right = hidden.tanh().chunk(2, dim=1)
    found = _influence(model, ["first", "split"])

    def onward(z: Tensor) -> Tensor:
        a, b = z.tanh().chunk(2, dim=1)
        return model.last(3 * a * b.relu())

    assert torch.allclose(found[0], _gradient(onward, hidden), atol=1e-14)
    expected = _gradient(lambda z: model.last(3 * z * right.relu()), left)
    assert torch.allclose(found[1][0], expected, atol=1e-14)
    expected = _gradient(lambda z: model.last(3 * left * z.relu()), right)
    assert torch.allclose(found[1][1], expected, atol=1e-14)


@pytest.mark.parametrize("examples", [1, 4])
def test_in_place_modules_at_the_start_and_behind_the_points(examples: int) -> None:
    model = nn.Sequential(
        Doubled(), nn.Linear(3, 3), Doubled(), nn.Tanh(), nn.Linear(3, 2)
    ).double()
    x, far = X[:examples].clone(), torch.cos(X[:1])
    twice = Mixture([(0.5, Point()), (0.5, Point())])
    for where in (None, "1"):
        once = _influence(model, "1", x, sample_at=where)
        assert torch.allclose(_influence(model, "1", x, sample_at=where, distribution=twice), once)
        for baseline in (0.0, far if where is None else 2 * far):
            path = LinearPath(baseline, n=64)
            influence = DistributionalInfluence(
                model, "1", distribution=path, sample_at=where, multiply_by_inputs=True
            )
            _, delta = influence.attribute(x, target=1, return_convergence_delta=True)
            assert float(delta.abs().max()) < 1e-12
    samples = X.clone()
    _influence(model, "1", x, distribution=Samples(samples))
    assert torch.equal(x, X[:examples])
    assert torch.equal(samples, X)


# Errors, and what is left behind ------------------------------------------------------------------


def _state(model: nn.Module) -> list[Any]:
    modules, parameters = list(model.modules()), list(model.parameters())
    return [
        [(dict(m._forward_hooks), dict(m._forward_pre_hooks), m.training) for m in modules],
        [sorted(m.__dict__) for m in modules],
        [(p.requires_grad, p.grad, p._version) for p in parameters],
        torch.get_rng_state().tolist(),
        torch.is_grad_enabled(),
        torch.backends.mha.get_fastpath_enabled(),
    ]


class Awkward(nn.Module):
    """Layers that go wrong in every way a layer can."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.twice, self.idle = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 3)
        self.aside, self.last = nn.Linear(3, 3), nn.Linear(3, 2)
        self.gru = nn.GRU(3, 3)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        h = self.twice(self.twice(self.first(x)))
        self.aside(h)
        return self.last(h + self.gru(h.unsqueeze(0))[0].squeeze(0))


ERRORS = [
    ("frist", ValueError, r"no layer named 'frist'; it has first, twice, idle"),
    (nn.Linear(3, 3), ValueError, "the layer, a Linear, is not a module of the network"),
    (7, TypeError, "expected a torch.nn.Module or its dotted name as a layer, got int"),
    ("idle", RuntimeError, "the layer never ran: output of Linear was called 0 time"),
    ("twice", RuntimeError, r"ran 2 times in one forward pass.*call=0"),
    (Cut("twice", call=2), RuntimeError, r"never ran.*called 2 time"),
    ("aside", RuntimeError, "not upstream of the quantity"),
    ("gru", ValueError, r"examples in the first dimension.*\(1, 3, 3\).*batch_first"),
    ([], ValueError, "at least one layer"),
]


@pytest.mark.parametrize(("layer", "kind", "message"), ERRORS)
def test_a_bad_layer_is_named_and_nothing_is_left_behind(
    layer: Any, kind: type[Exception], message: str
) -> None:
    model = Awkward()
    model.first.weight.requires_grad_(False)
    model.last.weight.grad = torch.ones_like(model.last.weight)
    model.idle.train(False)
    before = _state(model)
    with pytest.raises(kind, match=message):
        _influence(model, layer)
    for now, then in zip(_state(model), before, strict=True):
        assert now == then


def test_an_error_inside_the_network_is_handed_on_and_nothing_is_left_behind() -> None:
    model = Awkward()
    before = _state(model)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        _influence(model, "first", torch.ones(2, 5).double())
    assert _state(model) == before


def test_names_need_a_module() -> None:
    model = Awkward()
    with pytest.raises(ValueError, match=r"'first' was named, but the network is a function"):
        DistributionalInfluence(lambda x: model(x), "first").attribute(X, target=1)


def test_a_function_works_with_modules() -> None:
    model = Awkward()
    ours = DistributionalInfluence(lambda x: model(x), model.first).attribute(X, target=1)
    assert torch.allclose(ours, DistributionalInfluence(model, "first").attribute(X, target=1))


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


@pytest.mark.parametrize(
    "norm", [nn.BatchNorm1d(3), nn.BatchNorm1d(3, track_running_stats=False).eval()]
)
def test_layers_that_couple_the_batch_are_refused(norm: nn.Module) -> None:
    model = nn.Sequential(nn.Linear(3, 3), norm, nn.Linear(3, 2)).double()
    with pytest.raises(
        RuntimeError, match=r"1, a BatchNorm1d, normalises over the batch.*eval\(\)"
    ):
        _influence(model, "0")


def test_batch_norm_in_eval_mode_is_as_it_was() -> None:
    norm = nn.BatchNorm1d(3).eval()
    model = nn.Sequential(nn.Linear(3, 3), norm, nn.Linear(3, 2)).double()
    _influence(model, "0")
    assert int(norm.num_batches_tracked) == 0


def test_the_mode_is_kept() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 2)).double()
    model[1].eval()
    _influence(model, "0")
    assert [m.training for m in model] == [True, False, True]


def test_points_of_the_wrong_shape_are_refused() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 2)).double()
    path = LinearPath(torch.ones(1, 5).double())
    with pytest.raises(ValueError, match=r"baseline of shape \(4, 3\).*got \(1, 5\)"):
        _influence(model, "0", sample_at="0", distribution=path)


# Where the network comes from ---------------------------------------------------------------------


def _plain() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.Tanh(), nn.Linear(3, 2))).double()


def test_copies_and_pickles() -> None:
    influence = DistributionalInfluence(
        _plain(), Cut("1.0", "input"), distribution=LinearPath(0.5), quantity=Unit(0)
    )
    expected = influence.attribute(X)
    for other in (copy.deepcopy(influence), pickle.loads(pickle.dumps(influence))):
        assert torch.equal(other.attribute(X), expected)


@pytest.mark.filterwarnings("ignore")  # torch's own, while it compiles
class TestCompiled:
    def test_whole(self) -> None:
        model = _plain()
        expected = _influence(model, "1.0")
        compiled = torch.compile(model, backend="eager")
        with torch.no_grad():
            compiled(X)
        for layer in ("1.0", "_orig_mod.1.0", model[1][0], Cut(model[1][0])):
            assert torch.equal(_influence(compiled, layer), expected)
        assert torch.equal(_influence(compiled, "1.0", measure_at=Cut(compiled)), expected)

    def test_in_place(self) -> None:
        model = _plain()
        expected = _influence(model, "1.0")
        model.compile(backend="eager")
        with torch.no_grad():
            model(X)
        assert torch.equal(_influence(model, "1.0"), expected)

    def test_a_part(self) -> None:
        model = _plain()
        expected = _influence(model, "1.0")
        model[1] = torch.compile(model[1], backend="eager")
        with torch.no_grad():
            model(X)
        assert torch.equal(_influence(model, "1._orig_mod.0"), expected)
        assert torch.equal(_influence(model, "0"), _influence(_plain(), "0"))
        assert torch.equal(_influence(model, model[1]), torch.eye(2)[1].expand(4, 2).double())

    def test_the_compiler_is_as_it_was(self) -> None:
        runs: list[Any] = []

        def backend(graph: Any, inputs: Any) -> Any:
            runs.append(graph)
            return graph.forward

        model = _plain()
        compiled = torch.compile(model, backend=backend)
        _influence(compiled, "0")
        assert not runs
        with torch.no_grad():
            compiled(X)
        assert runs


def test_data_parallel_on_one_device() -> None:
    model = _plain()
    expected = _influence(model, "1.0")
    parallel = nn.DataParallel(model)
    for layer in ("1.0", "module.1.0", model[1][0]):
        assert torch.equal(_influence(parallel, layer), expected)


def test_several_devices_are_refused() -> None:
    with pytest.raises(ValueError, match=r"names 2 devices.*torchrun"):
        DistributionalInfluence(_plain(), "0", device_ids=[0, 1]).attribute(X, target=1)
    parallel = nn.DataParallel(_plain())
    parallel.device_ids = [0, 1]
    with pytest.raises(ValueError, match=r"runs on 2 devices.*torchrun"):
        _influence(parallel, "0")


def test_a_fused_transformer_with_padding_runs_layer_by_layer() -> None:
    block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)

    class Padded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.last = nn.TransformerEncoder(block, 2), nn.Linear(8, 2)

        def forward(self, x: Tensor, padding: Tensor) -> Tensor:
            return self.last(self.encoder(x, src_key_padding_mask=padding)[:, 0])

    model = Padded().double().eval()
    x, padding = torch.randn(3, 5, 8).double(), torch.zeros(3, 5).bool()
    padding[0, 3:] = True
    found = DistributionalInfluence(model, "encoder.layers.0", distribution=Point()).attribute(
        x, target=1, additional_forward_args=padding
    )
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        units = model.encoder.layers[0](x, src_key_padding_mask=padding)
        mask = torch.zeros(3, 5).double().masked_fill(padding, -torch.inf)
        expected = _gradient(
            lambda z: model.last(model.encoder.layers[1](z, src_key_padding_mask=mask)[:, 0]), units
        )
    finally:
        torch.backends.mha.set_fastpath_enabled(True)
    assert torch.allclose(found, expected, atol=1e-12)


def test_checkpointed_blocks() -> None:
    class Checkpointed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.block, self.last = nn.Linear(3, 3), _plain(), nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(checkpoint(self.block, self.first(x), use_reentrant=False))

    model = Checkpointed().double()
    expected = _gradient(lambda z: model.last(model.block(z)), model.first(X))
    assert torch.allclose(_influence(model, "first"), expected, atol=1e-14)


# Threads ------------------------------------------------------------------------------------------


class Slow(nn.Sequential):
    """Lets the other threads run in the middle of a forward pass."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(3, 3), nn.ReLU(inplace=True), nn.Linear(3, 2))
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        for module in self:
            x = module(x)
            threading.Event().wait(0.001)
        return x


@pytest.mark.parametrize("as_function", [False, True])
def test_threads_share_a_model(as_function: bool) -> None:
    model = Slow()
    network = (lambda x: model(x)) if as_function else model
    inputs = [X + shift for shift in range(6)]
    layers = [model[0], model[1], model[2], model[0], model[1], model[0]]
    expected = [_influence(model, z, x) for z, x in zip(layers, inputs, strict=True)]
    before, found = _state(model), {}

    def work(number: int) -> None:
        found[number] = _influence(network, layers[number], inputs[number])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(6):
        assert torch.equal(found[number], expected[number])
    assert _state(model) == before


def test_threads_with_models_of_their_own_leave_the_process_as_it_was() -> None:
    import torch._dynamo  # the switch that they share exists once this is imported

    barrier = threading.Barrier(3)

    def work(pause: float) -> None:
        model = Slow()
        barrier.wait()
        threading.Event().wait(pause)
        _influence(model, "0")

    threads = [threading.Thread(target=work, args=(0.004 * number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    runs: list[Any] = []

    def backend(graph: Any, inputs: Any) -> Any:
        runs.append(graph)
        return graph.forward

    with torch.no_grad():
        torch.compile(lambda x: x + 1, backend=backend)(X)
    assert runs
    assert torch.backends.mha.get_fastpath_enabled()


# Replay -------------------------------------------------------------------------------------------


class Skipping(nn.Module):
    """A prefix that is needed behind the points, changed in place, reused and partly a view."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.shared, self.act = nn.Linear(3, 4), nn.Linear(4, 4), nn.ReLU(inplace=True)
        self.flat, self.last = nn.Flatten(), nn.Linear(4, 2)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        stem = self.flat(self.act(self.stem(x)).unsqueeze(2))
        once = self.shared(stem).tanh()
        return self.last(self.act(self.shared(once)) + once * stem.mul_(2))


@pytest.mark.parametrize("rows", [1, 3, 64])
def test_points_inside_a_network_whose_beginning_is_needed_again(rows: int) -> None:
    model, far = Skipping(), torch.cos(torch.arange(4, dtype=torch.float64))
    influence = DistributionalInfluence(
        model,
        Cut("shared", call=1),
        distribution=LinearPath(far, n=8),
        sample_at=Cut("shared", call=0),
    )
    found = influence.attribute(X, target=1, internal_batch_size=rows)
    with torch.no_grad():
        stem = model.stem(X).relu()
        origin = model.shared(stem)
    expected = torch.zeros_like(found)
    for weight, (point,), _ in LinearPath(far, n=8).points((origin,)):
        once = point.tanh()
        onward = lambda z, once=once: model.last(z.relu() + once * stem * 2)  # noqa: E731
        expected += weight * _gradient(onward, model.shared(once))
    assert torch.allclose(found, expected, atol=1e-13)


# The public slice ---------------------------------------------------------------------------------


def test_a_slice_reads_and_overwrites() -> None:
    model = _in_place_network()
    slice_ = Slice(model, [Cut("0"), Cut("4")])
    with slice_.opened():
        reading = slice_.read((X,), (), cuts=slice_.cuts)
        again = slice_.read((X,), (), overwrite={slice_.cuts[1]: 2 * reading.cuts[1][0][None]})
    assert torch.allclose(reading.cuts[0][0], model[0](X))
    assert torch.allclose(reading.output, model(X.clone()))
    assert torch.allclose(again.output, model[5:](2 * reading.cuts[1][0]))


# Networks that set the grad mode themselves ------------------------------------------------------


class Enabling(nn.Module):
    """Computes its features under a grad mode of its own, as networks with inner gradients do."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.act = nn.Linear(3, 4, dtype=torch.float64), nn.Tanh()
        self.last = nn.Linear(4, 2, dtype=torch.float64)

    def forward(self, x: Tensor) -> Tensor:
        with torch.enable_grad():
            slope = x.detach().clone().requires_grad_()
            (force,) = torch.autograd.grad(self.first(slope).sum(), slope)
            z = self.act(self.first(x + 0 * force.detach()))
        return self.last(z)


def test_a_grad_mode_of_the_networks_own_is_no_obstacle() -> None:
    model = Enabling()
    cut = Cut("first", call=1)
    units = model.first(X)
    expected = _gradient(lambda z: model.last(model.act(z)), units)
    assert torch.allclose(_influence(model, cut), expected, atol=1e-14)
