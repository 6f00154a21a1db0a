"""What the finding of a prototype says, tabulates and keeps."""

import pytest
import torch

from captum_influence import Prototype, prototype
from captum_influence.demo import load_demo_network
from captum_influence.explanations import Prior
from captum_influence.testing import check_finding

CALM = Prior(jitter=0)


@pytest.fixture(scope="module")
def found() -> Prototype:
    asked = {"layer": "relu3", "unit": 5, "size": (32, 48), "steps": 3, "prior": CALM}
    return prototype(load_demo_network(), seed=7, **asked)


def test_the_headline_says_how_far_it_went(found) -> None:
    assert found.headline.startswith("This picture raises unit 5 of relu3 from ")
    assert f"to {found.value:#.3g}" in found.headline


def test_the_dict_holds_all_but_the_picture(found) -> None:
    content = found.to_dict()
    assert content["size"] == [32, 48]
    assert content["prior"] == {"decay": 1.0, "jitter": 0, "scale": 0.1, "total_variation": 0.3}
    assert content["seed"] == 7
    given = "model|layer='relu3'|unit=5|size=(32, 48)|steps=3|prior=Prior(jitter=0)|seed=7"
    lines = [f"    {argument}," for argument in given.split("|")]
    assert content["call"] == "\n".join(["prototype(", *lines, ")"])


def test_the_table_has_a_row_for_each_step(found) -> None:
    pytest.importorskip("pandas")
    table = found.to_frame()
    assert table["step"].tolist() == [1, 2, 3]
    assert table["value"].tolist() == list(found.history)


def test_it_keeps_what_every_finding_promises(found) -> None:
    check_finding(found, {"model": load_demo_network()})


def test_what_is_saved_comes_back(found, tmp_path) -> None:
    found.save(tmp_path)
    back = Prototype.load(tmp_path)
    assert torch.equal(back.image, found.image)
    assert back.prior == CALM
    assert back.to_dict() == found.to_dict()


def test_the_figure_has_the_picture_and_its_history(found) -> None:
    picture, history = found.plot().axes
    assert picture.images[0].get_array().shape == (32, 48, 3)
    assert history.lines[0].get_ydata().tolist() == list(found.history)
