"""Units of any kind are removed as a slow loop removes them, whatever takes their place."""

import pytest
import torch
from torch import nn

from captum_influence.metrics import ablate_units, ablation_curve
from captum_influence.units.axes import Axis
from captum_influence.units.replacement import Constant, MeanActivation, Resample
from captum_influence.units.units_of import UnitsOf


def numbers(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Readout(nn.Module):
    """Units as they come, then a score that isn't linear in them."""

    def __init__(self, *shape):
        super().__init__()
        self.units = nn.Identity()
        self.weights = nn.Parameter(numbers(2, *shape, seed=1))

    def score(self, z):
        return (z.tanh()[:, None] * self.weights).flatten(2).sum(2).detach()

    def forward(self, x):
        return (self.units(x).tanh()[:, None] * self.weights).flatten(2).sum(2)


def effects_by_loop(model, z, selectors, other):
    """q less q with the entries of one unit after the other replaced."""
    columns = []
    for selector in selectors:
        changed = z.clone()
        changed[(slice(None), *selector)] = other[(slice(None), *selector)]
        columns.append(model.score(z)[:, 0] - model.score(changed)[:, 0])
    return torch.stack(columns, 1)


KINDS = {
    "channels": ((3, 2, 2), {}, [(i,) for i in range(3)]),
    "channels of tokens": ((2, 3), {}, [(slice(None), i) for i in range(3)]),
    "positions": (
        (3, 2, 2),
        {"axis": "position"},
        [(slice(None), i, j) for i in (0, 1) for j in (0, 1)],
    ),
    "neurons": ((2, 3), {"axis": "neuron"}, [(i, j) for i in range(2) for j in range(3)]),
    "heads": (
        (2, 6),
        {"axis": "head", "heads": 3},
        [(slice(None), slice(2 * i, 2 * i + 2)) for i in range(3)],
    ),
    "a dimension": ((3, 2, 4), {"axis": 3}, [(slice(None), slice(None), i) for i in range(4)]),
    "groups that overlap": (
        (4, 2, 2),
        {"axis": {"a": [0, 1], "b": [1, 3]}},
        [([0, 1],), ([1, 3],)],
    ),
    "groups of neurons": (
        (2, 3),
        {"axis": torch.tensor([[0, 0, 1], [1, -1, 0]])},
        [([0, 0, 1], [0, 1, 2]), ([0, 1], [2, 0])],
    ),
}


@pytest.mark.parametrize("name", KINDS)
def test_effects_equal_a_slow_loop(name):
    shape, options, selectors = KINDS[name]
    model, z = Readout(*shape), numbers(3, *shape)
    found = ablate_units(model, z, "units", 0, internal_batch_size=4, **options)
    expected = effects_by_loop(model, z, selectors, torch.zeros_like(z))
    torch.testing.assert_close(found.effects, expected)
    assert len(found.units) == len(selectors)
    whole = ablate_units(model, z, UnitsOf("units", **options), 0)
    torch.testing.assert_close(whole.effects, expected)


def test_sets_of_groups_that_overlap_are_unions():
    model, z = Readout(4, 2, 2), numbers(2, 4, 2, 2)
    groups = {"a": [0, 1], "b": [1, 3]}
    found = ablation_curve(model, z, "units", 0, torch.tensor([2.0, 1.0]), axis=groups)
    for column, gone in enumerate([[], [0, 1], [0, 1, 3]]):
        changed = z.clone()
        changed[:, gone] = 0
        torch.testing.assert_close(found.scores[:, column], model.score(changed)[:, 0])


@pytest.mark.parametrize(
    ("name", "places"),
    [("channels", (0, 2, 3)), ("channels of tokens", (0, 1)), ("a dimension", (0, 1, 2))],
)
def test_a_mean_is_over_examples_and_places(name, places):
    shape, options, selectors = KINDS[name]
    model, z = Readout(*shape), numbers(3, *shape)
    found = ablate_units(model, z, "units", 0, replace="mean", **options)
    expected = effects_by_loop(model, z, selectors, z.mean(places, keepdim=True).expand_as(z))
    torch.testing.assert_close(found.effects, expected)
    others = numbers(5, *shape, seed=2)
    axis = Axis.ensure(options.get("axis", "channel"), shape)
    known = MeanActivation.of([others[:2], others[2:]]).pooled(axis)
    found = ablate_units(model, z, "units", 0, replace=known, **options)
    means = others.mean(places, keepdim=True).expand_as(z[:1]).expand_as(z)
    torch.testing.assert_close(found.effects, effects_by_loop(model, z, selectors, means))


def test_a_resampled_unit_is_that_of_one_other_example():
    model, z = Readout(3), numbers(6, 3)
    found = ablate_units(model, z, "units", 0, replace="resample").effects
    selectors = [(i,) for i in range(3)]
    whose = []
    for example in range(6):
        each = [effects_by_loop(model, z[[example]], selectors, z[[other]]) for other in range(6)]
        same = [i for i, one in enumerate(each) if torch.allclose(one[0], found[example])]
        assert len(same) == 1
        whose += same
    assert sorted(whose) == list(range(6))
    assert all(example != other for example, other in enumerate(whose))
    another = ablate_units(model, z, "units", 0, replace="resample", seed=1).effects
    assert not torch.equal(another, found)


@pytest.mark.parametrize(
    "replacement",
    [
        0.3,
        numbers(3, seed=5),
        Constant(numbers(3, seed=5)),
        Resample(numbers(4, 3, seed=6), seed=2),
    ],
)
def test_what_is_given_takes_the_place(replacement):
    model, z = Readout(3), numbers(2, 3)
    other = replacement.like(z) if hasattr(replacement, "like") else torch.as_tensor(replacement)
    found = ablate_units(model, z, "units", 0, replace=replacement)
    expected = effects_by_loop(model, z, [(i,) for i in range(3)], other.expand_as(z))
    torch.testing.assert_close(found.effects, expected)


def test_units_are_called_as_rankings_call_them():
    model, z = Readout(2, 3), numbers(2, 2, 3)
    assert ablate_units(model, z, "units", 0).units == ("channel 0", "channel 1", "channel 2")
    neurons = ablate_units(model, z, "units", 0, axis="neuron").units
    assert neurons[:2] == ("neuron (0, 0)", "neuron (0, 1)")
    assert ablate_units(model, z, "units", 0, axis={"legs": [1]}).units == ("legs",)


def test_quantities_of_outputs_that_are_no_class_scores():
    class Several(Readout):
        def forward(self, x):
            return {"scores": super().forward(x)}

    model, z = Several(3), numbers(2, 3)
    found = ablate_units(model, z, "units", lambda output: output["scores"][:, 0])
    expected = effects_by_loop(model, z, [(i,) for i in range(3)], torch.zeros_like(z))
    torch.testing.assert_close(found.effects, expected)
