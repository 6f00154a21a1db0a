"""Functions that run as modules answer as before, and what has no rule is named."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from captum_influence.methods.lrp.modules import Pooled, Staged, Summed, unruled


class Functional(nn.Module):
    """A sum, activations and a mean by functions, in the order in which they are called."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.body = nn.Conv2d(4, 4, 3, padding=1)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.stem(x))
        x = x + self.body(x)
        return self.head(functional.gelu(x).mean((2, 3)))


IMAGES = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_a_staged_network_answers_as_before_by_modules():
    network = Functional().eval()
    expected = network(IMAGES)
    staged = Staged(network)
    for _ in range(2):  # the modules of the first pass serve the second
        torch.testing.assert_close(staged(IMAGES), expected)
        kinds = [type(module) for module in staged.functions]
        assert kinds == [nn.ReLU, Summed, nn.GELU, Pooled]


def test_a_sum_hands_its_branches_on_side_by_side():
    staged = Staged(Functional().eval())
    seen = []
    staged(IMAGES)
    staged.functions[1].register_forward_hook(lambda *args: seen.append(args[1][0]))
    staged(IMAGES)
    assert seen[0].shape == (2, 4, 8, 8, 2)
    network = staged.network
    first = functional.relu(network.stem(IMAGES))
    torch.testing.assert_close(seen[0][..., 0], first)
    torch.testing.assert_close(seen[0][..., 1], network.body(first))


@pytest.mark.parametrize("other", [1.5, torch.tensor(2.0), torch.rand(8)])
def test_sums_with_numbers_and_broadcast_tensors(other):
    class Adding(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return other + x if isinstance(other, float) else x + other

    network = Adding()
    torch.testing.assert_close(Staged(network)(IMAGES), network(IMAGES))


def test_dropout_by_a_function_in_eval_mode_is_left_out():
    class Dropping(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return functional.dropout(x, training=self.training).flatten(1)

    assert unruled(Dropping().eval(), IMAGES) == ()


def test_what_rules_can_not_be_attached_to_is_named():
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(8, 8)
            self.norm = nn.LayerNorm(8)

        def forward(self, x: Tensor) -> Tensor:
            return torch.sin(self.norm(self.head(self.head(x))))

    found = unruled(Odd(), IMAGES)
    assert found == (
        "module head runs 2 times",
        "module norm is a LayerNorm, for which there is no rule",
        "the function sin",
    )
    assert unruled(Functional().eval(), IMAGES) == ()
