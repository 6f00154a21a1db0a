"""Several layers explained: each as alone, and one order for the units of all."""

import pytest
import torch

from captum_influence import ClassScore, LinearPath, Point, explain
from captum_influence.experts import combine
from captum_influence.explanations import explain_layers
from captum_influence.units import rank_layers
from captum_influence.units.units_of import UnitsOf

ASKED = ClassScore(0) - ClassScore(1)
PATH = LinearPath(0.0, 50)


def test_each_layer_is_as_alone_and_the_order_is_that_of_rank_layers(model, image) -> None:
    found = explain_layers(model, image, ["eyes", "relu"], quantity=ASKED, distribution=PATH, top=2)
    ranking = rank_layers(
        model, image[None], ["eyes", "relu"], quantity=ASKED, distribution=PATH, top=2
    )
    assert [row.unit.name for row in found.units] == [unit.name for unit in ranking]
    assert [row.unit.share for row in found.units] == pytest.approx([u.share for u in ranking])
    alone = explain(model, image, "relu", quantity=ASKED, distribution=PATH, top=2)
    torch.testing.assert_close(found.layers["relu"].values, alone.values)
    for row in found.units:
        (same,) = [r for r in found.layers["relu"].units if r.unit.index == row.unit.index]
        torch.testing.assert_close(row.map, same.map)  # the ReLU passes both eyes on


def test_shares_are_of_how_far_the_quantity_moves(model, image) -> None:
    # q = 16 − 2: the first eye alone gives 16 of 14
    found = explain_layers(model, image, ["eyes", "relu"], quantity=ASKED, distribution=PATH, top=1)
    assert found.change == pytest.approx(14.0)
    assert found.units[0].unit.share == pytest.approx(16 / 14)


def test_by_default_units_are_in_the_order_of_what_their_removal_is_said_to_do(
    model, image
) -> None:
    found = explain_layers(model, image, ["eyes", "relu"], quantity=ASKED, top=2)
    assert found.change is None
    values = [row.unit.value for row in found.units]
    assert values == sorted(values, reverse=True)
    for row, effect in zip(found.units, found.effects, strict=True):
        own = found.layers[str(row.unit.layer)]
        assert effect in own.effects.alone
        assert effect == pytest.approx(row.unit.value)  # each eye is piecewise linear, and on


def test_without_a_reference_shares_are_of_the_layer(model, image) -> None:
    found = explain_layers(model, image, ["relu"], quantity=ASKED, distribution=Point())
    assert found.change is None
    assert found.units[0].unit.share == pytest.approx(16 / 18)


def test_influences_of_different_layers_are_shares_of_their_own(model, image) -> None:
    found = explain_layers(model, image, ["eyes", "relu"], 0, by="influence", top=1)
    assert found.change is None
    assert [one.by for one in found.layers.values()] == ["influence"] * 2


def test_target_and_versus_are_the_comparison(model, image) -> None:
    names = ["red", "green", "dark"]
    found = explain_layers(model, image, ["relu"], "red", versus="green", class_names=names, top=1)
    assert found.layers["relu"].quantity == "score(red) − score(green)"
    assert found.units[0].unit.value == pytest.approx(16.0)


def test_each_layer_may_have_units_of_its_own(model, image) -> None:
    asked = [UnitsOf("eyes", "position"), "relu"]
    found = explain_layers(model, image, asked, 0, top=1)
    names = [one.units[0].unit.name for one in found.layers.values()]
    assert names == ["position (0, 0)", "channel 0"]
    with pytest.raises(TypeError, match=r"got layer=UnitsOf\(...\) and axis beside it"):
        explain_layers(model, image, asked, 0, axis="channel")


def test_an_unknown_keyword_is_named_with_the_nearest(model, image) -> None:
    with pytest.raises(TypeError, match=r"explain_layers\(\) takes no keyword 'sed'.* seed="):
        explain_layers(model, image, ["relu"], 0, sed=1)


def test_what_is_named_can_be_removed_together(model, image) -> None:
    found = explain_layers(model, image, ["eyes", "relu"], quantity=0, top=2)
    together = combine(model, image[None], [row.unit for row in found.units], quantity=0)
    # the same eye before and after its ReLU: one effect, counted twice if added up
    assert together.joint.tolist() == pytest.approx([16.0])
    assert together.added.tolist() == pytest.approx([32.0])


@pytest.mark.parametrize(
    ("layers", "message"),
    [([], "at least one layer"), ("relu", "got str"), (["relu", "relu"], "each layer once")],
)
def test_bad_layers_are_named(model, image, layers, message) -> None:
    with pytest.raises(ValueError, match=message):
        explain_layers(model, image, layers)
