"""A slice reads, overwrites and roots, and leaves everything as it was found.

Truth: the gradient of the rest of the network with respect to the tensor, written by hand.
"""

import dataclasses
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from captum_influence import Cut, DistributionalInfluence, Point
from captum_influence.network import Slice
from captum_influence.network.substitution import reruns

X = torch.sin(torch.arange(12, dtype=torch.float64)).reshape(4, 3)


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


def _in_place_network() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(3, 4), Doubled(), nn.Unflatten(1, (2, 2)), nn.Flatten(), Doubled(),
        nn.ReLU(inplace=True), nn.Linear(4, 4), nn.ELU(inplace=True), nn.Linear(4, 2),
    ).double()  # fmt: skip


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
    ("idel", ValueError, r"no layer named 'idel'; it has idle, aside, first"),
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


def test_a_function_works_with_modules() -> None:
    model = Awkward()
    ours = DistributionalInfluence(lambda x: model(x), model.first).attribute(X, target=1)
    assert torch.allclose(ours, DistributionalInfluence(model, "first").attribute(X, target=1))


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


# Where the network comes from ---------------------------------------------------------------------


def _plain() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.Tanh(), nn.Linear(3, 2))).double()


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


class Boxes(nn.Sequential):
    """Returns for each picture what it finds there, as detectors do."""

    def forward(self, x: Tensor) -> list[dict[str, Tensor]]:
        return [{"scores": scores} for scores in super().forward(x)]


def test_where_a_replay_finds_fewer_nothing_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A detector drops what is below its threshold, where rounding may put a box."""
    network, x = Boxes(nn.Linear(3, 4), nn.Linear(4, 5)).eval(), torch.rand(2, 3)
    whole, replays = Slice.read, []

    def fewer(self: Slice, *args: Any, overwrite: Any = None, **settings: Any) -> Any:
        reading = whole(self, *args, overwrite=overwrite, **settings)
        if overwrite is None:
            return reading
        replays.append(reading)
        output = [{"scores": one["scores"][1:]} for one in reading.output]
        return dataclasses.replace(reading, output=output)

    monkeypatch.setattr(Slice, "read", fewer)
    with reruns(network, Cut("1", "input"), x) as runs:
        assert replays
        assert torch.equal(runs.output[1]["scores"], network(x)[1]["scores"])
