"""A transformer's parts are what it was built of, and their slices what the network computes."""

import attending
import pytest
import torch
from torch import Tensor, nn

from captum_influence.attr.distributions import Point
from captum_influence.attr.influence import DistributionalInfluence
from captum_influence.attr.quantities import Function
from captum_influence.network.anatomy.anatomy import Anatomy


@pytest.mark.parametrize("which", [0, 1])
def test_influences_of_heads_and_neurons_are_those_of_hooks_by_hand(which: int) -> None:
    model, ids = attending.reader(), torch.tensor([[3, 1, 4, 1, 5]])
    block = Anatomy.of(model, ids).blocks[which]
    assert block.neurons is not None
    last = Function(lambda scores: scores[:, -1, 7])
    for cut in (block.attentions[0].cut, block.neurons.cut):
        measure = DistributionalInfluence(model, cut, distribution=Point(), quantity=last)
        found = measure.attribute(ids)
        expected = _gradient(model, str(cut.module), ids)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def _gradient(model: nn.Module, name: str, ids: Tensor) -> Tensor:
    entering: list[Tensor] = []
    module = dict(model.named_modules())[name]
    handle = module.register_forward_pre_hook(lambda module, args: entering.append(args[0]))
    score = model(ids)[:, -1, 7].sum()
    handle.remove()
    return torch.autograd.grad(score, entering[0])[0]


def test_it_says_itself_in_lines() -> None:
    assert str(Anatomy.of(attending.reader())).splitlines() == [
        "blocks, from words",
        "  blocks.0: 4 heads of 2, 2 of keys, at blocks.0.attention.out, 12 neurons at "
        "blocks.0.down",
        "  blocks.1: 4 heads of 2, 2 of keys, at blocks.1.attention.out, 12 neurons at "
        "blocks.1.down",
    ]


def test_the_network_is_left_as_it_was() -> None:
    model = attending.encoder().train()
    state, random = [m.training for m in model.modules()], torch.get_rng_state()
    Anatomy.of(model)
    assert [m.training for m in model.modules()] == state
    assert torch.equal(torch.get_rng_state(), random)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
