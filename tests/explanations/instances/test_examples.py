"""In which inputs of a loader a unit stands out, by hand."""

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from captum_influence import explain
from captum_influence.units.shown.series import SeriesDisplay

NAMES = ["red", "green", "dark"]


def test_top_examples_of_a_loader(model, image) -> None:
    images = torch.zeros(7, 3, 8, 8, dtype=torch.float64)
    images[:, 0, 0, 0] = torch.tensor([1.0, 5.0, 2.0, 7.0, 0.0, 6.0, 3.0])  # counts for the score
    images[:, 0, 0, 7] = torch.tensor([0.0, 9.0, 0.0, 0.0, 0.0, 0.0, 0.0])  # only for the unit
    labels = torch.tensor([0, 1, 2, 0, 1, 2, 0])
    loader = DataLoader(TensorDataset(images, labels), batch_size=3)
    asked = {"quantity": 0, "top": 1, "replace": "zero"}
    found = explain(model, image, "relu", loader=loader, class_names=NAMES, **asked)
    examples = [(e.kind, e.number, e.value, e.label_name) for e in found.units[0].examples]
    assert examples == [
        ("activation", 1, pytest.approx(14.0), "green"),
        ("activation", 3, pytest.approx(7.0), "red"),
        ("activation", 5, pytest.approx(6.0), "dark"),
        ("contribution", 3, pytest.approx(7.0), "red"),
        ("contribution", 5, pytest.approx(6.0), "dark"),
        ("contribution", 1, pytest.approx(5.0), "green"),
    ]
    # the 4 × 4 pixels of the place where the unit is most active
    assert [e.box for e in found.units[0].examples[:2]] == [(0, 4, 4, 8), (0, 0, 4, 4)]
    first = found.units[0].examples[0]
    assert torch.equal(first.crop, first.image[:, :4, 4:])
    bare = explain(model, image, "relu", quantity=0, top=1, loader=[images[:2]])
    assert [e.label for e in bare.units[0].examples] == [None] * 4


def test_ties_go_to_the_first_and_batches_change_nothing(model, image) -> None:
    images = torch.zeros(6, 3, 8, 8, dtype=torch.float64)
    images[:, 0, 0, 0] = torch.tensor([1.0, 2.0, 2.0, 0.0, 2.0, 2.0])
    for size in (1, 2, 6):
        loader = DataLoader(TensorDataset(images), batch_size=size)
        found = explain(model, image, "relu", 0, top=1, loader=loader)
        numbers = [e.number for e in found.units[0].examples]
        assert numbers == [1, 2, 4, 1, 2, 4]


def test_a_picture_of_another_size_is_shown_without_a_box() -> None:
    body = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU())
    model = nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2)).eval()
    torch.manual_seed(0)
    small, large = torch.rand(1, 3, 6, 6), torch.rand(1, 3, 9, 9)
    asked = {"loader": [small, large], "top": 1, "display": lambda x: torch.zeros(3, 6, 6)}
    found = explain(model, small, "0", 0, **asked)
    shown = {e.number: e for e in found.units[0].examples}
    assert shown[0].image.shape == (3, 6, 6)
    assert shown.get(1) is None or shown[1].box is None


def test_examples_of_series_are_series() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(18, 2)).eval()
    series = torch.rand(4, 2, 8)
    found = explain(model, series[:1], "1", 0, top=1, loader=[series])
    examples = found.units[0].examples
    assert len(examples) == 6
    assert all(isinstance(e.display, SeriesDisplay) for e in examples)
    assert {e.box for e in examples} == {None}
    found.page().html()


def test_a_loader_that_yields_nothing_is_refused(model, image) -> None:
    with pytest.raises(ValueError, match="the loader is empty"):
        explain(model, image, "relu", 0, loader=[])
