"""The check passes quantities that keep their promises, and says what a broken one breaks."""

from typing import Any

import pytest
import torch
from torch import Tensor

from captum_influence import Quantity
from captum_influence.testing import check_quantity


class Read(Quantity):
    """Returns whatever it is told to."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def __call__(self, output: Any) -> Tensor:
        return self.function(output)


class Numbered(Quantity):
    """Holds a number per example, and forgets to hand it out."""

    examples = 4

    def __call__(self, output: Tensor) -> Tensor:
        return output[:, 0] * torch.arange(1.0, 5.0)[: len(output)]


class Unresolved(Quantity):
    def resolve(self, reference: Any) -> Any:
        return reference

    def __call__(self, output: Tensor) -> Tensor:
        return output[:, 0]


BROKEN_QUANTITIES = {
    "everything": (Read(lambda s: s), r"returned shape \(4, 10\), expected one per row: \(4,\)"),
    "a batch mean": (Read(lambda s: s.mean(dim=(0, 1))), r"returned shape \(\)"),
    "a number": (Read(lambda s: 3.0), "returned a float, not a tensor"),
    "an index": (Read(lambda s: s.argmax(dim=1)), "returned torch.int64, which has no gradient"),
    "detached": (Read(lambda s: s[:, 0].detach()), "not differentiable"),
    "normalised over the batch": (Read(lambda s: s[:, 0] - s[:, 0].mean()), "have other values"),
    "reversed": (Read(lambda s: s[:, 0].flip(0)), "have other values"),
    "a hidden path to others": (
        Read(lambda s: s[:, 0] + (s - s.detach()).sum()), "depends on other rows"
    ),
    "in place": (Read(lambda s: s.mul_(2)[:, 0]), "changed a tensor that it was given"),
    "random": (Read(lambda s: s[:, 0] * torch.rand(())), "moved the global random state"),
    "infinite slope": (Read(lambda s: (0 * s[:, 0]).sqrt()), "gradient is not finite"),
    "rows not handed out": (Numbered(), "rows.. must pick what belongs to it"),
    "resolved to something else": (Unresolved(), r"resolve\(\) returned a Tensor"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN_QUANTITIES)
def test_a_broken_quantity(name: str) -> None:
    quantity, message = BROKEN_QUANTITIES[name]
    with pytest.raises(AssertionError, match=message):
        check_quantity(quantity, picklable=False)
