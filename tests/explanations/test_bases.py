"""Concepts beside channels, against a removal written by hand, in float64."""

import html

import pytest
import torch
from torch import Tensor, nn

from captum_influence import Cut, Dictionary, essence, explain
from captum_influence.explanations.bases import Bases

X = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
VECTORS = torch.rand(4, 9, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
CONCEPTS = Dictionary.of(VECTORS, nonnegative=True)
SAME = Dictionary(lambda z: z, lambda codes: codes)


@pytest.fixture
def model() -> nn.Sequential:
    torch.manual_seed(0)
    body = [nn.Conv2d(3, 9, 3), nn.ReLU(), nn.Conv2d(9, 4, 2), nn.Tanh(), nn.Flatten()]
    return nn.Sequential(*body, nn.Linear(36, 3)).double().eval()


def compared(model: nn.Module, basis: Dictionary, **options) -> Bases:
    found = explain(model, X, Cut("1", basis=basis), 1, top=2, **options).effects.bases
    assert found is not None
    return found


def slopes(model: nn.Sequential, z: Tensor) -> Tensor:
    z = z.detach().requires_grad_()
    (found,) = torch.autograd.grad(model[2:](z)[0, 1], z)
    return found


def test_channels_move_the_layer_as_far_as_the_concepts_do(model) -> None:
    found = compared(model, CONCEPTS, replace="zero")
    with torch.no_grad():
        z = model[:2](X)
        codes = CONCEPTS.encode(z)
    slope = slopes(model, z)
    concepts = (torch.einsum("bchw,kc->bkhw", slope, VECTORS) * codes).sum((0, 2, 3))
    first = concepts.argsort(descending=True)[:2].tolist()
    step = -torch.einsum("kc,bkhw->bchw", VECTORS[first], codes[:, first])
    channels = (slope * z).sum((0, 2, 3))
    changed, left, count = z.clone(), float(step.square().sum()), 0.0
    for channel in channels.argsort(descending=True).tolist():
        whole = float(z[0, channel].square().sum())
        part = min(1.0, max(left, 0.0) / whole) ** 0.5 if whole else float(left > 0)
        changed[0, channel] *= 1 - part
        left, count = left - whole, count + part
    assert float((changed - z).norm()) == pytest.approx(float(step.norm()))
    with torch.no_grad():
        score = [float(model[2:](at)[0, 1]) for at in (z, z + step, changed)]
    assert (found.concepts, found.channels, found.shown) == (4, 9, 2)
    assert found.concepts_effect == pytest.approx(score[0] - score[1])
    assert found.channels_effect == pytest.approx(score[0] - score[2])
    assert found.as_far == pytest.approx(count)
    assert found.moved == pytest.approx(float(step.norm() / z.norm()))
    ordered = channels.sort(descending=True)[0]
    assert found.channels_share == pytest.approx(float(ordered[:2].sum() / ordered.abs().sum()))


def test_channels_as_concepts_are_no_better_than_channels(model) -> None:
    found = compared(model, SAME, replace=0.25)
    assert found.channels_effect == pytest.approx(found.concepts_effect)
    assert found.channels_share == pytest.approx(found.concepts_share)
    assert (found.as_far, found.channels) == (pytest.approx(2), found.concepts)
    assert found.better == "channels"
    assert "without basis=" in found.in_words("q")


def test_the_page_says_which_basis_is_better(model) -> None:
    found = explain(model, X, Cut("1", basis=CONCEPTS), 1, top=2)
    said = found.effects.together_in_words(found.quantity)
    assert "The first 2 of 4 concepts hold" in said
    assert f"{found.effects.bases.better} carry more of it here" in said
    assert said in html.unescape(found.page().html())
    assert "4 given directions" in html.unescape(found.page().html())
    assert found.to_dict()["effects"]["bases"]["channels"] == 9


def test_an_essence_compares_over_the_pictures_of_the_class(model) -> None:
    images = torch.rand(6, 3, 6, 6, generator=torch.Generator().manual_seed(4)).double()
    labels = torch.tensor([0, 0, 0, 1, 1, 2])
    found = essence(model, [(images, labels)], Cut("1", basis=CONCEPTS), 0, top=2)
    assert found.effects.bases.concepts == 4
    assert "4 given directions" in html.unescape(found.page().html())
    plain = essence(model, [(images, labels)], "1", 0, top=2)
    assert plain.effects.bases is None


def test_places_have_no_channels_beside_them(model) -> None:
    found = explain(model, X, Cut("1", basis=CONCEPTS), 1, top=2, axis="position")
    assert found.effects.bases is None
