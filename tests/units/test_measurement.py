"""One question at one layer, beside what the measure gives by itself."""

import pytest
import torch

from captum_influence import (
    ClassScore,
    DistributionalInfluence,
    LinearPath,
    Point,
    PredictedClass,
    Unit,
)
from captum_influence.attr.quadrature import Midpoint
from captum_influence.attr.run import Run
from captum_influence.units.measurement import Measurement, answered
from captum_influence.units.units_of import UnitsOf

ASKED = ClassScore(0) - ClassScore(1)
PATH = LinearPath(0.0, 8, Midpoint())


def test_an_answer_fixes_what_was_asked(model, image) -> None:
    both = torch.stack([image, image.flip(1, 2)])
    found = answered(model, both, PredictedClass())
    scores = model(both).detach()
    assert torch.equal(found.output, scores)
    assert found.value.tolist() == scores.amax(1).tolist()
    assert found.quantity(scores * 0).tolist() == [0.0, 0.0]
    other = found.quantity(scores.flip(0))  # still the classes of the first answer
    assert other.tolist() == scores.flip(0).gather(1, scores.argmax(1)[:, None])[:, 0].tolist()


@pytest.mark.parametrize("by", ["influence", "contribution"])
def test_values_are_those_of_the_measure(model, image, by) -> None:
    measurement = Measurement(model, UnitsOf("relu"), ASKED, PATH, by)
    values, delta = measurement.values(image[None])
    measure = DistributionalInfluence(
        model, "relu", distribution=PATH, quantity=ASKED, multiply_by_inputs=by == "contribution"
    )
    expected = measure.attribute(image[None])
    torch.testing.assert_close(values, expected, rtol=0, atol=0)
    assert (delta is None) == (by == "influence")


def test_pooled_values_know_activations_and_where_displacements_start(model, image) -> None:
    start = LinearPath(torch.full_like(image[None], 0.5), 8, Midpoint())
    found, delta = Measurement(model, UnitsOf("relu"), ASKED, start).pooled(image[None])
    (first,) = found.highest(1)
    with torch.no_grad():
        here, there = (
            torch.relu(model.eyes(x)).sum((2, 3))[0] for x in (image[None], image[None] * 0 + 0.5)
        )
    assert (first.activation, first.reference) == (float(here[0]), float(there[0]))
    assert delta == pytest.approx(0.0, abs=1e-9)
    alone, _ = Measurement(model, UnitsOf("relu"), ASKED, Point(), "influence").pooled(image[None])
    assert alone.highest(1)[0].reference is None


def test_maps_share_out_what_each_unit_passes_on(model, image) -> None:
    """The eyes are linear in the picture: along a path from zero nothing gets lost."""
    measurement = Measurement(model, UnitsOf("relu"), ASKED, PATH)
    found, _ = measurement.pooled(image[None])
    units = found.highest()
    maps = measurement.maps(image[None], found.axis, [unit.index for unit in units])
    assert maps.shape == (3, 3, 8, 8)
    totals = maps.flatten(1).sum(1).tolist()
    assert totals == pytest.approx([unit.value for unit in units])


def test_maps_of_the_unit_itself_are_those_of_its_own_quantity(model, image) -> None:
    units = UnitsOf("relu", aggregate="max")
    measurement = Measurement(model, units, ASKED, PATH, focus="unit")
    axis = units.along((3, 2, 2), model, image[None])
    (found,) = measurement.maps(image[None], axis, [(1,)])
    measure = DistributionalInfluence(
        model,
        model.eyes,
        distribution=PATH,
        quantity=Unit((1, slice(None), slice(None)), reduce="max"),
        multiply_by_inputs=True,
        measure_at="relu",
    )
    at_eyes = measure.attribute(image[None])
    assert float(found.sum()) == pytest.approx(float(at_eyes.sum()))


def test_portions_change_nothing(model, image) -> None:
    whole = Measurement(model, UnitsOf("relu"), ASKED, PATH)
    parts = Measurement(model, UnitsOf("relu"), ASKED, PATH, run=Run(internal_batch_size=3))
    for one, other in zip(whole.values(image[None]), parts.values(image[None]), strict=True):
        torch.testing.assert_close(torch.as_tensor(one), torch.as_tensor(other))
