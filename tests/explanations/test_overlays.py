"""The map of the whole answer: its test against a loop by hand, and what it says."""

import pytest
import torch
from torch import Tensor, nn

from captum_influence import ClassScore, explain
from captum_influence.explanations.overlays import PRIOR, UNITS
from captum_influence.metrics.removal import replaced_pixels

X = torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
X[:, 0] *= 0.2
X[:, 0, :4, :4] = 1.0


@pytest.fixture
def corner() -> nn.Sequential:
    """Scores by the upper left corner: class 1 is its red, class 0 nothing."""
    eye = nn.Conv2d(3, 2, 4, stride=4, bias=False).double()
    head = nn.Linear(2 * 36, 2, bias=False).double()
    with torch.no_grad():
        eye.weight.zero_()
        eye.weight[0, 0] = 0.5
        head.weight.zero_()
        head.weight.view(2, 2, 6, 6)[1, 0, 0, 0] = 1.0
    return nn.Sequential(eye, nn.ReLU(), nn.Flatten(), head).eval()


def _by_hand(network: nn.Module, values: Tensor, steps: int = 6) -> float:
    """Insertion − deletion, pixel by pixel, of the probability of class 1."""
    blurred, order = replaced_pixels(X, "blur"), values.flatten().argsort(descending=True)
    total = 0.0
    for step in range(1, steps):
        first = torch.zeros(24 * 24, dtype=torch.bool)
        first[order[: round(24 * 24 * step / steps)]] = True
        mask = first.reshape(24, 24)
        with torch.no_grad():
            inserted, deleted = torch.where(mask, X, blurred), torch.where(mask, blurred, X)
            total += float(network(inserted).softmax(-1)[0, 1] - network(deleted).softmax(-1)[0, 1])
    return total / steps


def test_the_map_that_is_shown_is_the_best_and_its_test_is_right(corner: nn.Module) -> None:
    overlay = explain(corner, X, "1", 1, top=1).overlay
    assert overlay is not None
    assert overlay.measured == "its probability"
    assert overlay.score == max(v for name, v in overlay.scores.items() if name != PRIOR)
    assert overlay.score == pytest.approx(_by_hand(corner, overlay.seen.map))
    assert overlay.seen.mask[:4, :4].float().mean() > overlay.seen.mask[12:, 12:].float().mean()
    assert overlay.is_evidence  # the corner isn't the middle
    assert UNITS in overlay.scores


def test_what_a_blob_does_better_is_no_evidence(corner: nn.Module) -> None:
    found = explain(corner, X, "1", 0, top=1)  # class 0 scores zero whatever the picture
    assert found.overlay is not None
    if not found.overlay.is_evidence:
        assert "no map here is evidence of where the network looks" in found.overlay.in_words()


def test_of_a_difference_the_quantity_itself_is_measured(corner: nn.Module) -> None:
    found = explain(corner, X, "1", ClassScore(1) - ClassScore(0), top=1)
    assert found.overlay is not None
    assert found.overlay.measured == "the quantity"


def test_units_are_smoothed_by_the_step_of_the_layer(corner: nn.Module) -> None:
    wide = nn.Sequential(nn.Conv2d(3, 3, 1).double(), corner).eval()
    assert explain(wide, X, "1.1", 1, top=1).display.sigma == 24 / 8  # the step is 4: too wide
    assert explain(wide, X, "0", 1, top=1).display.sigma == 24 / 16  # the step is 1: too narrow
    assert explain(wide, X, "0", 1, top=1, smoothing=2.0).display.sigma == 2.0


def test_it_can_be_left_out_and_a_series_has_none(corner: nn.Module) -> None:
    assert explain(corner, X, "1", 1, overlay=False).overlay is None
    network = nn.Sequential(nn.Conv1d(2, 3, 3), nn.Flatten(), nn.Linear(9, 2)).eval()
    assert explain(network, torch.rand(1, 2, 5), "0", 1, axis=1).overlay is None


def test_a_layer_without_places_has_no_map_of_its_own(corner: nn.Module) -> None:
    overlay = explain(corner, X, "3", 1).overlay
    assert overlay is not None
    assert "layer map" not in overlay.scores
    assert "integrated gradients" in overlay.scores
