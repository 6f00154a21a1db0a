"""Weights come out of checkpoints, and the model is as it was."""

from pathlib import Path

import pytest
import torch
from torch import nn

from captum_influence.training.checkpoints import Weights, load_checkpoint


def _net(value: float) -> nn.Linear:
    net = nn.Linear(2, 1)
    nn.init.constant_(net.weight, value)
    nn.init.constant_(net.bias, value)
    return net


@pytest.mark.parametrize(
    ("wrap", "rate"),
    [
        (lambda state: state, 1.0),
        (lambda state: {"state_dict": state, "learning_rate": 0.25}, 0.25),
        (lambda state: {"model_state_dict": state, "epoch": 3}, 1.0),
        (lambda state: {**state, "learning_rate": 0.5}, 0.5),
    ],
)
def test_checkpoints_of_the_usual_forms_are_loaded(tmp_path: Path, wrap, rate: float) -> None:
    torch.save(wrap(_net(3.0).state_dict()), tmp_path / "net.pt")
    net = _net(1.0)
    assert load_checkpoint(net, tmp_path / "net.pt") == rate
    assert net.weight.tolist() == [[3.0, 3.0]]


def test_networks_and_state_dicts_need_no_file() -> None:
    for given in (_net(3.0), _net(3.0).state_dict(), {"state_dict": _net(3.0).state_dict()}):
        net = _net(1.0)
        assert load_checkpoint(net, given) == 1.0
        assert net.weight.tolist() == [[3.0, 3.0]]


def test_weights_are_read_without_changing_the_model(tmp_path: Path) -> None:
    for value in (2, 3):
        torch.save(_net(value).state_dict(), tmp_path / f"{value}.pt")
    net = _net(1.0)
    found = Weights.load(net, [tmp_path / "2.pt", tmp_path / "3.pt"], load_checkpoint)
    assert net.bias.item() == 1.0
    found[1].into(net)
    assert net.bias.item() == 3.0
    assert [weights.learning_rate for weights in found] == [1.0, 1.0]


def test_without_a_checkpoint_the_model_is_taken_as_it_is() -> None:
    net = _net(1.0)
    (found,) = Weights.load(net, None, load_checkpoint)
    found.into(net)
    assert (found.state, net.bias.item()) == (None, 1.0)
    with pytest.raises(ValueError, match="at least one checkpoint"):
        Weights.load(net, [], load_checkpoint)
