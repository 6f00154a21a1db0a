"""The page of a bias study shows the pictures, and holds what was measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from paged import SCRIPT, Page
from torch import nn
from torch.utils.data import TensorDataset

from captum_influence import LayerInfluence
from captum_influence.training import (
    GradientShapley,
    bias_report,
    retrain_and_measure,
)

N, PLANTED = 60, range(16)


def _influence(model: nn.Module, data: TensorDataset, **options: object) -> LayerInfluence:
    return LayerInfluence(model, data, loss_fn=nn.CrossEntropyLoss(), **options)


def test_page_and_dictionary(problem, tmp_path: Path) -> None:
    pytest.importorskip("jinja2", reason="pages need the extra [report]")
    model, data, test, marked = problem
    groups = {"original <b>": (test, None), "background": (marked, None)}
    result = retrain_and_measure(
        model, data, {"test": (test, torch.zeros(12, dtype=torch.long))},
        loss_fn=nn.CrossEntropyLoss(), without=[0, 1], layers=["4"],
    )  # fmt: skip
    report = bias_report(
        _influence(model, data), groups, top=2, shapley=GradientShapley(4), retrainings=[result]
    )
    page = report.to_html(tmp_path / "bias.html").read_text()
    assert "data:image/png;base64," in page
    assert "original &lt;b&gt;" in page
    assert Page(page).scripts == [SCRIPT]
    assert "http" not in page
    assert "Measured: 4 retrained" in page
    plain = json.loads(json.dumps(report.to_dict()))
    assert [g["name"] for g in plain["groups"]] == list(groups)
    assert plain["retrainings"][0]["removed"] == 2
