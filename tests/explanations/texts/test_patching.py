"""Replaced units, in many layers at once, and how they are spoken of."""

import prompted
import pytest
import torch
from prompted import CLEAN, CORRUPTED, WordTokenizer

from captum_influence.attr.next_token import NextToken
from captum_influence.explanations.texts.patching import (
    Estimated,
    PatchedUnits,
    Patching,
    tried,
)
from captum_influence.explanations.texts.promoted import PromptUnit
from captum_influence.explanations.texts.prompt import Prompt, passing
from captum_influence.explanations.texts.sites import Sites

MODEL = prompted.reader()
PROMPT = Prompt.of(MODEL, WordTokenizer(), CLEAN, CORRUPTED)
SITES = Sites.of(MODEL, PROMPT.inputs, 11)
QUANTITY = (NextToken(2) - NextToken(1)).seeing(PROMPT.named)


def patching(rows: int = 5) -> Patching:
    _, instead = passing(MODEL, PROMPT.other, cuts=[site.cut for site in SITES.all])
    return Patching(
        network=MODEL,
        prompt=PROMPT,
        quantity=QUANTITY,
        value=0.0,
        instead={site.cut: z for site, z in zip(SITES.all, instead, strict=True)},
        rows=rows,
    )


def difference(text: str) -> float:
    row = prompted.scores(MODEL, text)[0].detach()
    return float(row[2] - row[1])


@pytest.mark.parametrize("rows", [1, 2, 32])
def test_replacing_everything_gives_the_other_prompt(rows: int) -> None:
    whole = difference(CLEAN) - difference(CORRUPTED)
    everything = [[(site, unit) for unit in range(site.count)] for site in SITES.stream]
    lost = patching(rows).lost([[], *everything, [], everything[0] + everything[1]])
    expected = torch.tensor([0, whole, whole, whole, 0, whole], dtype=torch.float64)
    torch.testing.assert_close(lost, expected, rtol=0, atol=1e-12)


def test_the_largest_estimates_are_tried_beside_random_units() -> None:
    places = [Estimated(site, unit, float(unit)) for site in SITES.heads for unit in range(4)]
    trial = tried(patching(), places, 2, seed=0)
    assert [(one.site, one.unit) for one in trial.shown] == [(SITES.heads[i], 3) for i in (0, 1)]
    alone = patching().lost([[(one.site, one.unit)] for one in trial.shown])
    assert trial.effects == pytest.approx(alone.tolist(), abs=1e-12)
    assert trial.others["together_estimate"] == 6
    assert (trial.others["sampled"], trial.others["count"]) == (8, 8)
    each = patching().lost([[(one.site, one.unit)] for one in places])
    assert trial.others["random_alone"] == pytest.approx(float(each.abs().mean()))


def test_what_there_is_no_order_of_is_said() -> None:
    unit = PromptUnit(
        kind="head", layer="b", index=0, name="head 0 of b", estimate=1, effect=1, at=0
    )
    given = {"kind": "head", "together_estimate": 2.0, "together": 1.5, "random_alone": 0.1}
    two = PatchedUnits(units=(unit, unit), random=(), agreement=None, sampled=3, count=9, **given)
    assert "there are not as many others" in two.together_in_words("q")
    assert two.agreement_in_words().startswith(
        "Over 3 of 9 heads, replaced one by one, estimate or"
    )
    one = PatchedUnits(units=(unit,), random=(), agreement=None, sampled=1, count=1, **given)
    assert one.together_in_words("q") == one.agreement_in_words() == ""
