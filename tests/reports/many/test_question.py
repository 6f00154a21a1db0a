"""One call about many inputs, and what is said for each of them."""

from pathlib import Path

import pytest
import torch
from examples import MODEL, PICTURES

from captum_influence import compare, counterfactual, explain
from captum_influence.data.sharding import Shard
from captum_influence.reports.many.question import OfMany


def test_what_is_said_of_many_is_taken_from_the_rest() -> None:
    keywords = {"top": 2, "out": "made", "share": (1, 3)}
    many = OfMany.taken_from(keywords)
    assert keywords == {"top": 2}
    assert many.given == {"out": "made", "share": (1, 3)}
    assert many.shard(MODEL) == Shard(1, 3)
    assert OfMany().shard(MODEL) == Shard()


@pytest.mark.parametrize(
    ("said", "why"),
    [({"share": (2, 2), "out": "x"}, "from 0 to 1"), ({"share": (0, 2)}, "out=FOLDER beside")],
)
def test_a_share_that_there_is_not_is_refused(said: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        explain(MODEL, list(PICTURES), "1", **said)


def test_a_list_says_something_for_each(tmp_path: Path) -> None:
    found = compare(MODEL, list(PICTURES[:3]), "1", [2, 0, 1], ["Saliency"])
    assert [e.columns["asked about"] for e in found.entries] == ["class 2", "class 0", "class 1"]
    alike = compare(MODEL, list(PICTURES[:2]), "1", 2, ["Saliency"])
    assert {e.columns["asked about"] for e in alike.entries} == {"class 2"}
    with pytest.raises(ValueError, match="for each of 3 inputs, got 2"):
        compare(MODEL, list(PICTURES[:3]), "1", [2, 0], ["Saliency"])
    with pytest.raises(ValueError, match="true= beside a list"):
        counterfactual(MODEL, list(PICTURES[:3]), "1")


def test_each_is_asked_as_if_it_were_alone() -> None:
    found = explain(MODEL, list(PICTURES[:2]), "1", 1, top=2, class_names=["a", "b", "c"])
    for entry, picture in zip(found.entries, PICTURES, strict=False):
        alone = explain(MODEL, picture, "1", 1, top=2, class_names=["a", "b", "c"])
        assert entry.sentence == alone.answer
        assert entry.columns["its effect"] == alone.effects.alone[0]
        assert entry.columns["probability"] == pytest.approx(
            float(MODEL(picture[None]).detach().softmax(1).max())
        )


def test_what_one_input_takes_many_do_too() -> None:
    with pytest.raises(TypeError, match="did you mean axis"):
        explain(MODEL, list(PICTURES[:2]), "1", axes="neuron")
    with pytest.raises(TypeError, match="takes no keyword 'out'"):
        explain(MODEL, PICTURES[0], "1", out="made")
    assert torch.is_tensor(explain(MODEL, PICTURES[0], "1", top=1).values)
