"""What is measured on images of a class and of the rest, beside loops written out."""

import pytest
import torch
from eyeing import pictures
from torch import nn

from captum_influence import class_rankings
from captum_influence.experts.rankings import EVERY


def curved() -> nn.Sequential:
    torch.manual_seed(0)
    tail = [nn.Tanh(), nn.Flatten(), nn.Linear(4 * 36, 3)]
    return nn.Sequential(nn.Conv2d(3, 4, 3), *tail).double()


@pytest.fixture
def batches() -> list[tuple[torch.Tensor, torch.Tensor]]:
    ((images, labels),) = pictures()
    return [(images[:7], labels[:7]), (images[7:], labels[7:])]


def by_hand(batches, target: int) -> dict[str, torch.Tensor]:
    model = curved()
    images, labels = (torch.cat(part) for part in zip(*batches, strict=True))
    z = model[:2](images).detach().requires_grad_()
    (slopes,) = torch.autograd.grad(model[2:](z)[:, target].sum(), z)
    z, own = z.detach(), labels == target
    means = z[own].mean(0), z[~own].mean(0)
    sums = z.sum((2, 3))
    spread = ((sums[own].var(0) + sums[~own].var(0)) / 2).sqrt()
    return {
        "influence": slopes[own].sum((2, 3)).mean(0),
        "magnitude": slopes[own].abs().sum((2, 3)).mean(0),
        "contribution": (slopes * (z - z.mean(0)))[own].sum((2, 3)).mean(0),
        "contrast": (slopes * (means[0] - means[1]))[own].sum((2, 3)).mean(0),
        "activation": sums[own].mean(0),
        "selectivity": (sums[own].mean(0) - sums[~own].mean(0)) / spread,
    }


@pytest.mark.parametrize("target", [0, 1])
def test_measures_are_those_of_a_loop(batches, target: int) -> None:
    expected = by_hand(batches, target)
    found = class_rankings(curved(), batches, "1", target, by=list(expected), ends="top")
    for name, values in expected.items():
        torch.testing.assert_close(found[name].values, values)
        order = values.argsort(descending=True).tolist()
        assert [unit.index[0] for unit in found[name]] == order


def test_the_rest_is_asked_for_where_a_ranking_needs_it(batches) -> None:
    images, labels = batches[0]
    alone = [(images[labels == 0], labels[labels == 0])]
    assert list(class_rankings(curved(), batches, "1", 0)) == list(EVERY)
    some = class_rankings(curved(), alone, "1", 0)
    assert set(EVERY) - set(some) == {"contrast", "selectivity"}
    for name in ("contrast", "selectivity"):
        with pytest.raises(ValueError, match=f"for '{name}', got none: leave it out"):
            class_rankings(curved(), alone, "1", 0, by=[name])
