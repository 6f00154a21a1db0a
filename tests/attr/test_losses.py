"""A loss of torch's reads the scores of an output; one of a user's, all that comes."""

from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from captum_influence.attr.losses import Loss

SCORES, LABELS = torch.cos(torch.arange(40.0)).reshape(4, 10), torch.tensor([3, 1, 0, 9])
LOSSES = F.cross_entropy(SCORES, LABELS, reduction="none")


@pytest.mark.parametrize(
    "loss_fn",
    [nn.CrossEntropyLoss(reduction="none"), partial(F.cross_entropy, reduction="none")],
)
@pytest.mark.parametrize("output", [SimpleNamespace(logits=SCORES), {"out": SCORES}, SCORES])
def test_losses_of_torch(loss_fn: Any, output: Any) -> None:
    assert torch.equal(Loss(loss_fn, LABELS)(output), LOSSES)


def test_a_loss_of_a_users_own() -> None:
    def of_output(output: Any, labels: Tensor) -> Tensor:
        return F.cross_entropy(output.logits, labels, reduction="none")

    assert torch.equal(Loss(of_output, LABELS)(SimpleNamespace(logits=SCORES)), LOSSES)
