"""What a class is to a network with two eyes, whose answers are known in closed form."""

import math

import pytest
import torch
from eyeing import RED, red_scenes
from torch import Tensor, nn

from captum_influence import (
    Essence,
    Expert,
    HeldOut,
    Point,
    class_rankings,
    essence,
    expert_curves,
)
from captum_influence.experts.rankings import EVERY
from captum_influence.units.units_of import UnitsOf


@pytest.fixture
def found(model) -> Essence:
    asked = {"top": 2, "examples": 2, "smoothing": 0, "class_names": ["red", "green"]}
    return essence(model, red_scenes(), "relu", 0, by="influence", replace="zero", **asked)


def test_means_and_standard_errors_are_those_of_the_closed_form(found) -> None:
    first = found.units[0]
    assert first.unit.index == (0,)
    assert first.influence == pytest.approx(1.0)  # one of four positions counts, with weight 1
    assert first.influence_error == pytest.approx(0.0, abs=1e-12)
    assert first.contribution == pytest.approx(16 * float(RED.mean()))
    assert first.contribution_error == pytest.approx(16 * float(RED.std()) / math.sqrt(len(RED)))
    assert first.unit.share == pytest.approx(1.0)
    assert found.count == len(RED)
    assert first.unit.standard_error == first.influence_error  # by influence
    assert found.against == ()


def test_activity_tells_the_class_from_the_rest(found) -> None:
    first = found.units[0]
    assert first.unit.activation == pytest.approx(16 * float(RED.mean()) / 4)  # over positions
    assert first.outside == pytest.approx(0.0)
    assert [example.label_name for example in first.active][:4] == ["red"] * 4


def test_a_unit_is_shown_where_it_contributes_most(found) -> None:
    looks = found.units[0].looks
    assert [look.example.value for look in looks] == pytest.approx([16.0, 12.0])
    for look in looks:
        assert look.example.label == 0
        assert float(look.seen.map.sum()) == pytest.approx(look.example.value)
        inside = torch.zeros(8, 8, dtype=torch.bool)
        inside[:4, :4] = True
        assert bool((look.seen.mask <= inside).all())
    assert found.units[1].looks[0].seen.crop is None  # a unit that nothing speaks through


def test_the_number_of_an_example_is_its_place_in_the_loader(model, found) -> None:
    everything = torch.cat([images for images, _ in red_scenes()])
    for look in found.units[0].looks:
        shown = everything[look.example.number]
        assert float(shown[0, 0, 0]) * 16 == pytest.approx(look.example.value)


def test_experts_are_those_of_the_profile(model, found) -> None:
    by, k = found.chosen
    assert by == "influence"
    assert k == found.kept.best_k["influence"]
    own = found.expert(model)
    profile = found.influences
    given = {"model": model, "layer": "relu", "loader": red_scenes()}
    auto = Expert.from_profile(profile, 0, k="auto", ks=found.kept.ks, **given)
    assert own.selection.indices == auto.selection.indices
    for images, _ in red_scenes():
        assert torch.equal(own(images), auto(images))


def test_removal_is_counted_as_it_happens(model, found) -> None:
    rankings = {"influence": [row.unit for row in found.units]}
    slow = expert_curves(model, red_scenes(), "relu", 0, rankings, ks=[1], mode="remove")
    assert found.removed.curve("recall", "influence")[0] == slow.curve("recall", "influence")[0]
    assert found.removed.whole == slow.whole
    assert found.needed == 1


def test_random_rankings_count_together(found) -> None:
    hits = [row.hits + row.misses for row in found.removed.counts["random"]]
    assert set(hits) == {5 * len(RED)}
    assert set(found.removed.counts) == set(EVERY) - {"conductance"}


def test_contributions_count_from_the_mean_unless_it_is_said(model) -> None:
    found = essence(model, red_scenes(), "relu", 0, top=2)
    images = torch.cat([images for images, _ in red_scenes()])
    change = 16 * float(RED.mean() - images[:, 0, 0, 0].mean())
    assert found.by == "contribution"
    first = found.units[0]
    assert (first.unit.index, first.unit.value) == ((0,), pytest.approx(change))
    effects = found.effects
    assert effects.estimates[0] == effects.alone[0] == pytest.approx(change)
    assert effects.inputs == len(RED)
    assert effects.replacement == "its mean activation"
    assert found.facts["replace"] == found.facts["counts_from"] == "its mean activation"


def test_both_rankings_agree_with_class_rankings(model) -> None:
    for by in ("influence", "contribution"):
        ours = essence(model, red_scenes(), "relu", 0, by=by, top=3, distribution=Point())
        theirs = class_rankings(
            model, red_scenes(), "relu", 0, by=[by], ends="top", distribution=Point()
        )[by]
        assert [row.unit.index for row in ours.units] == [unit.index for unit in theirs]
        assert [row.unit.value for row in ours.units] == pytest.approx([u.value for u in theirs])


def test_held_out_pictures_are_what_experts_are_tried_on(model) -> None:
    held_out = red_scenes(torch.tensor([0.7], dtype=torch.float64), others=2)
    found = essence(model, red_scenes(), "relu", 0, held_out=held_out)
    assert found.removed.whole.hits + found.removed.whole.misses == 1
    assert found.held_out
    assert found.count == len(RED)


def test_how_it_is_tried_may_be_said_whole_or_in_parts(model) -> None:
    others = red_scenes(others=2)
    whole = essence(model, red_scenes(), "relu", 0, held_out=HeldOut(others, (1, 2), "mean"))
    parts = essence(model, red_scenes(), "relu", 0, held_out=others, ks=(1, 2), replace="mean")
    assert whole.removed.counts == parts.removed.counts
    assert whole.removed.ks == (1, 2)
    with torch.no_grad():  # the means are those of the pictures that units were chosen by
        seen = model.relu(model.eyes(torch.cat([images for images, _ in red_scenes()])))
    rankings = {"influence": [row.unit for row in whole.units]}
    slow = expert_curves(
        model, others, "relu", 0, rankings, ks=(1, 2), mode="remove", replace=seen.mean(dim=0)
    )
    assert whole.removed.curve("recall", "influence") == slow.curve("recall", "influence")


def test_pictures_of_the_class_alone_have_no_rest(model) -> None:
    found = essence(model, red_scenes(others=0), "relu", 0, class_names=["red", "green"])
    assert found.kept is None
    assert found.chosen is None
    assert found.units[0].outside is None
    assert "rest" not in found.headline
    with pytest.raises(ValueError, match="expected pictures of other classes"):
        found.expert(model)


def test_the_network_is_left_as_it_was(model, found) -> None:
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()]
    state = torch.random.get_rng_state()
    essence(model, red_scenes(), "relu", 0)
    assert torch.equal(state, torch.random.get_rng_state())
    assert [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()] == hooks
    assert all(p.requires_grad for p in model.parameters())
    assert not model.training


def test_tokens_count_features() -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix, self.head = nn.Linear(3, 5), nn.Linear(5, 2)

        def forward(self, images: Tensor) -> Tensor:
            return self.head(self.mix(images.flatten(2).transpose(1, 2)).mean(dim=1))

    torch.manual_seed(0)
    images = torch.rand(6, 3, 4, 4)
    found = essence(Tokens().eval(), [(images, torch.tensor([0, 1] * 3))], "mix", 0, top=5)
    assert found.channels == 5
    assert len(found.units) == 5


def test_a_unit_is_an_entry_of_one_dimension(model) -> None:
    rows = essence(model, red_scenes(), UnitsOf("relu", 2), 0, top=2, by="influence")
    assert [row.unit.name for row in rows.units] == ["unit 0", "unit 1"]  # the red row, the other
    assert rows.kind == "unit"
    most = UnitsOf("relu", aggregate="max")
    largest = essence(model, red_scenes(), most, 0, replace="zero")
    assert largest.units[0].contribution == pytest.approx(16 * float(RED.mean()))
    for axis in ("position", {"both": [0, 1]}):
        with pytest.raises(ValueError, match="means over a data set are taken along one"):
            essence(model, red_scenes(), "relu", 0, axis=axis)


def test_a_class_and_what_is_asked_go_by_names(model) -> None:
    names = ["red", "green", "dark"]
    found = essence(
        model, red_scenes(), "relu", "red", quantity="green", replace="zero", class_names=names
    )
    assert (found.target, found.name, found.quantity) == (0, "red", "score(green)")
    assert found.units[0].unit.index == (1,)  # the second eye raises green


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"top": 0}, "expected top to be a positive number"),
        ({"by": "size"}, 'expected by="contribution" or by="influence"'),
        ({"smoothing": 99.0}, "expected smoothing as a standard deviation"),
        ({"ks": [9]}, "expected ks from 1 to the 3 ranked units"),
    ],
)
def test_mistakes_are_named(model, settings, message) -> None:
    with pytest.raises(ValueError, match=message):
        essence(model, red_scenes(), "relu", 0, **settings)


def test_loaders_that_will_not_do_are_refused(model) -> None:
    with pytest.raises(TypeError, match="several times, got a list_iterator"):
        essence(model, iter(red_scenes()), "relu", 0)
    with pytest.raises(TypeError, match="several times, got a list_iterator"):
        essence(model, red_scenes(), "relu", 0, held_out=iter(red_scenes()))
    series = [(torch.zeros(2, 3, 8, dtype=torch.float64), torch.tensor([0, 1]))]
    with pytest.raises(ValueError, match=r"images .* got \(2, 3, 8\): InfluenceProfile"):
        essence(model, series, "relu", 0)


def test_a_class_without_pictures_is_refused(model) -> None:
    with pytest.raises(ValueError, match="the loader holds no image of class 2"):
        essence(model, red_scenes(), "relu", 2)
