import copy
import dataclasses
import pickle

import pytest
import torch
from captum.attr import LayerFeatureAblation
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
from captum_influence.experts import class_rankings, expert_curves
from captum_influence.units import MeanActivation, Resample

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


def test_heads_are_parts_of_the_last_dimension() -> None:
    layer = nn.Identity()
    silent = Expert(nn.Sequential(layer), layer, [1], "remove", axis="head", heads=3)
    found = silent(torch.ones(1, 2, 6))
    assert found[0].tolist() == [[1, 1, 0, 0, 1, 1]] * 2


def test_the_mean_is_taken_entry_by_entry_from_a_tensor_or_a_loader(model, image) -> None:
    images = torch.rand(5, 3, 8, 8, dtype=torch.float64)
    z = model.relu(model.eyes(images)).clone()
    expected = model.relu(model.eyes(image[None])).clone()
    expected[:, 0] = z[:, 0].mean(dim=0)
    for reference in (z, [images[:2], images[2:]], [(images, torch.zeros(5))]):
        expert = Expert(model, "relu", [0], "remove", "mean", reference=reference)
        assert torch.allclose(
            expert(image[None]), model.head(expected.flatten(1)), rtol=0, atol=1e-12
        )


def test_resampling_takes_whole_examples_the_same_ones_each_time(model, image) -> None:
    reference = torch.arange(40.0, dtype=torch.float64)[:, None, None, None].expand(40, 3, 2, 2)
    state = torch.get_rng_state()
    expert = Expert(model, "relu", [0, 1, 2], "remove", "resample", reference=reference, seed=3)
    batch = image[None].expand(6, -1, -1, -1)
    drawn = expert.replacement.like(reference[:6])
    assert torch.equal(expert(batch), expert(batch))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(len(row.unique()) == 1 for row in drawn)
    assert len({float(row.max()) for row in drawn}) > 1
    other = Resample(reference, seed=4).like(reference[:6])
    assert not torch.equal(other, drawn)


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
        ({"units": "all"}, TypeError, "a ranking or a list of channel numbers.* got str"),
        ({"units": [1.5]}, TypeError, "a channel number, .* got float"),
        (
            {"units": [3]},
            ValueError,
            r"no channel \(3,\) in a layer of shape \(examples, 3, 2, 2\)",
        ),
        ({"units": [-1]}, ValueError, "count from 0"),
        ({"units": [(0, 0)]}, ValueError, "1 ints, or a neuron as 3, .* got 2"),
        ({"layer": "nose"}, ValueError, "no layer named 'nose'"),
        ({"replace": "median"}, ValueError, '"mean" or "resample", got \'median\''),
        ({"replace": "mean"}, ValueError, "takes a reference: .* or a loader"),
        ({"replace": "mean", "reference": []}, ValueError, "the loader is empty"),
        ({"replace": "mean", "reference": 3}, TypeError, "a loader that yields batches, got int"),
        ({"replace": "mean", "reference": [3]}, TypeError, "images .* got int"),
        ({"replace": "resample", "reference": torch.ones(0, 3)}, ValueError, "at least one"),
        ({"replace": torch.ones(3)}, ValueError, r"of shape \(3, 2, 2\), .* got \(3,\)"),
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


def pictures() -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Of TwoEyes' classes: 0 is red in the upper left, 1 is green in the lower right."""
    images = torch.zeros(20, 3, 8, 8, dtype=torch.float64)
    images[:10, 0, :4, :4] = torch.linspace(0.1, 1, 10, dtype=torch.float64)[:, None, None]
    images[10:, 1, 4:, 4:] = torch.linspace(0.1, 1, 10, dtype=torch.float64)[:, None, None]
    return [(images, torch.arange(20) // 10)]


def test_as_many_units_as_tell_the_class_best(model) -> None:
    expert = Expert.from_profile(
        Profile([0, 2, 1]), 0, model=model, layer="relu", loader=pictures(), ends="top"
    )
    assert expert.selection.indices[0] == (0,)
    # With the first eye alone every dark picture ties in favour of class 0: it takes all three.
    assert len(expert.selection) == 3


# Curves


def test_curves_agree_with_experts_that_are_run(model) -> None:
    rankings = {"given": [2, 1, 0], "turned": [0, 1, 2]}
    loader = pictures()
    images, labels = loader[0]
    for mode in ("keep", "remove"):
        curves = expert_curves(model, "relu", rankings, loader, 1, mode=mode)
        assert curves.ks == (1, 2, 3)
        for name, order in rankings.items():
            for i, k in enumerate(curves.ks):
                said = Expert(model, "relu", order[:k], mode)(images).argmax(1) == 1
                true = labels == 1
                counts = curves.counts[name][i]
                assert counts.hits == int((said & true).sum())
                assert counts.false_alarms == int((said & ~true).sum())
                assert counts.accuracy == float((said == true).double().mean())


def test_scores_are_scikit_learns() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    from captum_influence.experts import OneAgainstRest

    generator = torch.Generator().manual_seed(0)
    for said, true in torch.rand(5, 2, 30, generator=generator) > 0.5:
        found = OneAgainstRest.of(said, true)
        assert found.precision == pytest.approx(metrics.precision_score(true, said))
        assert found.recall == pytest.approx(metrics.recall_score(true, said))
        assert found.f1 == pytest.approx(metrics.f1_score(true, said))
        assert found.accuracy == pytest.approx(metrics.accuracy_score(true, said))
    nothing = OneAgainstRest.of(torch.zeros(3) > 0, torch.zeros(3) > 0)
    assert (nothing.precision, nothing.recall, nothing.f1, nothing.accuracy) == (0, 0, 0, 1)


def test_the_best_k_is_the_smallest_with_the_highest_f1(model) -> None:
    curves = expert_curves(model, "relu", {"a": [1, 0, 2]}, pictures(), 1)
    f1 = curves.curve("f1", "a")
    assert f1[curves.ks.index(curves.best_k["a"])] == max(f1)
    assert all(value < max(f1) for value in f1[: curves.ks.index(curves.best_k["a"])])
    content = curves.to_dict()
    assert content["best_k"] == curves.best_k
    assert curves.plot().axes[0].get_title() == "precision"
    both = expert_curves(model, "relu", {"a": [1, 0, 2], "b": [0, 2, 1]}, pictures(), 1)
    frame = pytest.importorskip("pandas").DataFrame(both.to_frame())
    assert frame["units"].tolist() == [*both.ks, *both.ks]
    assert tuple(frame[frame["ranking"] == "a"]["f1"]) == f1
    lost = expert_curves(model, "relu", {"a": [0, 1, 2]}, pictures(), 1, mode="remove")
    assert lost.best_k == {"a": 2}  # the second eye is the second unit


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"ks": [4]}, ValueError, r"ks from 1 to the 3 ranked units, got \[4\]"),
        ({"rankings": {}}, ValueError, "at least one ranking"),
        ({"target": 2}, ValueError, "no image of class 2"),
        ({"target": 3}, ValueError, "a class from 0 to 2, got 3"),
        ({"loader": []}, ValueError, "the loader is empty"),
        ({"loader": [torch.ones(1, 3, 8, 8)]}, TypeError, r"\(images, labels\)"),
        ({"mode": "drop"}, ValueError, "got 'drop'"),
    ],
)
def test_what_curves_cannot_be_drawn_of(model, change, error, message) -> None:
    arguments = {"rankings": {"a": [0, 1, 2]}, "loader": pictures(), "target": 0} | change
    with pytest.raises(error, match=message):
        expert_curves(model, "relu", **arguments)


# Rankings


def test_rankings_name_the_units_that_are_wired_to_the_class() -> None:
    wired = WIRED["linear_units"]  # q = 2 z1 + 0 z2 - 3 z3 + 5 z4, the last one silent here
    loader = [(wired.inputs, torch.zeros(2, dtype=torch.long))]
    found = class_rankings(wired.model, wired.layer, loader, 0, ends="top")
    order = {name: [unit.index[0] for unit in units] for name, units in found.items()}
    assert order["influence"] == [3, 0, 1, 2]
    assert order["contribution"] == [0, 1, 3, 2]
    assert order["conductance"] == order["contribution"]
    assert order["activation"] == [1, 2, 0, 3]  # means 2.125, 1.75, 1.5, 0
    assert sorted(order["random"]) == [0, 1, 2, 3]
    contribution = {unit.index[0]: unit.value for unit in found["contribution"]}
    assert contribution[2] == pytest.approx(float(wired.contribution[:, 2].mean()), abs=1e-12)


def test_from_both_ends_in_turn_but_for_activation_and_chance() -> None:
    wired = WIRED["linear_units"]
    loader = [(wired.inputs, torch.zeros(2, dtype=torch.long))]
    found = class_rankings(wired.model, wired.layer, loader, 0, by=["influence", "activation"])
    assert [unit.index[0] for unit in found["influence"]] == [3, 2, 0, 1]
    assert [unit.index[0] for unit in found["activation"]] == [1, 2, 0, 3]


def test_chance_is_seeded_and_covers_every_unit(model) -> None:
    def drawn(seed: int) -> list[tuple[int, ...]]:
        by = {"by": ["random"], "axis": "neuron", "seed": seed}
        return [u.index for u in class_rankings(model, "relu", pictures(), 0, **by)["random"]]

    assert drawn(0) == drawn(0) != drawn(1)
    assert len(set(drawn(0))) == 12


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"by": ["fame"]}, r"got \['fame'\]"),
        ({"target": 2}, "no image of class 2"),
        ({"ends": "bottom"}, "got 'bottom'"),
    ],
)
def test_what_cannot_be_ranked(model, change, message) -> None:
    arguments = {"loader": pictures(), "target": 0, "by": ["activation"]} | change
    with pytest.raises(ValueError, match=message):
        class_rankings(model, "relu", **arguments)


def test_a_replacement_of_ones_own() -> None:
    assert MeanActivation.of([torch.ones(1, 2), 4 * torch.ones(2, 2)]).value.tolist() == [3, 3]


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
    curves = expert_curves(compiled, "relu", {"a": [0, 1, 2]}, pictures(), 0)
    assert curves.question == "class 0 against the rest, by units of relu"


def test_the_profile_of_a_class_gives_its_expert(model) -> None:
    measure = DistributionalInfluence(model, "relu", distribution=Point(), quantity=ClassScore(1))
    profile = InfluenceProfile.over(measure, pictures(), group_by="label")
    for group in profile.groups:
        expert = Expert.from_profile(profile, group, 1, model=model, layer="relu")
        assert expert.selection.indices == ((1,),)  # the second eye is wired to class 1
    auto = Expert.from_profile(profile, 1, model=model, layer="relu", loader=pictures())
    assert (1,) in auto.selection.indices


def test_conductance_of_many_images_warns_of_nothing(model) -> None:
    images = torch.rand(70, 3, 8, 8, dtype=torch.float64)
    loader = [(images, torch.zeros(70, dtype=torch.long))]
    assert len(class_rankings(model, "relu", loader, 0, by=["conductance"])["conductance"]) == 3
