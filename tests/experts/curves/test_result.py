"""Counts and the scores of them, in numbers a reader can add up; and the contract of a finding."""

import math

import pytest
import torch
from eyeing import pictures

from captum_influence import ExpertCurves, OneAgainstRest, class_rankings, expert_curves
from captum_influence.reports.asked import Asked
from captum_influence.testing import check_finding
from captum_influence.units.ranking import UnitInfluence

WHOLE = OneAgainstRest(8, 2, 2, 8)


def counted(hits: int, false_alarms: int) -> OneAgainstRest:
    return OneAgainstRest(hits, false_alarms, 10 - hits, 10 - false_alarms)


def curves(mode="keep", **counts: tuple[OneAgainstRest, ...]) -> ExpertCurves:
    units = tuple(UnitInfluence("channel", (i,), 1.0, 0.5) for i in range(4))
    return ExpertCurves(
        asked=Asked(verb="expert_curves", positional=(), keywords={}, settings={}),
        network="Net",
        layer="relu",
        target=3,
        name="cat",
        ks=(1, 2, 4),
        counts=counts,
        whole=WHOLE,
        mode=mode,
        replaced_by="0",
        rankings=dict.fromkeys(counts, units),
        seconds=1.0,
    )


def test_scores_are_scikit_learns() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    generator = torch.Generator().manual_seed(0)
    for said, true in torch.rand(5, 2, 30, generator=generator) > 0.5:
        found = OneAgainstRest.of(said, true)
        assert found.precision == pytest.approx(metrics.precision_score(true, said))
        assert found.recall == pytest.approx(metrics.recall_score(true, said))
        assert found.f1 == pytest.approx(metrics.f1_score(true, said))
        assert found.accuracy == pytest.approx(metrics.accuracy_score(true, said))


def test_of_nothing_scores_are_zero() -> None:
    nothing = OneAgainstRest.of(torch.zeros(3) > 0, torch.zeros(3) > 0)
    assert (nothing.precision, nothing.recall, nothing.f1, nothing.accuracy) == (0, 0, 0, 1)


def test_the_best_k_is_the_smallest_with_the_highest_f1() -> None:
    found = curves(by_hand=(counted(10, 10), counted(8, 0), counted(8, 0)))
    assert found.curve("f1", "by_hand") == pytest.approx((2 / 3, 8 / 9, 8 / 9))
    assert found.best_k == {"by_hand": 2}  # the first has the highest recall, and says it of all
    assert found.best == {"by_hand": counted(8, 0)}


def test_of_removals_it_is_the_smallest_with_the_lowest_recall() -> None:
    found = curves("remove", by_hand=(counted(8, 0), counted(1, 0), counted(1, 5)))
    assert found.best_k == {"by_hand": 2}


def test_the_headline_of_experts_names_the_best_and_what_chance_takes() -> None:
    found = curves(
        influence=(counted(8, 0), counted(9, 0), counted(9, 0)),
        random=(counted(2, 0), counted(5, 0), counted(9, 1)),
    )
    assert found.headline == (
        "2 units by influence alone recognise cat as well as the whole network. Found of cat: "
        "90\u00a0% by these units (100\u00a0% of what is called so is right); 80\u00a0% by the "
        "whole network (80\u00a0% of what is called so is right); 50\u00a0% by as many at random "
        "(100\u00a0% of what is called so is right)."
    )
    alone = curves(random=(counted(9, 0), counted(9, 1), counted(9, 1)))
    assert alone.headline.startswith("1 unit at random alone recognises cat as well as the whole")
    assert "as many at random" not in alone.headline


def test_what_chance_does_as_well_is_no_merit() -> None:
    same = (counted(2, 0), counted(9, 0), counted(9, 0))
    found = curves(influence=same, random=same)
    assert (
        ", and so do as many at random. Found of cat: 90\u00a0% by these units, as many at random"
        in (found.headline)
    )
    worse = curves(influence=(counted(2, 0),) * 3)
    assert "alone recognises cat less well than the whole network." in worse.headline


def test_the_headline_of_removals_says_what_is_left() -> None:
    found = curves("remove", influence=(counted(8, 0), counted(2, 0), counted(2, 0)))
    assert found.headline.startswith(
        "Without 2 units by influence the network recognises 20\u00a0% of cat; with all, 80"
    )


def test_the_dict_names_the_units_and_the_table_has_a_row_for_each_k() -> None:
    pytest.importorskip("pandas")
    scores = (counted(8, 0), counted(9, 0), counted(9, 1))
    found = curves(a=scores, b=scores[::-1])
    content = found.to_dict()
    assert content["units"]["a"] == [[0], [1], [2], [3]]
    assert content["best_k"] == found.best_k
    table = found.to_frame()
    assert table["units"].tolist() == [1, 2, 4, 1, 2, 4]
    assert tuple(table[table["ranking"] == "b"]["f1"]) == found.curve("f1", "b")


def test_all_scores_are_drawn() -> None:
    drawn = curves(a=(counted(8, 0), counted(9, 0), counted(9, 1))).plot().axes
    assert [axes.get_title() for axes in drawn] == ["precision", "recall", "f1", "accuracy"]


def test_curves_of_a_network_keep_the_contract(model) -> None:
    names, loader = ["red", "green", "dark"], pictures()
    rankings = class_rankings(model, loader, "relu", 1, by=["influence", "random"])
    ranked = expert_curves(model, loader, "relu", "green", rankings, class_names=names)
    check_finding(ranked, {"model": model, "loader": loader, "rankings": rankings})
    chosen = {"by hand": [1, 0]}
    removed = expert_curves(model, loader, model.relu, 1, chosen, mode="remove", replace="mean")
    check_finding(removed, {"model": model, "loader": loader})
    assert "rankings={'by hand': [1, 0]}" in removed.call


def test_the_interval_of_a_score_is_that_of_drawing_examples_anew() -> None:
    counts = OneAgainstRest(hits=30, false_alarms=5, misses=10, rest=55)
    low, high = counts.interval("recall")
    # Of a share p of n, nearly p ± 1.96 sqrt(p (1 - p) / n).
    half = 1.96 * math.sqrt(0.75 * 0.25 / 40)
    assert low == pytest.approx(0.75 - half, abs=0.03)
    assert high == pytest.approx(0.75 + half, abs=0.03)
    assert counts.interval("f1") == counts.interval("f1")
    assert OneAgainstRest(4, 0, 0, 4).interval("f1") == (1.0, 1.0)
