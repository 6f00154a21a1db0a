"""What the answer about a prompt says, tabulates and keeps."""

import json
import math

import prompted
import pytest
import torch
from prompted import CLEAN, CORRUPTED, WordTokenizer

from captum_influence import NextToken, TextExplanation, explain_text
from captum_influence.visualization.numbers import number


@pytest.fixture(scope="module")
def found() -> TextExplanation:
    asked = NextToken(2) - NextToken(3)
    return explain_text(prompted.reader(), WordTokenizer(), CLEAN, asked, CORRUPTED, top=3)


def test_the_headline_has_estimate_effect_and_chance(found: TextExplanation) -> None:
    head, token = found.of("head"), found.of("token").units[0]
    first, second, *_ = found.headline.split(". ")
    assert first.startswith("The network says '")
    assert first.endswith(f"; {token.name}, and {head.units[0].name} matter most")
    assert second.startswith("Replaced, with its activation in the other prompt there")
    effect, estimate = map(number, (-head.units[0].effect, -head.units[0].estimate))
    assert f"{head.units[0].name} by {effect} (estimated: by {estimate})" in second
    assert f"a head drawn at random ± {number(head.random_alone)}" in second
    assert found.headline.endswith("rank correlation of 1.00.")


def test_sums_are_told(found: TextExplanation) -> None:
    for (_, total, true), column in zip(found.totals, found.map.T, strict=True):
        assert total == pytest.approx(float(column.sum()))
        assert true == pytest.approx(found.changes[0], abs=1e-12)
    assert found.adds_up is False
    assert "don't add up: at embedding" in found.sum_in_words()


def test_the_table_has_every_shown_unit(found: TextExplanation) -> None:
    table = found.to_frame()
    assert table["kind"].tolist() == ["token", *["head"] * 3, *["neuron"] * 3]
    assert table["effect"].tolist() == [u.effect for p in found.patched for u in p.units]


def test_it_comes_back(found: TextExplanation, tmp_path) -> None:
    found.save(tmp_path)
    back = TextExplanation.load(tmp_path)
    assert json.dumps(back.to_dict()) == json.dumps(found.to_dict())
    assert back.patched == found.patched
    assert torch.equal(back.map, found.map)


def test_what_there_is_none_of_is_refused(found: TextExplanation) -> None:
    with pytest.raises(ValueError, match="expected one of token, head, neuron, got 'layer'"):
        found.of("layer")


def test_heads_are_as_many_as_there_are() -> None:
    model = prompted.reader()
    found = explain_text(model, WordTokenizer(), CLEAN)
    assert found.heads.shape == (2, 4)
    assert not any(map(math.isnan, found.heads.flatten().tolist()))
    assert found.replacement == "zero"
