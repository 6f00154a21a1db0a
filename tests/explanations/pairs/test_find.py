"""What separates two classes for a network with two eyes, in closed form."""

import math

import pytest
import torch
from eyeing import GREEN, LITTLE, RED, twin_scenes

from captum_influence import Expert, HeldOut, Pair, pair
from captum_influence.units.units_of import UnitsOf

NAMES = ["red", "green", "dark"]
REDS = RED[:3]  # those of the twins


@pytest.fixture
def found(model) -> Pair:
    asked = {"ks": (1, 2), "smoothing": 0, "replace": "zero"}
    return pair(model, twin_scenes(), "relu", 0, 1, class_names=NAMES, **asked)


def test_differences_and_standard_errors_are_those_of_the_closed_form(found) -> None:
    (unit,) = found.first.units
    assert unit.unit.index == (0,)
    assert unit.on_first == pytest.approx(16 * float(REDS.mean()))
    assert unit.on_second == pytest.approx(16 * LITTLE)
    assert unit.unit.value == pytest.approx(16 * (float(REDS.mean()) - LITTLE))
    assert unit.error == pytest.approx(16 * float(REDS.std()) / math.sqrt(len(REDS)))
    (other,) = found.second.units
    assert other.unit.index == (1,)
    assert other.on_second == pytest.approx(-16 * float(GREEN.mean()))
    assert other.error == pytest.approx(16 * float(GREEN.std()) / math.sqrt(len(GREEN)))
    assert unit.unit.share + other.unit.share == pytest.approx(1.0)


def test_differences_add_up_to_how_far_the_classes_lie_apart(model, found) -> None:
    (images, labels), *_ = twin_scenes()
    with torch.no_grad():
        scores = model(images)
    margin = scores[:, 0] - scores[:, 1]
    means = float(margin[labels == 0].mean()), float(margin[labels == 1].mean())
    assert found.margins == pytest.approx(means)
    total = sum(row.unit.value for side in found.sides for row in side.units)
    assert total == pytest.approx(means[0] - means[1])


def test_units_look_at_their_own_class(found) -> None:
    for side, rows, sign in ((found.first, slice(0, 4), 1), (found.second, slice(4, 8), -1)):
        for look in side.units[0].looks:
            assert look.example.label == side.target
            assert sign * float(look.seen.map.sum()) == pytest.approx(look.example.value)
            inside = torch.zeros(8, 8, dtype=torch.bool)
            inside[rows, rows] = True
            assert bool((look.seen.mask <= inside).all())
            assert bool(look.seen.mask.any())


def test_without_the_units_answers_move(model, found) -> None:
    (images, labels), *_ = twin_scenes()
    for side, other in (found.sides, found.sides[::-1]):
        own = images[labels == side.target]
        silent = Expert(model, "relu", [side.units[0].unit.index[0]], mode="remove")
        said = silent(own).argmax(dim=1)
        moved = float((said == other.target).double().mean())
        assert side.moves.moved["contribution"] == (moved,)
        assert side.moves.answers == len(own)
        assert moved == 1.0
        for name in side.moves.moved:
            both = zip(side.moves.moved[name], side.moves.left[name], strict=True)
            assert all(m <= left for m, left in both)


def test_ks_end_where_units_do(found) -> None:
    assert found.first.moves.ks == (1,)  # one channel of three speaks for it


def test_contributions_count_from_the_mean_unless_it_is_said(model) -> None:
    """Every unit's removal is from its mean over the loader, 3 reds and 4 greens of the twins."""
    found = pair(model, twin_scenes(), "relu", 0, 1, class_names=NAMES)
    red = torch.cat([REDS, torch.full_like(GREEN, LITTLE)])
    unit = found.first.units[0]
    assert unit.unit.index == (0,)
    assert unit.on_first == pytest.approx(16 * float(REDS.mean() - red.mean()))
    assert unit.on_second == pytest.approx(16 * float(LITTLE - red.mean()))
    effects = found.first.effects
    assert effects.alone == pytest.approx((unit.on_first,))  # linear: estimates are effects
    assert effects.estimates == pytest.approx(effects.alone)
    assert effects.inputs == len(REDS)
    assert found.second.effects.alone == pytest.approx((-found.second.units[0].on_second,))
    assert found.facts["replace"] == "its mean activation"


def test_third_classes_move_no_mean(model, found) -> None:
    """What lies elsewhere, a bright blue here, is no place that either class is told from."""
    ((images, labels),) = twin_scenes()
    blue = torch.ones(5, 3, 8, 8, dtype=torch.float64)
    more = [(torch.cat([images, blue]), torch.cat([labels, torch.full((5,), 2)]))]
    alone, among = (pair(model, loader, "relu", 0, 1) for loader in (twin_scenes(), more))
    for own, same in zip(alone.sides, among.sides, strict=True):
        assert [row.unit.index for row in own.units] == [row.unit.index for row in same.units]
        assert own.effects.alone == pytest.approx(same.effects.alone)
        assert min(same.effects.alone) > 0  # evidence for it


def test_only_right_answers_are_counted(model) -> None:
    (images, labels), *_ = twin_scenes()
    wrong = 1 - labels
    found = pair(model, [(images, labels)], "relu", 0, 1, ks=(1,), held_out=[(images, wrong)])
    assert found.first.moves.answers == found.second.moves.answers == 0
    assert "No picture of class 0 is answered right" in found.headline
    assert "become" not in found.headline
    assert found.held_out


def test_how_it_is_tried_may_be_said_whole_or_in_parts(model) -> None:
    others, half = twin_scenes(), {"ks": (1,), "replace": 0.5}
    whole = pair(model, twin_scenes(), "relu", 0, 1, held_out=HeldOut(others, **half))
    parts = pair(model, twin_scenes(), "relu", 0, 1, held_out=others, **half)
    for own, same in zip(whole.sides, parts.sides, strict=True):
        assert own.moves == same.moves
    assert whole.first.moves.ks == (1,)


def test_classes_go_by_names_and_units_along_any_dimension(model) -> None:
    names = ["red", "green", "dark"]
    rows = UnitsOf("relu", 2)
    asked = {"smoothing": 0, "class_names": names, "replace": "zero"}
    found = pair(model, twin_scenes(), rows, "red", "green", **asked)
    assert (found.first.name, found.second.target) == ("red", 1)
    assert [row.unit.name for side in found.sides for row in side.units] == ["unit 0", "unit 1"]
    silent = Expert(model, "relu", [(0, 0), (0, 1)], "remove", axis="position")  # the upper row
    ((images, labels),) = twin_scenes()
    moved = (silent(images[labels == 0]).argmax(dim=1) == 1).double().mean()
    assert found.first.moves.moved["contribution"][0] == float(moved)


def test_turned_round_it_is_the_same(model, found) -> None:
    turned = pair(model, twin_scenes(), "relu", 1, 0, ks=(1, 2), smoothing=0, replace="zero")
    for a, b in zip(found.sides, turned.sides[::-1], strict=True):
        assert [row.unit.index for row in a.units] == [row.unit.index for row in b.units]
        assert a.units[0].unit.value == pytest.approx(b.units[0].unit.value)
        assert a.moves.moved["contribution"] == b.moves.moved["contribution"]


def test_differences_that_may_be_chance_are_not_claimed(model) -> None:
    (images, _), *_ = twin_scenes()
    mixed = images[[0, 3, 1, 4]]  # a red and a green picture of each class
    found = pair(model, [(mixed, torch.tensor([0, 0, 1, 1]))], "relu", 0, 1)
    assert not any(row.is_clear for side in found.sides for row in side.units)
    assert found.headline.startswith("No channel of relu clearly separates")


def test_classes_that_nothing_separates(model) -> None:
    dark = torch.zeros(4, 3, 8, 8, dtype=torch.float64)
    found = pair(model, [(dark, torch.tensor([0, 0, 1, 1]))], "relu", 0, 1)
    assert found.first.units == found.second.units == ()
    assert found.headline == "No channel of relu clearly separates class 0 from class 1."
    assert found.plot() is not None


def test_a_loader_that_ends_is_refused(model) -> None:
    dark = [(torch.zeros(2, 3, 8, 8, dtype=torch.float64), torch.tensor([0, 1]))]
    with pytest.raises(TypeError, match="several times, got a list_iterator"):
        pair(model, iter(dark), "relu", 0, 1)
    with pytest.raises(TypeError, match="several times, got a list_iterator"):
        pair(model, dark, "relu", 0, 1, held_out=iter(dark))


@pytest.mark.parametrize(
    ("classes", "settings", "message"),
    [
        ((1, 1), {}, "expected two classes, got class 1 twice"),
        ((0, 2), {}, "the loader holds no image of class 2"),
        ((0, 1), {"top": 0}, "expected top to be a positive number"),
        ((0, 1), {"ks": ()}, "expected ks as positive numbers"),
        ((0, 1), {"by": "influence"}, "by what units do on"),
    ],
)
def test_mistakes_are_named(model, classes, settings, message) -> None:
    with pytest.raises(ValueError, match=message):
        pair(model, twin_scenes(), "relu", *classes, **settings)
