"""What passes a place, forwards and backwards, beside hooks set by hand."""

import pytest
import torch
from torch import Tensor, nn

from captum_influence import Cut
from captum_influence.network.reading import activations, gradients, one_tensor, output_of
from captum_influence.testing.state import unchanged

IMAGES = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0)).double()


def by_hand(model: nn.Module, module: nn.Module) -> Tensor:
    kept: list[Tensor] = []
    handle = module.register_forward_hook(lambda *args: kept.append(args[2].detach().clone()))
    model(IMAGES)
    handle.remove()
    return kept[0]


def test_it_is_what_the_layer_returns(model) -> None:
    expected = by_hand(model, model.eyes)
    with unchanged(model):
        found = activations(model, IMAGES, Cut("eyes"))
    assert torch.equal(found, expected)
    assert not found.requires_grad


def test_the_input_of_a_layer_is_a_place_too(model) -> None:
    expected = by_hand(model, model.eyes)
    assert torch.equal(activations(model, IMAGES, Cut("relu", "input")), expected)


def test_the_output_is_the_network_s(model) -> None:
    before = IMAGES.clone()
    with unchanged(model):
        found = output_of(model, IMAGES)
    assert torch.equal(found, model(IMAGES).detach())
    assert torch.equal(IMAGES, before)


@pytest.mark.parametrize("layer", ["eyes", "head"])
def test_gradients_that_arrive_are_those_of_autograd(layer: str) -> None:
    torch.manual_seed(0)
    eyes, head = nn.Conv2d(3, 2, 4).double(), nn.Linear(50, 3).double()
    model = nn.Sequential()
    model.eyes, model.flat, model.head = eyes, nn.Flatten(), head
    seen = model.eyes(IMAGES)
    out = model.head(model.flat(seen))
    (expected,) = torch.autograd.grad(out[:, 0].sum(), seen if layer == "eyes" else out)
    leaf = IMAGES.clone().requires_grad_()
    with unchanged(model), gradients(model, Cut(layer)) as kept:
        for scale in (1.0, 2.0):  # one entry for each backward pass
            torch.autograd.grad((scale * model(leaf)[:, 0]).sum(), leaf)
    torch.testing.assert_close(kept[0], expected)
    torch.testing.assert_close(kept[1], 2 * expected)


def test_without_a_graph_nothing_arrives(model) -> None:
    with torch.no_grad(), gradients(model, Cut("relu")) as kept:
        model(IMAGES)
    assert kept == []


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ((IMAGES, IMAGES), "2 tensors: pick one of its tensors with"),
        ((torch.zeros(()),), "got a number"),
    ],
)
def test_one_tensor_is_asked_for(tensors, message) -> None:
    with pytest.raises(TypeError, match=message):
        one_tensor(tensors, Cut("relu"))
    assert one_tensor((IMAGES,), Cut("relu")) is IMAGES
