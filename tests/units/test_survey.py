"""One question about classes, put to images of them, in closed form: an eye sees one corner."""

import pytest
import torch
from eyeing import GREEN, LITTLE, RED, twin_scenes

from captum_influence import ClassScore, LinearPath, Point
from captum_influence.attr.run import Run
from captum_influence.units.ranking import UnitInfluence
from captum_influence.units.replacement import MeanActivation
from captum_influence.units.survey import Survey
from captum_influence.units.units_of import UnitsOf

REDS = RED[:3]
EYES = [UnitInfluence("channel", (i,), 0.0, 0.0) for i in (0, 1)]


def survey(model, loader=None, classes=(0, 1), units="relu", **settings) -> Survey:
    quantity = settings.pop("quantity", ClassScore(0) - ClassScore(1))
    loader = twin_scenes() if loader is None else loader
    return Survey(model, UnitsOf.ensure(units), loader, classes, quantity, **settings)


def halves():
    ((images, labels),) = twin_scenes()
    return [(images[:4], labels[:4]), (images[4:], labels[4:])]


@pytest.mark.parametrize("aggregate", ["sum", "max"])
def test_means_are_over_each_class(model, aggregate) -> None:
    asked = survey(model, halves(), units=UnitsOf("relu", aggregate=aggregate))
    profile = asked.profile(asked.axis(), multiply=True)
    assert profile.groups == (0, 1)
    red, green = 16 * float(REDS.mean()), -16 * LITTLE
    assert profile.mean(0).tolist() == pytest.approx(
        [red, 0.0 if aggregate == "max" else green, 0.0]
    )
    assert profile.count(1) == len(GREEN)


def test_influences_are_not_multiplied(model) -> None:
    asked = survey(model)
    assert asked.profile(asked.axis(), multiply=False).mean(0).tolist() == [1.0, -1.0, 0.0]


def test_images_of_other_classes_are_left_out(model) -> None:
    asked = survey(model, classes=(1,))
    assert asked.profile(asked.axis(), multiply=True).groups == (1,)


def test_each_units_largest_images_are_of_its_class(model) -> None:
    asked = survey(model, halves())
    podium = asked.podium(asked.axis(), EYES, 2, classes=[0, 1], signs=[1, -1])
    first, second = podium.places
    assert [case.number for case in first] == [0, 2]  # red of 1 and 0.75
    assert [case.value for case in first] == pytest.approx([16.0, 12.0])
    assert [case.number for case in second] == [5, 3]  # green of 1 and 0.8, which lower the score
    assert [case.value for case in second] == pytest.approx([16.0, 12.8])
    ((images, _),) = twin_scenes()
    assert torch.equal(second[0].inputs, images[5])


def test_activity_is_the_mean_over_places_in_the_class_and_elsewhere(model) -> None:
    asked = survey(model, halves(), classes=(0,))
    podium, activity = asked.activity(asked.axis(), EYES, 1)
    red, green = 4 * float(REDS.mean()), 4 * LITTLE  # one of four places has 16 entries
    assert activity.inside.tolist() == pytest.approx([red, green, 0.0])
    assert activity.outside.tolist() == pytest.approx([4 * LITTLE, 4 * float(GREEN.mean()), 0.0])
    assert [places[0].number for places in podium.places] == [0, 5]  # of any class


def test_without_others_nothing_is_known_of_elsewhere(model) -> None:
    ((images, labels),) = twin_scenes()
    asked = survey(model, [(images[:3], labels[:3])], classes=(0,))
    assert asked.activity(asked.axis(), EYES, 1)[1].outside is None


def test_single_images_are_asked_as_the_class_is(model) -> None:
    run = Run(internal_batch_size=5, show_progress=True)
    single = survey(model, run=run, focus="unit").measurement()
    assert isinstance(single.distribution, Point)
    assert (single.focus, single.by) == ("unit", "contribution")
    assert (single.run.internal_batch_size, single.run.show_progress) == (5, False)
    assert survey(model).facts()["distribution"] == Point().in_words()


def test_displacements_count_from_what_removal_puts_there(model) -> None:
    path = LinearPath(0.0, 4)
    mean = survey(model).removing(None)
    assert mean.counts_from is mean.removed
    assert isinstance(mean.removed, MeanActivation)
    along = survey(model, distribution=path).removing(None)
    assert along.counts_from is None  # where contributions add up
    assert isinstance(along.removed, MeanActivation)
    assert survey(model, distribution=path).removing("zero").counts_from is not None
    ((images, labels),) = twin_scenes()
    alone = survey(model, [(images[:3], labels[:3])], classes=(0,)).removing(None)
    assert alone.removed.in_words() == "0"  # its own mean is what the class does


def test_the_first_pictures_of_a_class(model) -> None:
    images, labels = twin_scenes()[0]
    asked = survey(model, halves(), classes=(1,))
    assert torch.equal(asked.pictures(1, 2)[0], images[labels == 1][:2])
    assert len(asked.pictures(0, 99)[0]) == 3


def test_means_are_taken_along_one_dimension(model) -> None:
    assert survey(model, units=UnitsOf("relu", 3)).axis().keep == (2,)
    for axis in ("position", "neuron", {"both": [0, 1]}):
        with pytest.raises(ValueError, match="means over a data set are taken along one"):
            survey(model, units=UnitsOf("relu", axis)).axis()


@pytest.mark.parametrize(
    ("loader", "classes", "error", "message"),
    [
        (twin_scenes(), (0, 2), ValueError, "no image of class 2"),
        (iter(twin_scenes()), (0,), TypeError, "several times, got a list_iterator"),
        ([(torch.zeros(2, 3, 8), torch.tensor([0, 1]))], (0,), ValueError, r"got \(2, 3, 8\)"),
        ([torch.zeros(2, 3, 8, 8)], (0,), TypeError, r"\(images, labels\)"),
    ],
)
def test_a_loader_that_will_not_do(model, loader, classes, error, message) -> None:
    with pytest.raises(error, match=message):
        survey(model, loader, classes).axis()


def test_a_path_of_ones_own_is_that_of_means_too(model) -> None:
    half = LinearPath(torch.full((1, 3, 8, 8), 0.1, dtype=torch.float64), 4)
    asked = survey(model, distribution=half)
    found = asked.profile(asked.axis(), multiply=True).mean(0)
    assert found.tolist() == pytest.approx([16 * (float(REDS.mean()) - 0.1), 0.0, 0.0])
