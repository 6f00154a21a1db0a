"""What a comparison says, draws, tabulates and keeps."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from captum_influence import Comparison, compare
from captum_influence.demo import PhraseTokenizer, load_phrase_network
from captum_influence.metrics import FlippingScore, LocalizationScore
from captum_influence.testing import check_finding
from captum_influence.visualization.numbers import number

IMAGES = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
MASKS = torch.ones(2, 16, 16, dtype=torch.bool)
NAMES = ["fish", "tree", "rock"]


def network() -> nn.Module:
    torch.manual_seed(0)
    body = [nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()]
    return nn.Sequential(*body, nn.Linear(16, 3)).eval()


@pytest.fixture(scope="module")
def found() -> Comparison:
    scores = {"ABPC": FlippingScore("mean", steps=2), "mass": LocalizationScore(MASKS)}
    names = ["Saliency", "influence", "LayerGradCam", "CAM"]
    asked = {"points": 2, "scores": scores, "class_names": NAMES, "seed": 3}
    return compare(network(), IMAGES, "0", "tree", names, **asked)


def test_the_headline_names_the_map_that_stands_its_test_best_beside_the_controls(found):
    score = f"{float(network()(IMAGES)[0, 1].detach()):#.3g}".replace("-", "−")
    by = {name: float(values[0]) for name, values in found.scores["ABPC"].items()}
    best, blob = max(by, key=by.get), float(found.prior["ABPC"][0])
    start = f"Of 3 maps of what speaks for tree (class 1, score {score}), that of {best} stands its"
    assert found.headline.startswith(start)
    assert f"a blob in the middle of the picture gets {number(blob)}, noise gets" in found.headline
    assert found.headline.endswith("Methods that can't answer for this network: 1.")
    unknown = {name: torch.full((2,), torch.nan) for name in found.maps}
    untested = replace(found, scores={"ABPC": unknown}).headline
    assert untested.startswith("3 methods agree ")
    assert f"speaks for tree (class 1, score {score}). Two maps' rank correlation is" in untested


def test_how_far_maps_agree_is_their_mean_rank_correlation_whatever_the_signs(found):
    rows = torch.tensor([[1, 2, 3, 4], [-10, 20, -30, 40], [4, 3, 2, 1], [1, 1, 1, 1]]).double()
    maps = {name: row.reshape(1, 1, 2, 2) for name, row in zip("ABCD", rows, strict=True)}

    def saying(names: str) -> Comparison:
        return replace(found, maps={name: maps[name] for name in names}, scores={}, example=0)

    whole = saying("ABC")
    wanted = [[1.0, 1.0, -1.0], [1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]]  # by hand
    torch.testing.assert_close(whole.agreement(), torch.tensor(wanted).double())
    assert "3 methods agree little" in whole.headline
    assert f"rank correlation is {number(-1 / 3)} on average. A and C agree least" in whole.headline
    assert f"A and B most ({number(1.0)})." in whole.headline
    assert "2 methods agree largely" in saying("AB").headline
    assert saying("AD").headline.startswith(
        "2 methods say what speaks for"
    )  # a map without an order
    assert saying("A").headline.startswith("1 method says what speaks for")


def test_what_is_no_better_than_a_control_is_no_evidence(found):
    marks = {"Saliency": 0.5, "influence": 0.2, "LayerGradCam": 0.1}
    asked = {
        "scores": {"mass": {name: torch.tensor([mark] * 2) for name, mark in marks.items()}},
        "chance": {"mass": torch.tensor([0.0, 0.0])},
        "prior": {"mass": torch.tensor([0.2, 0.7])},
    }
    first, second = (replace(found, **asked, example=i) for i in (0, 1))
    assert first.no_evidence("mass") == ("influence", "LayerGradCam")
    assert "No better than these, and so no evidence: influence, LayerGradCam." in first.headline
    assert second.no_evidence("mass") == tuple(marks)
    assert "So no map here is evidence of where the network looks." in second.headline
    kept = replace(first, prior={}, chance={"mass": torch.tensor([-1.0, -1.0])})
    assert kept.no_evidence("mass") == ()
    assert "evidence" not in kept.headline


def test_the_table_has_one_row_per_method_and_means_of_scores(found):
    pytest.importorskip("pandas")
    table = found.to_frame()
    assert list(table.columns) == ["seconds", "ABPC", "mass"]
    assert list(table.index) == ["Saliency", "influence", "LayerGradCam"]
    assert table.loc["Saliency", "mass"] == pytest.approx(1.0)
    mean = float(found.scores["ABPC"]["influence"].mean())
    assert table.loc["influence", "ABPC"] == pytest.approx(mean)


def test_the_dict_holds_numbers_and_reasons(found):
    content = found.to_dict()
    assert content["target"] == [1, 1]
    assert set(content["methods"]) == set(found.maps)
    method = content["methods"]["influence"]
    assert method["shape"] == [2, 1, 16, 16]
    assert method["sum"] == pytest.approx(found.maps["influence"].sum((1, 2, 3)).tolist())
    assert set(content["not_applicable"]) == {"CAM"}
    assert (content["points"], content["seed"]) == (2, 3)


def test_it_keeps_what_every_finding_promises(found):
    check_finding(found, {"model": network(), "inputs": IMAGES})


def test_of_a_text_features_are_added_up_by_token_and_a_layers_count_once():
    phrases, methods = PhraseTokenizer(), ["InputXGradient", "LayerGradientXActivation"]
    ids = torch.tensor([phrases("Anna Ben Clara Anna")["input_ids"]])
    network = load_phrase_network()
    text = compare(network, ids, "blocks.0.mlp.0", "Ben", methods, tokenizer=phrases)
    assert text.tokens == ("'<start>'", "'Anna'", "'Ben'", "'Clara'", "'Anna'")
    drawn = text.drawn()
    torch.testing.assert_close(
        drawn["InputXGradient"], text.maps["InputXGradient"][0, 0].sum(dim=1)
    )
    layer = text.units["LayerGradientXActivation"][0].sum(dim=1)  # (tokens,), over its channels
    torch.testing.assert_close(drawn["LayerGradientXActivation"], layer)
    content = text.to_dict()
    assert content["tokens"] == list(text.tokens)
    assert content["methods"]["InputXGradient"]["by_token"] == drawn["InputXGradient"].tolist()
    ranks = [drawn[name].abs().argsort().argsort().double() for name in methods]
    by_hand = float(torch.corrcoef(torch.stack(ranks))[0, 1])
    assert float(text.agreement()[0, 1]) == pytest.approx(by_hand)
    check_finding(text, {"model": network, "inputs": ids, "tokenizer": phrases})


def test_what_is_saved_comes_back(found, tmp_path):
    found.save(tmp_path)
    back = Comparison.load(tmp_path)
    assert back.to_dict() == found.to_dict()
    assert back.geometry == found.geometry
    for name, values in found.maps.items():
        assert torch.equal(back.maps[name], values)
    assert torch.equal(back.pictures[1], found.pictures[1])
    assert torch.equal(back.units["influence"], found.units["influence"])


@pytest.mark.parametrize("scale", ["each", "shared"])
def test_the_grid_states_its_scale(found, scale):
    figure = found.plot(IMAGES[0], scale=scale)
    assert len(figure.axes) == 4
    assert ("own scale" in figure.get_suptitle()) == (scale == "each")
    limits = {axes.get_title().split("±")[1] for axes in figure.axes[1:]}
    assert len(limits) == (3 if scale == "each" else 1)
    with pytest.raises(ValueError, match="scale"):
        found.plot(scale="none")


def test_the_figure_shows_the_example_that_is_asked_for(found):
    own, other = found.plot(), found.plot(example=1)
    for figure, i in ((own, 0), (other, 1)):
        shown = torch.from_numpy(figure.axes[0].images[0].get_array().copy())
        torch.testing.assert_close(shown.movedim(-1, 0).float(), found.pictures[i])
        drawn = torch.from_numpy(figure.axes[1].images[0].get_array().filled())
        torch.testing.assert_close(drawn, found.maps["Saliency"][i, 0])
    given = torch.zeros(3, 16, 16)
    assert not found.plot(given).axes[0].images[0].get_array().any()
