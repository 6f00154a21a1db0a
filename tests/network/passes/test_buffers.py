from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from captum_influence import DistributionalInfluence, LinearPath
from captum_influence.network.passes.buffers import Stand, changed_by


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls = self.calls + 1  # another tensor, not the same one changed
        return x * 1.0


def _network(kind: str) -> tuple[nn.Sequential, Tensor]:
    torch.manual_seed(0)
    middle: Any = {
        "instance": nn.InstanceNorm2d(3, track_running_stats=True),
        "spectral": spectral_norm(nn.Conv2d(3, 3, 1)),
        "counter": Counting(),
    }[kind]
    layers = nn.Conv2d(2, 3, 3), middle, nn.Tanh(), nn.Flatten(), nn.Linear(27, 2)
    return nn.Sequential(*layers).double().train(), torch.randn(3, 2, 5, 5, dtype=torch.float64)


@pytest.mark.parametrize("kind", ["instance", "spectral", "counter"])
def test_buffers_are_as_they_were_and_calls_agree(kind: str) -> None:
    model, x = _network(kind)
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    influence = DistributionalInfluence(model, ["0", "2"], distribution=LinearPath(0.0, 4))
    first = influence.attribute(x, target=1)
    for name, buffer in model.named_buffers():
        torch.testing.assert_close(buffer, before[name], rtol=0, atol=0)
    for a, b in zip(first, influence.attribute(x, target=1), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    rows = influence.attribute(x, target=1, internal_batch_size=1)
    for a, b in zip(first, rows, strict=True):
        torch.testing.assert_close(a, b)


def test_the_error_in_between_puts_them_back_too() -> None:
    model, x = _network("instance")
    model[4] = nn.Identity()
    before = model[1].running_mean.clone()
    with pytest.raises(ValueError, match="target"):
        DistributionalInfluence(model, "0").attribute(x, target=99)
    torch.testing.assert_close(model[1].running_mean, before, rtol=0, atol=0)


def test_what_changes_is_told_by_its_content() -> None:
    norm = nn.BatchNorm1d(2)  # counts no version of its running statistics
    with changed_by([norm]) as changed:
        norm(torch.randn(4, 2))
    assert {name for _, name in changed} == {"running_mean", "running_var", "num_batches_tracked"}
    torch.testing.assert_close(norm.running_mean, torch.zeros(2))


def test_a_stand_begins_anew_each_time() -> None:
    module = Counting()
    own, stand = module.calls, Stand([(module, "calls")])
    for _ in range(2):
        stand.begin()
        module(torch.zeros(1))
        assert float(module.calls) == 1.0
    stand.end()
    assert module.calls is own
    assert float(own) == 0.0
