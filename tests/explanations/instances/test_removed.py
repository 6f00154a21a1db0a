"""What the network says without units, beside the same network whose head ignores them."""

import pytest
import torch
from torch import nn
from voting import Eyes

from captum_influence import explain

PICTURE = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)).double()


def test_each_answer_is_that_of_a_network_that_ignores_the_unit() -> None:
    found = explain(Eyes(), PICTURE, "vote.0", 0, top=3, replace="zero", axis="neuron")
    units = [row.unit.index[0] for row in found.units]
    for gone, said in zip([*([unit] for unit in units), units], found.without, strict=True):
        deaf = Eyes()
        with torch.no_grad():
            deaf.vote[1].weight[:, gone] = 0.0
            scores = deaf(PICTURE)[0]
        assert said.index == int(scores.argmax())
        torch.testing.assert_close(said.score, float(scores.max()))


def test_without_classes_there_are_no_answers() -> None:
    model = nn.Sequential(Eyes(), nn.Linear(3, 1).double()).eval()
    assert explain(model, PICTURE, "0.vote.0", axis="neuron").without == ()


class Centred(Eyes):
    """What one row gets depends on the others: half their mean is taken from it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x - x.mean(0, keepdim=True) / 2)


class Halved(Eyes):
    """The same of a row alone."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x / 2)


def test_rows_that_see_one_another_run_one_at_a_time_if_asked() -> None:
    asked = {"top": 3, "replace": "zero", "axis": "neuron", "internal_batch_size": 1}
    with pytest.raises(RuntimeError, match="or pass internal_batch_size=1"):
        explain(Centred(), PICTURE, "vote.0", 0)
    one, other = (explain(model, PICTURE, "vote.0", 0, **asked) for model in (Centred(), Halved()))
    assert one.effects == other.effects
    assert one.without == other.without
