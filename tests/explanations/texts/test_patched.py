"""The largest estimates are tried beside random units, and spoken of."""

import pytest
from replaced import SITES, patching

from captum_influence.explanations.texts.patched import Estimated, PatchedUnits, tried
from captum_influence.units.prompts.spoken import PromptUnit


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
