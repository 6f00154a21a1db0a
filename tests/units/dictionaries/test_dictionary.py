"""Concepts wherever units are taken: beside channels, and beside what is done by hand."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from captum_influence import (
    ClassScore,
    Cut,
    Dictionary,
    DistributionalInfluence,
    Expert,
    InfluenceProfile,
    Point,
    compare,
    counterfactual,
    essence,
    explain,
    prototype,
    rank_layers,
    rank_units,
    relevance,
)
from captum_influence.metrics import ablate_units
from captum_influence.network.reading import activations
from captum_influence.testing import check_finding
from captum_influence.units import Geometry, MeanActivation

VECTORS = torch.tensor(
    [
        [0.8, 0.0, 0.6, 0.0, 0.0, 0.0],
        [0.0, 0.6, 0.0, 0.8, 0.0, 0.0],
        [0.1, 0.0, 0.0, 0.0, 0.7, 0.7],
    ]
)
CONCEPTS = Dictionary.of(VECTORS, nonnegative=True, about="three parts made up")
CUT = Cut("1", basis=CONCEPTS)


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(3)
    layers = (nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 4, 3), nn.Tanh())
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(4 * 36, 3)).eval()


@pytest.fixture
def images() -> Tensor:
    return torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(4))


def test_an_expert_without_a_concept_is_the_hook_by_hand(network, images) -> None:
    z = network[:2](images)
    codes = CONCEPTS.encode(z)
    changed = codes.clone()
    changed[:, 1] = codes.mean(dim=0)[1]
    expected = network[2:](z - CONCEPTS.decode(codes) + CONCEPTS.decode(changed))
    mean = MeanActivation.of([codes.detach()])
    found = Expert(network, CUT, [1], "remove", mean)(images)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    ranked = rank_units(codes, top=1, axis="concept")
    named = Expert(network, CUT, ranked.units, "remove", mean)
    by_number = Expert(network, CUT, [ranked.units[0].index[0]], "remove", mean)
    assert torch.equal(named(images), by_number(images))


def test_where_nothing_is_put_back_gradients_see_no_basis(network, images) -> None:
    """Training, say, goes on: with the codes as they are, the network is the network."""
    images = images.requires_grad_()
    (own,) = torch.autograd.grad(network(images).sum(), images)
    with Expert(network, CUT, [0, 1, 2], "keep"):
        (kept,) = torch.autograd.grad(network(images).sum(), images)
    torch.testing.assert_close(kept, own, rtol=0, atol=1e-6)


def test_what_an_expert_put_there_is_what_is_read_there(network, images) -> None:
    """Coded anew, the error term would bring a removed concept back."""
    with Expert(network, CUT, [0], "remove"):
        assert not bool(activations(network, images, CUT)[:, 0].any())


def test_explain_estimates_and_removes_concepts(network, images) -> None:
    found = explain(network, images[0], CUT, 1, top=2, loader=[images])
    assert found.units[0].unit.name.startswith("concept ")
    z = network[:2](images[:1]).detach()
    codes = CONCEPTS.encode(z).requires_grad_()
    error = z - CONCEPTS.decode(codes).detach()
    score = network[2:](CONCEPTS.decode(codes) + error)[0, 1]
    (slope,) = torch.autograd.grad(score, codes)
    mean = CONCEPTS.encode(network[:2](images).detach()).mean(dim=0)
    expected = (slope * (codes - mean)).sum((0, 2, 3)).detach()
    torch.testing.assert_close(found.values, expected, rtol=1e-4, atol=1e-5)
    first = found.units[0].unit.index[0]
    changed = codes.detach().clone()
    changed[:, first] = mean[first]
    left = network[2:](CONCEPTS.decode(changed) + error)[0, 1]
    assert found.effects.alone[0] == pytest.approx(float((score - left).detach()), abs=1e-5)
    assert found.units[0].examples[0].box is not None
    assert "basis=Dictionary.of(" in found.call
    assert 'about="three parts made up"' in found.call.replace("'", '"')
    check_finding(found, {"model": network, "image": images[0], "loader": [images]})


def test_groups_and_positions_of_concepts_are_units_too(network, images) -> None:
    whole = explain(network, images[0], CUT, 1, top=1)
    grouped = explain(network, images[0], CUT, 1, top=1, axis={"pair": [0, 2], "other": [1]})
    assert float(grouped.values[0]) == pytest.approx(float(whole.values[[0, 2]].sum()), abs=1e-5)
    places = explain(network, images[0], CUT, 1, top=1, axis="position")
    assert tuple(places.values.shape) == (8, 8)
    named = explain(network, images[0], CUT, 1, top=1, axis="concept")
    assert torch.equal(named.values, whole.values)


def test_the_other_verbs_take_concepts(network, images) -> None:
    labels = network(images).argmax(1)
    loader = [(images, labels)]
    said = int(labels[0])
    ranking = rank_layers(network, images, [CUT, "2"], said)
    assert {unit.axis for unit in ranking} == {"concept", "channel"}
    righted = counterfactual(network, images[0], CUT, true=(said + 1) % 3, interpret=False)
    assert {unit.axis for unit in righted.units} <= {"concept"}
    found = essence(network, loader, CUT, said, top=2)
    assert found.units[0].unit.axis == "concept"
    assert prototype(network, layer=CUT, unit=1, size=8, steps=2).history[-1] > 0
    effects = ablate_units(network, images, CUT, ClassScore(said))
    assert effects.effects.shape[-1] == 3


def test_a_profile_of_concepts_is_the_mean_of_their_influences(network, images) -> None:
    measure = DistributionalInfluence(network, CUT, distribution=Point(), quantity=ClassScore(0))
    profile = InfluenceProfile.over(measure, [(images, torch.zeros(6).long())])
    expected = measure.attribute(images).double().sum((2, 3)).mean(0)
    torch.testing.assert_close(profile.mean(), expected)


def test_places_of_concepts_look_where_those_of_channels_do(network, images) -> None:
    assert Geometry.of(network, images, CUT) == Geometry.of(network, images, "1")


@pytest.mark.parametrize("verb", [compare, relevance])
def test_methods_of_a_layer_s_own_channels_refuse_a_basis(network, images, verb) -> None:
    given = {"layers": [CUT]} if verb is relevance else {}
    args = (network, images, 0) if verb is relevance else (network, images, CUT, 0)
    with pytest.raises(ValueError, match="own channels"):
        verb(*args, **given)


def test_maps_need_an_encode_that_can_be_differentiated(network, images) -> None:
    blind = Dictionary(lambda z: z.detach(), lambda codes: codes)
    with pytest.raises(RuntimeError, match="encode of a Dictionary"):
        explain(network, images[0], Cut("1", basis=blind), 0)


def test_an_autoencoder_s_own_weights_are_left_alone(network, images) -> None:
    torch.manual_seed(0)
    up, down = nn.Conv2d(6, 9, 1), nn.Conv2d(9, 6, 1)
    basis = Dictionary(lambda z: up(z).relu(), down)
    found = explain(network, images[0], Cut("1", basis=basis), 0, top=2)
    assert found.effects.bases.concepts == 9
    assert up.weight.requires_grad
    assert up.weight.grad is None
    assert "Dictionary(encode, decode=decode)" in found.call


def test_concepts_need_a_basis(network, images) -> None:
    with pytest.raises(ValueError, match="basis=Dictionary"):
        explain(network, images[0], "1", 0, axis="concept")


def test_a_shared_cut_has_no_codes() -> None:
    with pytest.raises(ValueError, match="nobody reads"):
        Cut("1", "input", shared=True, basis=CONCEPTS)


@pytest.mark.parametrize("basis", [3, nn.Identity(), "concepts"])
def test_what_is_no_basis_is_refused(basis) -> None:
    with pytest.raises(TypeError, match=r"Dictionary\(encode, decode\)"):
        Cut("1", basis=basis)


def test_functions_are_asked_for() -> None:
    with pytest.raises(TypeError, match=r"Dictionary\.of\(vectors\)"):
        Dictionary(VECTORS, VECTORS)


def test_a_dictionary_is_saved_and_loaded(tmp_path: Path) -> None:
    own = Dictionary.of(VECTORS, offset=torch.ones(6), axis=-1, about="made up")
    again = Dictionary.load(own.save(tmp_path / "concepts.safetensors"))
    z = torch.rand(2, 4, 6)
    assert torch.equal(again.encode(z), own.encode(z))
    assert (again.axis, again.about, again.in_words()) == (-1, "made up", "made up")
    with pytest.raises(ValueError, match="their own weights"):
        Dictionary(torch.relu, torch.relu).save(tmp_path / "none")


def test_it_says_what_it_is() -> None:
    assert Dictionary.of(VECTORS).in_words() == "3 given directions"
    assert "was given" in Dictionary(torch.relu, torch.relu).in_words()
