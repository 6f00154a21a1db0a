"""The one loop against a slow replica, in every precision, mode and batching."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from captum_influence import (
    Baselines,
    ClassScore,
    Cut,
    Distribution,
    DistributionalInfluence,
    Function,
    LinearPath,
    Loss,
    Mixture,
    Noise,
    Point,
    Quantity,
    Samples,
    Unit,
)
from captum_influence.attr import Execution

X = torch.sin(torch.arange(12, dtype=torch.float64)).reshape(4, 3)
FAR = torch.cos(torch.arange(15, dtype=torch.float64)).reshape(5, 3)
DISTRIBUTIONS = [
    Point(), LinearPath(FAR[0], n=6), Noise(0.5, n=4), Baselines(FAR, n=4), Samples(FAR),
    Mixture([(0.2, Point()), (0.8, LinearPath(1.0, n=3))]),
]  # fmt: skip
QUANTITIES = [
    ClassScore(1), ClassScore([0, 1, 1, 0]), ClassScore(0) - 2 * ClassScore(1),
    Function(lambda s: s.softmax(dim=1)[:, 0]),
    Loss(nn.CrossEntropyLoss(reduction="none"), torch.tensor([1, 0, 0, 1])),
]  # fmt: skip


def _model(dtype: torch.dtype = torch.float64) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(3, 5), nn.GELU(), nn.Linear(5, 4), nn.ReLU(inplace=True), nn.Linear(4, 2)
    ).to(dtype)


def _slowly(
    before: Callable[[Tensor], Tensor],
    after: Callable[[Tensor], Tensor],
    distribution: Distribution,
    quantity: Quantity,
    x: Tensor = X,
) -> Tensor:
    """The definition: one point, one example, one gradient at a time."""
    total: Tensor | float = 0.0
    for weight, (point,), _ in distribution.points((x,)):
        rows = []
        for example in range(len(x)):
            z = before(point[example : example + 1]).detach().requires_grad_()
            value = quantity.rows(torch.tensor([example]))(after(z))
            rows.append(torch.autograd.grad(value[0], z)[0])
        total = total + weight * torch.cat(rows)
    assert isinstance(total, Tensor)
    return total


@pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=lambda d: type(d).__name__)
@pytest.mark.parametrize("quantity", QUANTITIES, ids=["one", "each", "sum", "function", "loss"])
def test_the_definition(distribution: Distribution, quantity: Quantity) -> None:
    model = _model()
    found = DistributionalInfluence(
        model, ["0", "2", Cut("4", "input")], distribution=distribution, quantity=quantity
    ).attribute(X)
    for cut, ours in zip((1, 3, 4), found, strict=True):
        after = lambda z, cut=cut: model[cut:](z.clone())  # noqa: E731
        slow = _slowly(model[:cut], after, distribution, quantity)
        assert torch.allclose(ours, slow, atol=1e-13)


@pytest.mark.parametrize("execution", ["loop", "batched", "auto"])
@pytest.mark.parametrize("rows", [None, 1, 3])
def test_quantities_share_a_pass(execution: Any, rows: int | None) -> None:
    model = _model()
    together = DistributionalInfluence(
        model, ["0", "2"], distribution=LinearPath(0.3, n=5), quantity=QUANTITIES,
        execution=Execution(quantities=execution),
    ).attribute(X, internal_batch_size=rows, grad_kwargs={"retain_graph": False})  # fmt: skip
    for k, quantity in enumerate(QUANTITIES):
        alone = DistributionalInfluence(
            model, ["0", "2"], distribution=LinearPath(0.3, n=5), quantity=quantity
        ).attribute(X)
        for ours, expected in zip(together, alone, strict=True):
            assert torch.allclose(ours[k], expected, atol=1e-14)


class _Stubborn(torch.autograd.Function):
    """A function whose backward can't be batched: it looks at numbers."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x**2

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        assert grad.sum().item() == grad.sum().item()
        return 2 * x * grad


class Stubborn(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return _Stubborn.apply(x)


def test_quantities_whose_gradients_cannot_be_batched() -> None:
    model = nn.Sequential(nn.Linear(3, 4), Stubborn(), nn.Linear(4, 2)).double()
    quantities = [ClassScore(0), ClassScore(1)]
    found = DistributionalInfluence(model, "0", quantity=quantities).attribute(X)
    for k, quantity in enumerate(quantities):
        alone = DistributionalInfluence(model, "0", quantity=quantity).attribute(X)
        assert torch.allclose(found[k], alone, atol=1e-14)


def test_arguments_follow_their_examples() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(3, 4).double(), nn.Linear(4, 2).double()

        def forward(self, x: Tensor, scale: Tensor, shift: Any, power: int = 1) -> Tensor:
            shift = 0 if shift is None else shift
            return self.last((self.first(x) * scale + shift) ** power)

    model, scale = Scaled(), torch.rand(4, 4).double()
    for examples in (1, 4):
        for extra in (
            (scale[:examples], None, 2),
            (scale[:examples], torch.ones(1, 4).double(), 3),
        ):
            found = DistributionalInfluence(model, "first").attribute(
                X[:examples], target=1, additional_forward_args=extra, internal_batch_size=3
            )
            for row in range(examples):
                one = (extra[0][row : row + 1], *extra[1:])
                alone = DistributionalInfluence(model, "first").attribute(
                    X[row : row + 1], target=1, additional_forward_args=one
                )
                assert torch.allclose(found[row], alone[0], atol=1e-14)


def test_tokens_and_an_embedding_layer() -> None:
    model = nn.Sequential(nn.Embedding(7, 3), nn.Flatten(), nn.Tanh(), nn.Linear(6, 2)).double()
    tokens, pad = torch.tensor([[1, 2], [3, 4], [6, 1]]), 5
    start, end = model[0](torch.full((3, 2), pad)).detach(), model[0](tokens).detach()
    path = LinearPath(start, n=50)
    slow = _slowly(lambda z: z, model[1:], path, ClassScore(1), end)
    for sample_at in ("0", None):  # where the tokens are embedded, which is found
        at_once = DistributionalInfluence(model, "0", sample_at=sample_at)
        assert torch.allclose(at_once.attribute(tokens, pad, 1), slow, atol=1e-13)
    point = DistributionalInfluence(model, "0", distribution=Point()).attribute(tokens, target=1)
    assert torch.allclose(point, _slowly(lambda z: z, model[1:], Point(), ClassScore(1), end))
    complete = DistributionalInfluence(model, "0", sample_at="0", multiply_by_inputs=True)
    _, delta = complete.attribute(tokens, pad, 1, return_convergence_delta=True)
    assert float(delta.abs().max()) < 1e-12


# Modes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
@pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=lambda d: type(d).__name__)
def test_the_grad_mode_around_does_not_matter(mode: Any, distribution: Distribution) -> None:
    settings: dict[str, Any] = {"distribution": distribution, "multiply_by_inputs": True}
    influence = DistributionalInfluence(_model(), [Cut("0", "input"), "2"], **settings)
    expected = influence.attribute(X, target=1)
    with mode():
        found = influence.attribute(X.clone(), target=1)
        assert torch.is_inference_mode_enabled() == (mode is torch.inference_mode)
        assert torch.is_grad_enabled() == (mode is torch.enable_grad)
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours, theirs)
        assert not ours.requires_grad


def test_arguments_made_in_inference_mode() -> None:
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(3, 4).double(), nn.Linear(4, 2).double()

        def forward(self, x: Tensor, mask: Tensor) -> Tensor:
            return self.last(self.first(x) * mask * mask)

    model = Masked()
    with torch.inference_mode():
        x, mask = X.clone(), torch.rand(1, 4).double()
        found = DistributionalInfluence(model, "first").attribute(x, None, 1, mask)
    assert found.shape == (4, 4)


def test_inputs_and_parameters_with_gradients_keep_them() -> None:
    model, x = _model(), X.clone().requires_grad_()
    model(x).sum().backward()
    before = [x.grad.clone(), *[p.grad.clone() for p in model.parameters()]]
    found = DistributionalInfluence(model, "2").attribute(x, target=1)
    assert not found.requires_grad
    after = [x.grad, *[p.grad for p in model.parameters()]]
    assert all(torch.equal(a, b) for a, b in zip(after, before, strict=True))
    assert all(p.requires_grad for p in model.parameters())


# Precision ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_results_have_the_layers_dtype_and_sums_are_better(dtype: torch.dtype) -> None:
    model = _model(dtype)
    found = DistributionalInfluence(model, "2", distribution=LinearPath(0.1, n=33)).attribute(
        X.to(dtype), target=1
    )
    assert found.dtype == dtype
    total = torch.zeros(4, 4)
    for weight, (point,), _ in LinearPath(0.1, n=33).points((X.to(dtype),)):
        z = model[:3](point).detach().requires_grad_()
        grad = torch.autograd.grad(model[3:](z.clone())[:, 1].sum(), z)[0]
        total += weight * grad.float()
    eps = torch.finfo(dtype).eps
    assert torch.allclose(found.float(), total, rtol=2 * eps, atol=2 * eps)


@pytest.mark.parametrize("n", [50, 2000])
def test_small_gradients_of_half_precision_do_not_vanish_in_many_points(n: int) -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2)).half()
    with torch.no_grad():
        model[1].weight.fill_(1e-4)
    noise = Noise(1.0, n=n)
    found = DistributionalInfluence(model, "0", distribution=noise).attribute(X.half(), target=0)
    assert torch.equal(found, model[1].weight[0].expand(4, 3))


def test_quantities_of_half_precision_share_a_pass() -> None:
    model = _model(torch.float16)
    quantities = [ClassScore(0), ClassScore([0, 1, 1, 0])]
    noise = Noise(0.5, n=70)
    together = DistributionalInfluence(model, "2", distribution=noise, quantity=quantities)
    for found, quantity in zip(together.attribute(X.half()), quantities, strict=True):
        alone = DistributionalInfluence(model, "2", distribution=noise, quantity=quantity)
        assert torch.allclose(found, alone.attribute(X.half()), rtol=2e-3, atol=1e-4)


def test_autocast_is_honoured() -> None:
    model, path = _model(torch.float32), LinearPath(0.1, n=9)
    influence = DistributionalInfluence(model, "2", distribution=path)
    exact = influence.attribute(X.float(), target=1)
    with torch.autocast("cpu", torch.bfloat16):
        found = influence.attribute(X.float(), target=1)
    assert found.dtype == torch.bfloat16
    total = torch.zeros(4, 4)
    with torch.autocast("cpu", torch.bfloat16):
        for weight, (point,), _ in path.points((X.float(),)):
            z = model[:3](point).detach().requires_grad_()
            grad = torch.autograd.grad(model[3:](z.clone())[:, 1].sum(), z)[0]
            total += weight * grad.float()
    assert torch.allclose(found.float(), total, rtol=0.01, atol=0.001)
    assert not torch.equal(found.float(), exact)


# Differentiable results ---------------------------------------------------------------------------


def _double_backward(x: Tensor, model: nn.Module, path: Sequence[float], multiply: bool) -> Tensor:
    total: Any = 0.0
    for alpha in path:
        z = model[:3](alpha * x)
        score = model[3:](z.clone())[:, 1].sum()
        total = total + torch.autograd.grad(score, z, create_graph=True)[0] / len(path)
    return total * (model[:3](x) - model[:3](0 * x)) if multiply else total


@pytest.mark.parametrize("multiply", [False, True])
def test_create_graph_gives_second_derivatives(multiply: bool) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(3, 5), nn.GELU(), nn.Linear(5, 4), nn.ELU(inplace=True), nn.Linear(4, 2)
    ).double()
    x = X.clone().requires_grad_()
    influence = DistributionalInfluence(
        model, "2", distribution=LinearPath(0.0, n=4, rule="riemann_right"),
        multiply_by_inputs=multiply,
    )  # fmt: skip
    with torch.no_grad():
        found = influence.attribute(
            x, target=1, grad_kwargs={"create_graph": True}, internal_batch_size=3
        )
    expected = _double_backward(x, model, [0.25, 0.5, 0.75, 1.0], multiply)
    assert torch.allclose(found, expected, atol=1e-13)
    leaves = [x, *model.parameters()]
    ours, theirs = (
        torch.autograd.grad((f**2).sum(), leaves, allow_unused=True) for f in (found, expected)
    )
    for a, b in zip(ours, theirs, strict=True):
        assert (a is None) == (b is None)
        assert a is None or torch.allclose(a, b, atol=1e-12)


def test_create_graph_reaches_through_the_layer_where_points_lie() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    x = X.clone().requires_grad_()
    found = DistributionalInfluence(model, "0", distribution=Point(), sample_at="0").attribute(
        x, target=1, grad_kwargs={"create_graph": True}
    )
    ours = torch.autograd.grad(found.sum(), x)[0]
    slope = 1 - model[0](x).tanh() ** 2
    theirs = torch.autograd.grad((model[2].weight[1] * slope).sum(), x)[0]
    assert torch.allclose(ours, theirs, atol=1e-14)


def test_finite_differences() -> None:
    model = _model()
    z = model[:2](X).detach()
    found = DistributionalInfluence(model, "1", distribution=Point()).attribute(X, target=1)
    for unit in range(5):
        step = torch.zeros(5).double()
        step[unit] = 1e-6
        with torch.no_grad():
            slope = (model[2:](z + step) - model[2:](z - step))[:, 1] / 2e-6
        assert torch.allclose(found[:, unit], slope, atol=1e-8)


# Errors -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "came"),
    [
        (lambda s: s, r"\(\d+, 2\)"),
        (lambda s: s.sum(), r"\(\)"),
        (lambda s: s[:3, 0], r"\(3,\)"),
        (lambda s: 3.0, "float"),
    ],
)
def test_a_quantity_of_the_wrong_shape(function: Any, came: str) -> None:
    influence = DistributionalInfluence(_model(), "0", quantity=Function(function))
    with pytest.raises(ValueError, match=rf"Function must return one number per row.*got {came}"):
        influence.attribute(X, internal_batch_size=32)


def test_a_quantity_that_the_layer_does_not_reach() -> None:
    model = _model()
    for influence in (
        DistributionalInfluence(model, "2", quantity=Unit(0), measure_at="0"),
        DistributionalInfluence(model, "2", quantity=Function(lambda s: s[:, 0].detach())),
        DistributionalInfluence(model, "2", quantity=Function(lambda s: s.argmax(dim=1))),
        DistributionalInfluence(model, ["0", "4"], quantity=Unit(0), measure_at="2"),
    ):
        with pytest.raises(RuntimeError, match="not upstream of the quantity"):
            influence.attribute(X)
    lenient = DistributionalInfluence(model, ["0", "4"], quantity=Unit(0), measure_at="2")
    found = lenient.attribute(X, grad_kwargs={"allow_unused": True})
    assert float(found[0].abs().sum()) > 0
    assert float(found[1].abs().sum()) == 0


def test_a_target_out_of_range() -> None:
    with pytest.raises(ValueError, match=r"out of range for outputs of shape \(2,\)"):
        DistributionalInfluence(_model(), "0").attribute(X, target=2)


def test_a_gradient_that_is_not_a_number() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).double()
    norm = Function(lambda s: (s * 0).norm(dim=1) + s.sum(dim=1) * torch.nan)
    with pytest.raises(RuntimeError, match="the influence at the output of Linear holds NaN"):
        DistributionalInfluence(model, "0", quantity=norm).attribute(X)


def test_the_points_of_a_quantity_of_many_positions() -> None:
    model = nn.Sequential(nn.Conv1d(2, 3, 3), nn.Tanh(), nn.Conv1d(3, 2, 2)).double()
    x = torch.sin(torch.arange(24, dtype=torch.float64)).reshape(2, 2, 6)
    for reduce in ("sum", "mean", "max"):
        quantity = Unit(1, reduce)
        found = DistributionalInfluence(
            model, "0", quantity=quantity, measure_at="2", distribution=Point()
        ).attribute(x)
        slow = _slowly(model[:1], model[1:], Point(), quantity, x)
        assert torch.allclose(found, slow, atol=1e-14)
