"""The user's model is left as it was found, also on error; and clear errors."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from captum_influence.network.recording import Recorder, quiet, restored_weights


def _model() -> nn.Sequential:
    model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.BatchNorm1d(4), nn.Linear(4, 2))
    model.train()
    model[2].eval()
    model[0].weight.requires_grad_(False)
    return model


def _face(model: nn.Module) -> tuple[object, ...]:
    modes = [m.training for m in model.modules()]
    flags = [p.requires_grad for p in model.parameters()]
    hooks = [len(m._forward_hooks) for m in model.modules()]
    values = [v.clone() for v in model.state_dict().values()]
    return modes, flags, hooks, [p.grad for p in model.parameters()], values, torch.get_rng_state()


def _assert_same(found: tuple[object, ...], wanted: tuple[object, ...]) -> None:
    assert found[:4] == wanted[:4]
    for a, b in zip(found[4], wanted[4], strict=True):
        assert torch.equal(a, b)
    assert torch.equal(found[5], wanted[5])


@pytest.mark.parametrize("fails", [False, True])
def test_everything_is_put_back(fails: bool) -> None:
    model = _model()
    before = _face(model)
    try:
        with Recorder(model, {"0": model[0], "3": model[3]}) as recorder, torch.no_grad():
            pass
        with Recorder(model, {"0": model[0], "3": model[3]}) as recorder:
            assert not model.training
            out = recorder.run((torch.randn(5, 3),))
            recorder.pull_back(out, torch.ones_like(out), last=True)
            if fails:
                raise KeyError
    except KeyError:
        pass
    _assert_same(_face(model), before)


def test_works_under_no_grad_and_inference_mode() -> None:
    model, x = _model(), torch.randn(5, 3)
    for mode in (torch.no_grad(), torch.inference_mode()):
        with mode, Recorder(model, {"0": model[0]}) as recorder:
            out = recorder.run((x,))
            record = recorder.pull_back(out, torch.ones_like(out), last=True)["0"]
            assert record.gradients[0].abs().sum() > 0


def _fail_inside(model: nn.Sequential) -> None:
    with quiet(model), restored_weights(model):
        model[0].weight.data.zero_()
        torch.randn(3)
        raise KeyError


def test_quiet_and_restored_weights_on_error() -> None:
    model = _model()
    before = _face(model)
    with pytest.raises(KeyError):
        _fail_inside(model)
    _assert_same(_face(model), before)


class Broken(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.layer, self.other = kind, nn.Linear(3, 2), nn.Linear(3, 2)

    def forward(self, x: Tensor) -> object:
        if self.kind == "silent":
            return self.layer(x)
        if self.kind == "tuple":
            return self.layer(x), self.other(x)
        if self.kind == "flattened":
            return self.layer(x.repeat(2, 1)).sum() + self.other(x)
        if self.kind == "disconnected":
            return self.layer(x) + self.other(x).detach()
        return self._in_place(x)

    def _in_place(self, x: Tensor) -> Tensor:
        x = x.clone()
        out = self.layer(x).detach() + self.other(x)
        x.zero_()
        return out


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        ("silent", RuntimeError, "never did"),
        ("tuple", TypeError, "return one tensor"),
        ("flattened", RuntimeError, "batch first"),
        ("disconnected", RuntimeError, "no gradient reaches"),
        ("in place", RuntimeError, "changed in place"),
    ],
)
def test_errors_name_the_layer_and_the_cure(
    kind: str, error: type[Exception], message: str
) -> None:
    model = Broken(kind)
    with pytest.raises(error, match=message):
        _pull_ones(model, {"layer": model.layer, "other": model.other})
    assert not any(m._forward_hooks for m in model.modules())


def _pull_ones(model: nn.Module, layers: dict[str, nn.Module]) -> None:
    with Recorder(model, layers) as recorder:
        out = recorder.run((torch.randn(5, 3),))
        recorder.pull_back(out, torch.ones_like(out), last=True)
