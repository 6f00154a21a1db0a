"""Curvature blocks against Hessians by autograd and, where it is installed, curvlinops."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from captum_influence import LayerInfluence
from captum_influence.training import EKFAC, DenseGGN
from captum_influence.training.curvature import Block, Estimator
from captum_influence.training.selection import treatable_layers

N = 24
DAMPING = 0.05


class ConvolutionNet(nn.Module):
    def __init__(self, **options: object) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 3, padding=1, **options)
        self.head = nn.Linear(3 * 16, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.conv(x)).flatten(1))


class TokenNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(7, 3)
        self.norm = nn.LayerNorm(3)
        self.head = nn.Linear(3, 4)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(torch.tanh(self.norm(self.table(tokens))).mean(1))


def _data(model: nn.Module) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    shape = {ConvolutionNet: (2, 4, 4)}.get(type(model), (5,))
    x = torch.randn(N, *shape, dtype=torch.float64)
    if isinstance(model, TokenNet):
        x = torch.randint(0, 7, (N, 5))
    return x, torch.randint(0, 4, (N,))


def _mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 4, bias=False))


def _made(kind: str) -> nn.Module:
    torch.manual_seed(0)
    makers = {
        "mlp": _mlp,
        "convolution": ConvolutionNet,
        "strided": lambda: ConvolutionNet(stride=1, dilation=1, bias=False),
        "token": TokenNet,
    }
    return makers[kind]().double()


def _fitted(model: nn.Module, loss: nn.Module, **options: object) -> LayerInfluence:
    x, y = _data(model)
    target = y if isinstance(loss, nn.CrossEntropyLoss) else torch.randn(N, 4, dtype=torch.float64)
    data = TensorDataset(x, target)
    return LayerInfluence(model, data, loss_fn=loss, batch_size=7, **options).fit()


def _ggn(model: nn.Module, x: Tensor, hessians: Tensor, layers: list[str]) -> Tensor:
    """Σ_n J_nᵀ H_n J_n / N with the Jacobian of the whole model by torch.func."""
    named = {k: v.detach() for k, v in model.named_parameters()}
    jacobian = torch.func.jacrev(lambda p: torch.func.functional_call(model, p, (x,)))(named)
    parts = []
    for layer in layers:
        weight = jacobian[f"{layer}.weight"]
        if layer == "norm":  # a vector: normalisation layers have their bias after the weight
            columns = torch.cat([weight, jacobian[f"{layer}.bias"]], 2)
        else:  # a matrix: the bias is the last column
            weight = weight.reshape(*weight.shape[:2], weight.shape[2], -1)
            bias = jacobian.get(f"{layer}.bias")
            columns = weight if bias is None else torch.cat([weight, bias.unsqueeze(3)], 3)
        parts.append(columns.flatten(2))
    j = torch.cat(parts, 2)
    return torch.einsum("nap,nab,nbq->pq", j, hessians, j) / len(x)


def _softmax_hessians(model: nn.Module, x: Tensor) -> Tensor:
    p = model(x).detach().softmax(1)
    return p.diag_embed() - p.unsqueeze(2) * p.unsqueeze(1)


def _matrix(block: Block, size: int) -> Tensor:
    """The damped curvature itself, from its inverse."""
    return torch.linalg.inv(block.solve(torch.eye(size, dtype=torch.float64)))


def _estimators(influence: LayerInfluence) -> list[Estimator]:
    return influence._fit.estimators[0]


@pytest.mark.parametrize("kind", ["mlp", "convolution", "token"])
@pytest.mark.parametrize("joint", [False, True])
def test_dense_ggn_equals_jacobians(kind: str, joint: bool) -> None:
    model = _made(kind)
    influence = _fitted(model, nn.CrossEntropyLoss(), curvature=DenseGGN(joint=joint))
    x, _ = _data(model)
    for estimator in _estimators(influence):
        names = [layer.name for layer in estimator.layers]
        wanted = _ggn(model, x, _softmax_hessians(model, x), names)
        wanted = wanted + DAMPING * torch.eye(len(wanted), dtype=torch.float64)
        found = _matrix(estimator.block(DAMPING), len(wanted))
        torch.testing.assert_close(found, wanted, rtol=1e-7, atol=1e-9)
    assert len(_estimators(influence)) == (1 if joint else len(influence.layers))


def test_the_exact_blocks_of_ekfac_are_the_dense_ones() -> None:
    """A linear network's curvature under squared error is a Kronecker product: no approximation."""
    model = nn.Linear(5, 4).double()
    ekfac = _fitted(model, nn.MSELoss(reduction="sum"), curvature="ekfac")
    dense = _fitted(model, nn.MSELoss(reduction="sum"), curvature="ggn")
    found, wanted = (_estimators(i)[0].block(DAMPING) for i in (ekfac, dense))
    torch.testing.assert_close(_matrix(found, 24), _matrix(wanted, 24))


def test_normalisation_and_embedding_blocks_are_exact_in_ekfac() -> None:
    model = _made("token")
    ekfac = _fitted(model, nn.CrossEntropyLoss(), curvature="ekfac")
    dense = _fitted(model, nn.CrossEntropyLoss(), curvature="ggn")
    for a, b in zip(_estimators(ekfac)[:2], _estimators(dense)[:2], strict=True):
        size = a.layers[0].size
        torch.testing.assert_close(_matrix(a.block(DAMPING), size), _matrix(b.block(DAMPING), size))


def test_ekfac_has_the_exact_diagonal_in_an_orthogonal_basis() -> None:
    """Both traces agree, and no diagonal is nearer to the exact block in that basis."""
    model = _made("convolution")
    ekfac = _fitted(model, nn.CrossEntropyLoss(), curvature="ekfac")
    dense = _fitted(model, nn.CrossEntropyLoss(), curvature="ggn")
    for a, b in zip(_estimators(ekfac), _estimators(dense), strict=True):
        size = a.layers[0].size
        found, wanted = _matrix(a.block(DAMPING), size), _matrix(b.block(DAMPING), size)
        torch.testing.assert_close(found.trace(), wanted.trace())
        values, basis = torch.linalg.eigh(found)
        torch.testing.assert_close((basis.mT @ wanted @ basis).diagonal(), values)


@pytest.mark.parametrize(
    ("fisher", "loss"),
    [
        ("exact", nn.CrossEntropyLoss()),
        ("exact", nn.MSELoss()),
        ("empirical", nn.CrossEntropyLoss()),  # curvlinops weights squared errors differently here
    ],
)
@pytest.mark.parametrize("kind", ["mlp", "convolution", "strided"])
def test_ekfac_equals_curvlinops(kind: str, fisher: str, loss: nn.Module) -> None:
    curvlinops = pytest.importorskip("curvlinops", reason="curvlinops-for-pytorch is the oracle")
    model = _made(kind)
    influence = _fitted(model, loss, curvature="ekfac", fisher=fisher)
    tensors = influence.train_dataset.tensors
    name = {"exact": "type-2", "empirical": "empirical"}[fisher]
    parameters = list(model.parameters())
    operator = curvlinops.EKFACLinearOperator(
        model, loss, parameters, [tensors], fisher_type=name, separate_weight_and_bias=False
    )
    inverse = curvlinops.KFACInverseLinearOperator(
        operator, damping=DAMPING, use_exact_damping=True
    )
    queries = torch.randn(3, sum(p.numel() for p in parameters), dtype=torch.float64)
    wanted = inverse @ [
        part.reshape(3, *p.shape).movedim(0, -1)
        for part, p in zip(
            queries.split([p.numel() for p in parameters], 1), parameters, strict=True
        )
    ]
    found = _solved(influence, model, queries)
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a.movedim(0, -1), b, rtol=1e-5, atol=1e-7)


def _solved(influence: LayerInfluence, model: nn.Module, queries: Tensor) -> list[Tensor]:
    """The inverse applied to rows in the order of `model.parameters()`, as parameters."""
    names = [n for n, _ in model.named_parameters()]
    sizes = [p.numel() for p in model.parameters()]
    rows = dict(zip(names, queries.split(sizes, 1), strict=True))
    found = {}
    for estimator in _estimators(influence):
        (layer,) = estimator.layers
        bias = rows.get(f"{layer.name}.bias")
        weight = rows[f"{layer.name}.weight"].reshape(len(queries), layer.shape[1], -1)
        matrix = weight if bias is None else torch.cat([weight, bias.unsqueeze(2)], 2)
        solved = layer.unflatten(estimator.block(DAMPING).solve(matrix.flatten(1)))
        found |= {f"{layer.name}.{n}": v for n, v in solved.items()}
    return [found[name] for name in names]


def test_exact_fisher_of_any_loss_is_the_hessian_at_the_output() -> None:
    """Class weights and label smoothing take the general path; autograd's Hessian is the truth."""
    model = _made("mlp")
    weights = torch.tensor([1.0, 2.0, 0.5, 3.0], dtype=torch.float64)
    loss = nn.CrossEntropyLoss(weight=weights, label_smoothing=0.1, reduction="sum")
    influence = _fitted(model, loss, curvature="ggn")
    x, y = _data(model)
    hessians = torch.stack(
        [
            torch.autograd.functional.hessian(lambda o, t=t: loss(o[None], t[None]), out)
            for out, t in zip(model(x).detach(), y, strict=True)
        ]
    )
    estimator = _estimators(influence)[0]
    wanted = _ggn(model, x, hessians, ["0"]) + DAMPING * torch.eye(36, dtype=torch.float64)
    torch.testing.assert_close(_matrix(estimator.block(DAMPING), 36), wanted)


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), nn.MSELoss()])
def test_sampled_fisher_converges_to_the_exact_one(loss: nn.Module) -> None:
    from captum_influence.training import SampledFisher

    model = _made("mlp")
    exact = _estimators(_fitted(model, loss, curvature="ggn"))[0].block(DAMPING)
    found = _fitted(model, loss, curvature="ggn", fisher=SampledFisher(draws=200))
    a, b = _matrix(_estimators(found)[0].block(DAMPING), 36), _matrix(exact, 36)
    assert (a - b).norm() < 0.12 * b.norm()


def test_sampled_fisher_is_seeded_and_leaves_the_global_generator() -> None:
    model = _made("mlp")
    data = _set(model)
    before = torch.get_rng_state()
    one, same, other = (
        _estimators(_fitted_on(data, model, seed))[0].sums["values"] for seed in (3, 3, 4)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(before, torch.get_rng_state())


def _fitted_on(data: TensorDataset, model: nn.Module, seed: int) -> LayerInfluence:
    influence = LayerInfluence(
        model, data, loss_fn=nn.CrossEntropyLoss(), seed=seed, fisher="sampled"
    )
    return influence.fit()


def _set(model: nn.Module) -> TensorDataset:
    return TensorDataset(*_data(model))


@pytest.mark.parametrize("cap", [2, 5, 100])
def test_splitting_large_factors_keeps_the_trace(cap: int) -> None:
    """Any orthogonal basis measures a diagonal with the same sum; a large cap changes nothing."""
    model = _made("convolution")
    whole = _fitted(model, nn.CrossEntropyLoss(), curvature="ekfac")
    split = _fitted(model, nn.CrossEntropyLoss(), curvature=EKFAC(max_factor=cap))
    for a, b in zip(_estimators(whole), _estimators(split), strict=True):
        torch.testing.assert_close(a.sums["values"].sum(), b.sums["values"].sum())
        if cap == 100:
            torch.testing.assert_close(a.sums["values"], b.sums["values"])
        size = a.layers[0].size
        rows = torch.eye(size, dtype=torch.float64)
        inverse = b.block(DAMPING).solve(rows)
        torch.testing.assert_close(inverse, inverse.mT)


def test_grouped_convolution_has_one_pair_of_factors_per_group() -> None:
    """Equal to two convolutions side by side, each with its own half of the channels."""
    torch.manual_seed(0)
    grouped = nn.Sequential(nn.Conv2d(4, 6, 3, groups=2), nn.Flatten(), nn.Linear(24, 4)).double()

    class Halves(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(2, 3, 3).double(), nn.Conv2d(2, 3, 3).double()
            self.head = grouped[2]
            for i, half in enumerate((self.a, self.b)):
                half.weight.data.copy_(grouped[0].weight[3 * i : 3 * i + 3])
                half.bias.data.copy_(grouped[0].bias[3 * i : 3 * i + 3])

        def forward(self, x: Tensor) -> Tensor:
            out = torch.cat([self.a(x[:, :2]), self.b(x[:, 2:])], 1)
            return self.head(out.flatten(1))

    x, y = torch.randn(N, 4, 4, 4, dtype=torch.float64), torch.randint(0, 4, (N,))
    data = TensorDataset(x, y)
    both = [
        LayerInfluence(m, data, loss_fn=nn.CrossEntropyLoss(), damping=DAMPING)
        for m in (grouped, Halves())
    ]
    one, two = (i.layer_influence((x[:3], y[:3])) for i in both)
    torch.testing.assert_close(one["0"], two["a"] + two["b"])
    torch.testing.assert_close(one["2"], two["head"])


def test_errors() -> None:
    model = _made("mlp")
    with pytest.raises(ValueError, match=r"at most 10 parameters.*36.*'0'.*ekfac"):
        _fitted(model, nn.CrossEntropyLoss(), curvature=DenseGGN(max_size=10))
    influence = _fitted(model, nn.CrossEntropyLoss(), curvature="ggn", damping=0.0)
    with pytest.raises(ValueError, match=r"zero eigenvalue.*damping="):
        influence.self_influence()
    large = nn.Sequential(nn.Embedding(300_000, 32), nn.Flatten(), nn.Linear(32, 2))
    with pytest.raises(ValueError, match=r"'0' of 9600000 parameters.*leave it out"):
        LayerInfluence(large, _set(model), loss_fn=nn.CrossEntropyLoss()).fit()
    with pytest.raises(ValueError, match="expected curvature"):
        _fitted(model, nn.CrossEntropyLoss(), curvature="hessian")
    with pytest.raises(ValueError, match="expected fisher"):
        _fitted(model, nn.CrossEntropyLoss(), fisher="true")
    assert len(treatable_layers(model, None, skip_unsupported=False)[0]) == 2


def test_many_outputs_ask_for_the_sampled_fisher() -> None:
    model = nn.Linear(3, 600)
    data = TensorDataset(torch.randn(4, 3), torch.randint(0, 600, (4,)))
    with pytest.raises(ValueError, match=r"at most 512 outputs.*600.*sampled"):
        LayerInfluence(model, data, loss_fn=nn.CrossEntropyLoss()).fit()
    LayerInfluence(model, data, loss_fn=nn.CrossEntropyLoss(), fisher="sampled").fit()
