"""What metrics take by keyword, and how they refuse the rest."""

import pytest
import torch
from torch import nn

from captum_influence.attr.run import Run
from captum_influence.metrics import ablate_units, flip_pixels, unit_selectivity
from captum_influence.metrics.options import UnitOptions, chosen_run, chosen_units
from captum_influence.units.units_of import UnitsOf

NETWORK = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
IMAGES = torch.rand(2, 1, 2, 2, generator=torch.Generator().manual_seed(0))


def test_options_are_collected():
    run = Run(seed=3)
    assert chosen_run("verb", {"run": run}) is run
    assert chosen_run("verb", {"seed": 3, "internal_batch_size": 2}) == Run(
        seed=3, internal_batch_size=2
    )
    chosen = chosen_units("verb", "1", {"axis": "neuron", "seed": 4, "class_names": ["a", "b"]})
    assert (chosen.units.axis, chosen.run.seed, chosen.shown.class_names) == (
        "neuron",
        4,
        ["a", "b"],
    )


@pytest.mark.parametrize("name", ["by", "aggregate", "percentile", "loader"])
def test_what_would_change_nothing_is_refused(name):
    assert name not in UnitOptions.__annotations__
    with pytest.raises(TypeError, match=rf"ablate_units\(\) takes no keyword '{name}'"):
        ablate_units(NETWORK, IMAGES, "1", 0, **{name: 1})


def test_a_slip_is_named():
    with pytest.raises(
        TypeError, match=r"flip_pixels\(\) takes no keyword 'sed': did you mean seed="
    ):
        flip_pixels(NETWORK, IMAGES, IMAGES, 0, sed=1)
    with pytest.raises(TypeError, match="takes no keyword 'axis'"):
        flip_pixels(NETWORK, IMAGES, IMAGES, 0, axis=1)


def test_nothing_is_said_twice():
    with pytest.raises(TypeError, match=r"got run=Run\(...\) and seed beside it"):
        flip_pixels(NETWORK, IMAGES, IMAGES, 0, run=Run(), seed=1)
    with pytest.raises(TypeError, match=r"got layer=UnitsOf\(...\) and axis beside it"):
        unit_selectivity(NETWORK, IMAGES, UnitsOf("1"), IMAGES, axis=1)


def test_a_target_may_be_a_name():
    names = ["cat", "dog"]
    found = ablate_units(NETWORK, IMAGES, "1", "dog", class_names=names)
    assert torch.equal(found.effects, ablate_units(NETWORK, IMAGES, "1", 1).effects)
    assert found.facts["quantity"] == "score(dog)"
    flipped = flip_pixels(NETWORK, IMAGES, IMAGES, "dog", class_names=names, steps=2)
    assert flipped.facts["quantity"] == "score(dog)"
