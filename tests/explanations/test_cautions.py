"""A baseline that isn't neutral is warned of, on the page and in Python."""

import html
import warnings

import pytest
import torch
from torch import nn

from captum_influence import Explanation, LinearPath, explain
from captum_influence.attr import LeftRiemann

X = torch.tensor([1.0, 2.0], dtype=torch.float64)[None, :, None, None]


def _network(weight: list[list[float]], bias: list[float]) -> nn.Sequential:
    head = nn.Linear(2, 2).double()
    head.load_state_dict({"weight": torch.tensor(weight), "bias": torch.tensor(bias)})
    return nn.Sequential(nn.Identity(), nn.Flatten(), head).eval()


def _asked(network: nn.Module, **asked) -> tuple[Explanation, list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = explain(network, X, "0", 0, **asked)
    assert all(__file__ == warning.filename for warning in caught)
    return found, [str(warning.message) for warning in caught]


def test_a_baseline_of_a_higher_score_and_of_the_class_is_said() -> None:
    network = _network([[-1.0, 0.0], [0.0, 0.0]], [3.0, 0.0])
    found, warned = _asked(network, distribution=LinearPath(0.0, 4), class_names=["car", "dog"])
    assert warned == list(found.cautions)
    higher, taken = warned
    assert higher.startswith("At the baseline the quantity is 3.00, not below the 2.00 of")
    assert taken.startswith("The network takes the baseline itself for car (95")
    assert "leave distribution= out" in taken
    assert all(caution in found.headline for caution in warned)
    assert all(caution in html.unescape(found.page().html()) for caution in warned)
    assert found.to_dict()["cautions"] == warned


def test_a_class_that_leads_by_little_is_not_said_to_be_there() -> None:
    head = nn.Linear(2, 3).double()
    head.load_state_dict({"weight": torch.eye(3, 2), "bias": torch.tensor([0.5, 0.0, 0.0])})
    network = nn.Sequential(nn.Identity(), nn.Flatten(), head).eval()  # 45 % of nothing
    found, warned = _asked(network, distribution=LinearPath(0.0, 4))
    assert warned == []
    assert found.cautions == ()


def test_contributions_that_miss_the_change_are_said() -> None:
    network = nn.Sequential(_network([[1.0, 0.0], [0.0, 0.0]], [-3.0, 0.0]), nn.Softplus(20.0))
    found, warned = _asked(network, distribution=LinearPath(0.0, 2, LeftRiemann()))
    assert len(warned) == 1
    assert "take more points, LinearPath(..., n=...)" in warned[0]
    assert found.delta is not None


@pytest.mark.parametrize(
    "asked",
    [{}, {"replace": "zero"}, {"distribution": LinearPath(0.0, 8)}],
    ids=["point", "zero", "neutral"],
)
def test_a_neutral_start_is_not_warned_of(asked) -> None:
    network = _network([[1.0, 0.0], [0.0, 0.0]], [0.0, 0.0])
    found, warned = _asked(network, **asked)
    assert warned == []
    assert found.cautions == ()
