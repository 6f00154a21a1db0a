"""What relevance says, draws, tabulates and keeps."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from captum_influence import Relevance, relevance
from captum_influence.methods.lrp import ByZennit
from captum_influence.methods.lrp.result import conservation_error
from captum_influence.testing import check_finding

IMAGES = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
NAMES = ["fish", "tree"]


def network(bias: bool = False) -> nn.Module:
    torch.manual_seed(0)
    body = [nn.Conv2d(3, 4, 3, bias=bias), nn.ReLU(), nn.Flatten()]
    return nn.Sequential(*body, nn.Linear(144, 2, bias=bias)).eval()


@pytest.fixture(scope="module")
def found() -> Relevance:
    asked = {"layers": ["1", "3"], "class_names": NAMES, "tolerance": 9.0}
    return relevance(network(bias=True), IMAGES, "tree", **asked)


def test_the_headline_says_what_arrives():
    one = relevance(network(), IMAGES[:1], 1, class_names=NAMES)
    score = float(network()(IMAGES[:1])[0, 1].detach())
    words = f"{score:#.3g}".replace("-", "−")
    assert one.headline == (
        f"Relevance hands score(tree), {words}, down to the input; what arrives there is off by "
        "under 1\u00a0% of it."
    )
    lossy = replace(one, conservation_error=torch.tensor([0.25]))
    assert "off by 25\u00a0% of it." in lossy.headline


def test_of_several_inputs_the_worst_counts(found):
    worst = round(100 * float(found.conservation_error.max()))
    assert f"down to 2 inputs; what arrives there is off by {worst}\u00a0%" in found.headline
    assert worst > 1  # the bias takes its part


def test_errors_are_shares_of_the_score(found):
    for name in ("input", "1", "3"):
        total = found.relevances[name].flatten(1).sum(1)
        expected = (total - found.output).abs() / found.output.abs()
        torch.testing.assert_close(found.error_at(name), expected)
    torch.testing.assert_close(found.error_at("input"), found.conservation_error)
    lost = conservation_error(torch.tensor([[1.0, -3.0]]), torch.zeros(1))
    assert lost.tolist() == [2.0]  # of a score of zero: as it is


def test_the_table_has_a_row_for_each_example_at_each_place(found):
    pytest.importorskip("pandas")
    table = found.to_frame()
    assert table["place"].tolist() == ["input"] * 2 + ["1"] * 2 + ["3"] * 2
    assert table["example"].tolist() == [0, 1] * 3
    assert table["relevance"].tolist()[:2] == pytest.approx(found.map.sum((1, 2, 3)).tolist())
    assert table["error"].tolist()[:2] == pytest.approx(found.conservation_error.tolist())


def test_it_keeps_what_every_finding_promises(found):
    check_finding(found, {"model": network(bias=True), "inputs": IMAGES})


def test_what_is_saved_comes_back(found, tmp_path):
    found.save(tmp_path)
    back = Relevance.load(tmp_path)
    assert back.by == found.by
    assert torch.equal(back.layers["1"], found.layers["1"])
    assert back.rules == found.rules


def test_a_composite_of_zennits_is_named_by_its_rules_alone(tmp_path):
    composites = pytest.importorskip("zennit.composites", reason="zennit is the [lrp] extra")
    by = ByZennit(composites.EpsilonPlus())
    found = relevance(network(), IMAGES, 1, by=by, tolerance=9.0)
    assert isinstance(found.by, ByZennit)
    assert found.rules["0"] == "ZPlus"
    found.save(tmp_path)
    assert Relevance.load(tmp_path).rules == found.rules


def test_the_figure_has_the_picture_the_input_and_the_layers(found):
    titles = [axes.get_title().split("\n")[0] for axes in found.plot(example=1).axes]
    assert titles == ["the picture", "input", "1", "3"]
    shared = found.plot(scale="shared").axes[1:]
    assert len({axes.get_title().split("±")[1] for axes in shared}) == 1
