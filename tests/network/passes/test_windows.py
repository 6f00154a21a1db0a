"""A cut where an example has several rows is the same cut where it has one."""

import pytest
import torch
from torch import Tensor, nn

from captum_influence import Cut, DistributionalInfluence, LinearPath, Point
from captum_influence.network import intervene

X = torch.randn(3, 8, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


class Windowed(nn.Module):
    """Mixes within windows of two positions, which lie in the first dimension."""

    def __init__(self, *, apart: bool = True) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.inner, self.out, self.apart = nn.Linear(5, 5), nn.Linear(5, 2), apart

    def forward(self, x: Tensor) -> Tensor:
        windows = x.unflatten(1, (4, 2))
        windows = windows if self.apart else windows.transpose(0, 1)  # else by place, not example
        z = self.inner(windows.flatten(0, 1)).tanh()
        z = z.unflatten(0, (-1, 4) if self.apart else (4, -1))
        z = z if self.apart else z.transpose(0, 1)
        return self.out(z.sum(2).square().flatten(1, 1).sum(1))


def by_hand(model: Windowed, x: Tensor) -> Tensor:
    """Return the slope of the second score by what the inner module returns, of one window each."""
    z = model.inner(x).detach().requires_grad_()
    score = model.out(z.tanh().unflatten(1, (4, 2)).sum(2).square().sum(1))[:, 1].sum()
    return torch.autograd.grad(score, z)[0].unflatten(1, (4, 2))


def test_influence_is_that_of_each_example_by_its_windows() -> None:
    model = Windowed().double()
    cut = Cut("inner", windows=4)
    measure = DistributionalInfluence(model, cut, distribution=Point(), quantity=1)
    torch.testing.assert_close(measure.attribute(X), by_hand(model, X), rtol=0, atol=1e-12)
    path = LinearPath(0.0, n=3, rule="riemann_right")
    steps = [by_hand(model, X * k / 3) / 3 for k in (1, 2, 3)]
    for rows in (1, 2, None):
        found = DistributionalInfluence(
            model, cut, distribution=path, quantity=1, multiply_by_inputs=False
        ).attribute(X, internal_batch_size=rows)
        torch.testing.assert_close(found, sum(steps), rtol=0, atol=1e-12)


def test_points_may_live_there() -> None:
    model, cut = Windowed().double(), Cut("inner", windows=4)
    found = DistributionalInfluence(
        model,
        cut,
        distribution=LinearPath(0.0, n=64),
        quantity=1,
        sample_at=cut,
        multiply_by_inputs=True,
    ).attribute(X)
    with torch.no_grad(), intervene(model, cut, torch.zeros_like):
        without = model(X)[:, 1]
    lost = model(X)[:, 1].detach() - without
    torch.testing.assert_close(found.sum((1, 2, 3)), lost, rtol=0, atol=1e-9)


def test_an_intervention_is_given_windows_of_examples() -> None:
    model, seen = Windowed().double(), list[tuple[int, ...]]()

    def change(z: Tensor) -> Tensor:
        seen.append(tuple(z.shape))
        return z.index_fill(1, torch.tensor([2]), 0.0)

    with intervene(model, Cut("inner", windows=4), change):
        found = model(X)
    z = model.inner(X).unflatten(1, (4, 2)).index_fill(1, torch.tensor([2]), 0.0).tanh()
    assert seen == [(3, 4, 2, 5)]
    assert torch.allclose(found, model.out(z.sum(2).square().sum(1)), rtol=0, atol=1e-12)
    with intervene(model, Cut("inner", windows=4), lambda z: z):
        assert torch.equal(model(X), Windowed().double()(X))


def test_windows_that_are_not_an_examples_are_refused() -> None:
    measure = DistributionalInfluence(
        Windowed(apart=False).double(), Cut("inner", windows=4), distribution=Point(), quantity=1
    )
    with pytest.raises(RuntimeError, match="depends on the rows beside it"):
        measure.attribute(X)


@pytest.mark.parametrize(("said", "message"), [(3, "expected 3 windows"), (2, r"windows=4\)")])
def test_another_count_is_refused_with_a_cure(said: int, message: str) -> None:
    model = Windowed().double()
    measure = DistributionalInfluence(
        model, Cut("inner", windows=said), distribution=Point(), quantity=1
    )
    with pytest.raises(ValueError, match=message):
        measure.attribute(X)
