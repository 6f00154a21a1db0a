"""What is said of several layers, tabulated and kept."""

import pytest
import torch

from captum_influence import ClassScore, LayerExplanations, LinearPath, Point, explain_layers
from captum_influence.testing import check_finding

ASKED = ClassScore(0) - ClassScore(1)


@pytest.fixture
def found(model, image) -> LayerExplanations:
    path = LinearPath(0.0, 50)
    return explain_layers(model, image, ["eyes", "relu"], ASKED, distribution=path, top=3)


def test_the_headline_names_the_first_unit_and_its_layer(found) -> None:
    answer, strongest, tested = found.headline.split(". ")
    assert answer == "The network says class 0 (over 99\u00a0%) rather than class 1"
    assert strongest == (
        "Channel 0 of eyes raises score(class 0) − score(class 1) most, with 114\u00a0% of how far "
        "that moves"
    )
    assert tested == (
        "Removing it (0 in its place) lowers score(class 0) − score(class 1) by 16.0; estimated: "
        "16.0."
    )


def test_shares_of_a_layer_are_called_so(model, image) -> None:
    found = explain_layers(model, image, ["relu"], ASKED, distribution=Point())
    assert "89\u00a0% of all contributions there." in found.headline


def test_when_nothing_raises_it_the_headline_says_so(model, image) -> None:
    found = explain_layers(model, image, ["eyes", "relu"], 2, top=1)
    assert found.headline.endswith("No unit of eyes, relu raises score(class 2).")


def test_the_table_has_the_units_of_all_layers(found) -> None:
    pytest.importorskip("pandas")
    table = found.to_frame()
    assert table["layer"].tolist()[:2] == ["eyes", "relu"]
    assert table["value"].tolist()[:2] == pytest.approx([16.0, 16.0])


def test_the_dict_holds_each_layer(found) -> None:
    content = found.to_dict()
    assert content["change"] == pytest.approx(14.0)
    assert list(content["layers"]) == ["eyes", "relu"]
    assert content["layers"]["relu"]["delta"] == pytest.approx(0.0, abs=1e-9)
    assert content["call"].startswith("explain_layers(\n    model, image,\n    layers=['eyes',")


def test_it_keeps_what_every_finding_promises(found, model, image) -> None:
    check_finding(found, {"model": model, "image": image})


def test_what_is_saved_comes_back(found, tmp_path) -> None:
    found.save(tmp_path)
    back = LayerExplanations.load(tmp_path)
    assert back.to_dict() == found.to_dict()
    assert torch.equal(back.layers["relu"].values, found.layers["relu"].values)
    assert torch.equal(back.units[0].map, found.units[0].map)


def test_the_figure_has_a_column_for_each_unit(found) -> None:
    titles = [axes.get_title() for axes in found.plot().axes]
    assert "channel 0 of eyes\n+114\u00a0%" in titles
    assert "channel 0 of relu\n+114\u00a0%" in titles
