"""A network with some of its units kept or removed, beside algebra and Captum."""

import copy
import dataclasses
import pickle

import padded
import pytest
import torch
import transformed
from captum.attr import LayerFeatureAblation
from eyeing import pictures
from torch import nn

from captum_influence import (
    ClassScore,
    DistributionalInfluence,
    Expert,
    InfluenceProfile,
    Point,
    rank_units,
)
from captum_influence.demo import HandWired, handwired_networks
from captum_influence.units.units_of import UnitsOf

WIRED = handwired_networks()


@pytest.fixture(params=WIRED)
def wired(request: pytest.FixtureRequest) -> HandWired:
    return WIRED[request.param]


def score(network: nn.Module, wired: HandWired) -> torch.Tensor:
    with torch.no_grad():
        return network(wired.inputs)[:, wired.target]


def test_removing_a_unit_changes_the_score_by_the_algebra(wired: HandWired) -> None:
    for unit in range(len(wired.roles)):
        lost = score(wired.model, wired) - score(
            Expert(wired.model, wired.layer, [unit], "remove"), wired
        )
        assert torch.allclose(lost, wired.contribution[:, unit], atol=1e-12)


def test_keeping_is_removing_the_others(wired: HandWired) -> None:
    others = range(1, len(wired.roles))
    kept = score(Expert(wired.model, wired.layer, [0], "keep"), wired)
    assert torch.equal(kept, score(Expert(wired.model, wired.layer, others, "remove"), wired))


def test_redundant_units_matter_together_only() -> None:
    wired = WIRED["redundant_units"]
    both = score(Expert(wired.model, wired.layer, [0, 1], "remove"), wired)
    assert torch.equal(both, torch.zeros(2, dtype=torch.float64))


def test_a_removed_unit_is_what_captums_feature_ablation_sets_to_its_baseline(model, image) -> None:
    labels = torch.zeros(1, 3, 2, 2, dtype=torch.long)
    labels += torch.arange(3)[None, :, None, None]
    captum = LayerFeatureAblation(model, model.relu)
    lost = captum.attribute(image[None], layer_baselines=0.25, target=0, layer_mask=labels)
    for unit in range(3):
        expert = Expert(model, "relu", [unit], "remove", replace=0.25)
        ours = model(image[None])[0, 0] - expert(image[None])[0, 0]
        assert torch.allclose(ours, lost[0, unit, 0, 0], atol=1e-12)


def test_units_are_channels_neurons_positions_or_a_ranking(model, image) -> None:
    z = model.relu(model.eyes(image[None])).clone()
    cases = {
        "channel": ([1], {}, lambda m: m[:, 1]),
        "neuron": ([(1, 0, 1)], {}, lambda m: m[:, 1, 0, 1]),
        "position": ([(1, 1)], {"axis": "position"}, lambda m: m[:, :, 1, 1]),
        "ranking": (rank_units(z, axis="channel", top=1), {}, lambda m: m[:, 0]),
    }
    for units, settings, part in cases.values():
        changed = z.clone()
        part(changed).zero_()
        expected = model.head(changed.flatten(1))
        expert = Expert(model, "relu", units, "remove", **settings)
        assert torch.equal(expert(image[None]), expected)


def test_a_layer_may_say_what_its_units_are() -> None:
    network = nn.Sequential(nn.Identity())
    for layer, settings in ((network[0], {"axis": "head", "heads": 3}), ("0", {})):
        units = layer if settings else UnitsOf(layer, "head", heads=3)
        silent = Expert(network, units, [1], "remove", **settings)
        assert silent(torch.ones(1, 2, 6))[0].tolist() == [[1, 1, 0, 0, 1, 1]] * 2


def test_what_takes_a_units_place_may_come_of_a_reference(model, image) -> None:
    images = torch.rand(5, 3, 8, 8, dtype=torch.float64)
    z = model.relu(model.eyes(images)).clone()
    expected = model.relu(model.eyes(image[None])).clone()
    expected[:, 0] = z[:, 0].mean(dim=0)
    for reference in (z, [images]):
        expert = Expert(model, "relu", [0], "remove", "mean", reference=reference)
        assert torch.allclose(
            expert(image[None]), model.head(expected.flatten(1)), rtol=0, atol=1e-12
        )
    drawn = Expert(model, "relu", [0, 1, 2], "remove", "resample", reference=z, seed=3)
    row = drawn.replacement.like(z[:1])
    assert torch.equal(drawn(image[None]), model.head(row.flatten(1)))


def test_within_the_block_the_network_itself_is_changed_and_after_it_not(wired) -> None:
    expert = Expert(wired.model, wired.layer, [0], "remove")
    before = wired.model(wired.inputs)
    with expert:
        assert torch.equal(wired.model(wired.inputs), expert(wired.inputs))
        with expert:  # twice is once
            pass
        assert torch.equal(wired.model(wired.inputs), expert(wired.inputs))
    assert torch.equal(wired.model(wired.inputs), before)


def test_all_is_undone_on_an_error(wired) -> None:
    before, mode = wired.model(wired.inputs), wired.model.training
    expert = Expert(wired.model, wired.layer, [0], "remove")
    with pytest.raises(KeyError), expert:
        raise KeyError
    with pytest.raises(RuntimeError):
        expert(wired.inputs[:, :1, ...].repeat(1, 7, *[1] * (wired.inputs.ndim - 2)))
    assert torch.equal(wired.model(wired.inputs), before)
    assert wired.model.training is mode
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in wired.model.modules())


def test_an_expert_is_a_module_like_any_other(model, image) -> None:
    expert = Expert(model, "relu", [0], "remove")
    assert "remove 1 units at the output of relu" in repr(expert)
    for twin in (copy.deepcopy(expert), pickle.loads(pickle.dumps(expert))):
        assert torch.equal(twin(image[None]), expert(image[None]))
    assert expert.training is model.training


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"mode": "drop"}, ValueError, 'mode="keep" or mode="remove", got'),
        ({"units": []}, ValueError, "at least one unit to remove, got none"),
        (
            {"units": [3]},
            ValueError,
            r"no channel \(3,\) in a layer of shape \(examples, 3, 2, 2\)",
        ),
        ({"layer": "nose"}, ValueError, "no layer named 'nose'"),
        ({"replace": "median"}, ValueError, '"mean" or "resample", got \'median\''),
        ({"replace": "mean"}, ValueError, "takes a reference: .* Expert takes it as reference="),
        ({"reference": torch.ones(1, 3, 2, 2)}, ValueError, "beside a reference, got 0"),
    ],
)
def test_mistakes_are_named_with_their_cure(model, image, change, error, message) -> None:
    arguments = {"layer": "relu", "units": [0], "mode": "remove"} | change
    with pytest.raises(error, match=message):
        Expert(model, **arguments)(image[None])


# Experts of rankings and profiles


@dataclasses.dataclass
class Entry:
    index: int


class Profile:
    """What InfluenceProfile offers, with an order that is given."""

    groups = (0, "cats")

    def __init__(self, order: list[int]) -> None:
        self.order = order

    def top(self, k: int, *, group: object, lowest: bool = False) -> list[Entry]:
        return [Entry(i) for i in (self.order[::-1] if lowest else self.order)[:k]]


def test_a_ranking_gives_its_first_units(model, image) -> None:
    ranking = rank_units(torch.tensor([[3.0, 1.0, 2.0]]))
    expert = Expert.from_ranking(model, "relu", ranking, 2)
    assert expert.selection.indices == ((0,), (2,))
    with pytest.raises(ValueError, match=r"k from 1 to the 3 units .* got 4"):
        Expert.from_ranking(model, "relu", ranking, 4)


def test_a_profile_gives_its_strongest_units_from_one_end_or_both(model) -> None:
    profile, where = Profile([2, 0, 1]), {"model": model, "layer": "relu"}
    both = Expert.from_profile(profile, "cats", 2, **where)
    top = Expert.from_profile(profile, "cats", 2, ends="top", mode="remove", **where)
    assert both.selection.indices == ((2,), (1,))
    assert top.selection.indices == ((2,), (0,))
    assert top.mode == "remove"
    with pytest.raises(ValueError, match=r"groups, \[0, 'cats'\], got 'dogs'"):
        Expert.from_profile(profile, "dogs", 2, **where)
    with pytest.raises(ValueError, match="takes loader=, and target="):
        Expert.from_profile(profile, "cats", **where, loader=[])
    with pytest.raises(TypeError, match=r"no keyword 'end'.*did you mean ends="):
        Expert.from_profile(profile, "cats", 2, **where, end="top")


def test_as_many_units_as_tell_the_class_best(model) -> None:
    expert = Expert.from_profile(
        Profile([0, 2, 1]), 0, model=model, layer="relu", loader=pictures(), ends="top"
    )
    assert expert.selection.indices[0] == (0,)
    # With the first eye alone every dark picture ties in favour of class 0: it takes all three.
    assert len(expert.selection) == 3


def test_attributions_within_the_block_see_the_changed_network(model, image) -> None:
    """A channel that is removed has no influence on what comes before it."""
    measure = DistributionalInfluence(model, "eyes", distribution=Point())
    with Expert(model, "relu", [0], "remove"):
        changed = measure.attribute(image[None], target=0)
    assert not changed.any()  # class 0 is the first eye's alone
    assert measure.attribute(image[None], target=0).any()


def test_a_compiled_network_is_changed_too(model, image) -> None:
    compiled = torch.compile(model, backend="eager")
    compiled(image[None])  # compiled without hooks, which it must not remember
    expert = Expert(compiled, "relu", [0, 1, 2], "remove")
    assert not expert(image[None]).any()
    assert compiled(image[None]).any()


def test_the_profile_of_a_class_gives_its_expert(model) -> None:
    measure = DistributionalInfluence(model, "relu", distribution=Point(), quantity=ClassScore(1))
    profile = InfluenceProfile.over(measure, pictures(), group_by="label")
    for group in profile.groups:
        expert = Expert.from_profile(profile, group, 1, model=model, layer="relu")
        assert expert.selection.indices == ((1,),)  # the second eye is wired to class 1
    auto = Expert.from_profile(profile, 1, model=model, layer="relu", loader=pictures())
    assert (1,) in auto.selection.indices


@pytest.mark.parametrize("form", ["right", "left", "lists"])
def test_a_mean_over_prompts_takes_the_place_of_units(form: str) -> None:
    model, given = transformed.built("GPT-2", "sdpa"), padded.prompts("GPT-2")
    name = padded.block("GPT-2")
    mean = torch.cat([padded.hooked(model, name, one, 0)[0] for one in given]).mean(0)
    unlabelled = [item[0] for item in padded.loader(form, given, padded.LABELS)]
    expert = Expert(model, name, [2, 5], "remove", "mean", reference=unlabelled)
    for one in given:
        with torch.no_grad():
            found = expert(**one).logits[:, -1]
        expected = padded.changed(model, name, one, [2, 5], mean)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
