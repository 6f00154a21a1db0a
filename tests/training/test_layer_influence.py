"""LayerInfluence against closed forms, leave-one-out retraining and Captum."""

from __future__ import annotations

from pathlib import Path

import influenced
import numpy as np
import pytest
import torch
from captum.influence import NaiveInfluenceFunction, TracInCP, TracInCPFast
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from captum_influence import LayerInfluence
from captum_influence.training import DenseGGN

N, Q = influenced.N, influenced.Q


def _regression() -> tuple[nn.Linear, TensorDataset, tuple[Tensor, Tensor]]:
    torch.manual_seed(0)
    x = torch.randn(N, 4, dtype=torch.float64)
    y = x @ torch.randn(4, 1, dtype=torch.float64) + 0.5 * torch.randn(N, 1, dtype=torch.float64)
    queries = torch.randn(Q, 4, dtype=torch.float64), torch.randn(Q, 1, dtype=torch.float64)
    return nn.Linear(4, 1).double(), TensorDataset(x, y), queries


def _solve_ridge(model: nn.Linear, data: TensorDataset, penalty: float) -> Tensor:
    """Set the model to the minimum of mean squared error + penalty/2 ‖θ‖²; the Hessian."""
    x, y = data.tensors
    x = torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], 1)
    hessian = 2 * x.mT @ x / len(x) + penalty * torch.eye(5, dtype=x.dtype)
    theta = torch.linalg.solve(hessian, 2 * x.mT @ y / len(x))
    model.weight.data, model.bias.data = theta[:4].mT.contiguous(), theta[4].clone()
    return hessian


def _regression_gradients(model: nn.Linear, x: Tensor, y: Tensor) -> Tensor:
    residual = 2 * (model(x) - y).detach()
    return residual * torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], 1)


@pytest.mark.parametrize("penalty", [0.0, 0.3])
@pytest.mark.parametrize("curvature", ["ggn", "ggn_joint", "ekfac"])
def test_linear_and_ridge_regression_are_analytic(curvature: str, penalty: float) -> None:
    model, data, queries = _regression()
    hessian = _solve_ridge(model, data, penalty)
    found = LayerInfluence(
        model, data, loss_fn=nn.MSELoss(), batch_size=7, curvature=curvature, damping=penalty
    )
    train, test = (_regression_gradients(model, *xy) for xy in (data.tensors, queries))
    wanted = test @ torch.linalg.solve(hessian, train.mT) / N
    torch.testing.assert_close(found.influence(queries), wanted)
    own = (train * torch.linalg.solve(hessian, train.mT).mT).sum(1) / N
    torch.testing.assert_close(found.self_influence(), own)
    own = (test * torch.linalg.solve(hessian, test.mT).mT).sum(1) / N
    torch.testing.assert_close(found.self_influence(queries), own)


def _fit_logistic(x: Tensor, y: Tensor, weights: Tensor, penalty: float) -> Tensor:
    """Newton's method on the weighted mean loss of a binary logistic regression."""
    theta = torch.zeros(x.shape[1], dtype=x.dtype)
    for _ in range(30):
        p = torch.sigmoid(x @ theta)
        gradient = x.mT @ (weights * (p - y)) / len(x) + penalty * theta
        hessian = (x.mT * (weights * p * (1 - p))) @ x / len(x)
        theta = theta - torch.linalg.solve(hessian + penalty * torch.eye(len(theta)), gradient)
    return theta


@pytest.mark.parametrize("curvature", ["ggn", "ggn_joint"])
def test_logistic_regression_predicts_leave_one_out(curvature: str) -> None:
    """The exact retraining without each example, against the score: correlation above 0.99."""
    torch.manual_seed(0)
    n, penalty = 100, 0.02
    x = torch.randn(n, 3, dtype=torch.float64)
    y = (x @ torch.randn(3, dtype=torch.float64) + torch.randn(n) > 0).double()
    test_x, test_y = torch.randn(8, 3, dtype=torch.float64), (torch.rand(8) > 0.5).double()
    loss = nn.BCEWithLogitsLoss(reduction="none")
    full = _fit_logistic(x, y, torch.ones(n), penalty)
    model = nn.Linear(3, 1, bias=False).double()
    model.weight.data = full[None].clone()
    influence = LayerInfluence(
        model, TensorDataset(x, y[:, None]), loss_fn=loss, curvature=curvature, damping=penalty
    )
    found = influence.influence((test_x, test_y[:, None]))
    wanted = torch.zeros_like(found)
    for i in range(n):
        weights = torch.ones(n)
        weights[i] = 0
        theta = _fit_logistic(x, y, weights, penalty)
        wanted[:, i] = loss(test_x @ theta, test_y) - loss(test_x @ full, test_y)
    for a, b in zip(found, wanted, strict=True):
        assert np.corrcoef(a, b)[0, 1] > 0.99
    assert 0.9 < found.std() / wanted.std() < 1.1  # the unit is the change of the loss itself


@pytest.fixture
def checkpoints(tmp_path: Path) -> list[str]:
    paths = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        path = str(tmp_path / f"{seed}.pt")
        torch.save(influenced.Net().double().state_dict(), path)
        paths.append(path)
    return paths


def _load_weights(model: nn.Module, path: str) -> float:
    model.load_state_dict({k: v for k, v in torch.load(path).items() if k != "head.bias"})
    return 0.5 / int(Path(path).stem)


@pytest.mark.filterwarnings("ignore:Input Tensor 0 did not already")  # Captum, each time
@pytest.mark.parametrize("loss", influenced.LOSSES)
@pytest.mark.parametrize("layer", [None, "conv", "hidden", "head"])
def test_identity_equals_tracin(checkpoints: list[str], loss: nn.Module, layer: str | None) -> None:
    model, data, queries = influenced.problem()
    ours = LayerInfluence(
        model, data, checkpoints, influenced.load, loss_fn=loss, batch_size=8, curvature="identity"
    )
    theirs = TracInCP(
        influenced.Net().double(), data, checkpoints, influenced.load,
        [layer] if layer else None, loss, 8, sample_wise_grads_per_batch=True,
    )  # fmt: skip
    found = ours.influence(queries) if layer is None else ours.layer_influence(queries)[layer]
    torch.testing.assert_close(found, theirs.influence(queries))
    own = ours.self_influence() if layer is None else ours.layer_self_influence()[layer]
    torch.testing.assert_close(own, theirs.self_influence())
    top = ours.influence(queries, k=4, proponents=False)
    if layer is None:
        wanted = theirs.influence(queries, k=4, proponents=False)
        assert type(top) is type(wanted)
        assert torch.equal(top.indices, wanted.indices)
        torch.testing.assert_close(top.influence_scores, wanted.influence_scores)


def test_identity_equals_tracin_fast_on_the_last_layer(checkpoints: list[str]) -> None:
    """TracInCPFast knows no bias, so the head has none here."""
    _, data, queries = influenced.problem()
    model, other = influenced.Net(bias=False).double(), influenced.Net(bias=False).double()
    loss = nn.CrossEntropyLoss(reduction="sum")
    ours = LayerInfluence(
        model, data, checkpoints, _load_weights, loss_fn=loss, curvature="identity", layers=["head"]
    )
    theirs = TracInCPFast(other, other.head, data, checkpoints, _load_weights, loss, 8)
    torch.testing.assert_close(ours.influence(queries), theirs.influence(queries))
    torch.testing.assert_close(ours.self_influence(), theirs.self_influence())


def test_ggn_equals_captums_hessian_where_they_coincide(tmp_path: Path) -> None:
    """For a linear model the Gauss-Newton matrix is the Hessian; Captum's is a sum, ours a mean."""
    torch.manual_seed(0)
    data = TensorDataset(torch.randn(N, 5), torch.randint(0, 3, (N,)))
    queries = torch.randn(Q, 5), torch.randint(0, 3, (Q,))
    model = nn.Sequential(nn.Linear(5, 3))
    path = str(tmp_path / "model.pt")
    torch.save(model.state_dict(), path)
    loss, regular = nn.CrossEntropyLoss(reduction="none"), 0.6
    theirs = NaiveInfluenceFunction(
        model, data, path, loss_fn=loss, batch_size=N, projection_dim=None, hessian_reg=regular
    )
    ours = LayerInfluence(model, data, path, loss_fn=loss, curvature="ggn", damping=regular / N)
    found, wanted = ours.influence(queries), theirs.influence(queries)
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("curvature", ["ekfac", "ggn", "ggn_joint", "identity"])
def test_layer_scores_sum_to_the_global_ones(curvature: str) -> None:
    model, data, queries = influenced.problem()
    influence = LayerInfluence(
        model, data, loss_fn=influenced.LOSSES[1], batch_size=7, curvature=curvature
    )
    layers = influence.layer_influence(queries)
    assert list(layers) == ["conv", "hidden", "head"]
    total = sum(layers.values())
    torch.testing.assert_close(total, influence.influence(queries))
    own = influence.layer_self_influence()
    torch.testing.assert_close(sum(own.values()), influence.self_influence())
    scores = influence.scores(queries)
    torch.testing.assert_close(scores.of(None, normalized=False), total)
    torch.testing.assert_close(scores.self_of("head"), own["head"])
    some = influence.layer_influence(queries, layers=[model.head])
    assert list(some) == ["head"]
    assert torch.equal(some["head"], layers["head"])


def test_a_layer_block_is_the_influence_of_that_layer_alone() -> None:
    """Reading B: scores don't depend on which other layers are looked at; reading A's do."""
    model, data, queries = influenced.problem()
    options = {"loss_fn": influenced.LOSSES[1], "damping": 0.01}
    for curvature in ("ekfac", "ggn"):
        every = LayerInfluence(model, data, curvature=curvature, **options)
        alone = LayerInfluence(model, data, curvature=curvature, layers=["hidden"], **options)
        torch.testing.assert_close(
            every.layer_influence(queries)["hidden"], alone.influence(queries)
        )
    block = LayerInfluence(model, data, curvature="ggn", **options).layer_influence(queries)
    joint = LayerInfluence(model, data, curvature=DenseGGN(joint=True), **options)
    assert not torch.allclose(joint.layer_influence(queries)["hidden"], block["hidden"], rtol=0.1)


def test_normalized_scores_divide_by_the_root_of_self_influence() -> None:
    model, data, queries = influenced.problem()
    raw = LayerInfluence(model, data, loss_fn=influenced.LOSSES[1], batch_size=7)
    normal = LayerInfluence(
        model, data, loss_fn=influenced.LOSSES[1], batch_size=7, normalize="self"
    )
    wanted = raw.influence(queries) / raw.self_influence().sqrt()
    torch.testing.assert_close(normal.influence(queries), wanted)
    own = raw.layer_self_influence()["conv"].sqrt()
    wanted = raw.layer_influence(queries)["conv"] / own
    torch.testing.assert_close(normal.layer_influence(queries)["conv"], wanted)


@pytest.mark.parametrize("k", [None, 3])
def test_test_loss_is_honoured_in_every_mode(k: int | None) -> None:
    """A test loss of −2 × the loss turns every ranking round and doubles the scores."""
    model, data, queries = influenced.problem()
    loss = nn.CrossEntropyLoss(reduction="none")
    plain = LayerInfluence(model, data, loss_fn=loss)
    turned = LayerInfluence(model, data, loss_fn=loss, test_loss_fn=lambda o, y: -2 * loss(o, y))
    a = turned.influence(queries, k=k, proponents=True)
    b = plain.influence(queries, k=k, proponents=False)
    if k is None:
        torch.testing.assert_close(a, -2 * b)
    else:
        assert torch.equal(a.indices, b.indices)
        torch.testing.assert_close(a.influence_scores, -2 * b.influence_scores)


class Stream(IterableDataset):
    def __init__(self, data: TensorDataset) -> None:
        self.data = data

    def __iter__(self):
        return iter([self.data[i] for i in range(len(self.data))])


def test_loaders_streams_and_batch_sizes_agree() -> None:
    model, data, queries = influenced.problem()
    wanted = LayerInfluence(model, data, loss_fn=influenced.LOSSES[1], batch_size=N).influence(
        queries
    )
    loader = DataLoader(TensorDataset(*queries), batch_size=2)
    for source, size in ((data, 1), (DataLoader(data, 11), 64), (Stream(data), 4)):
        influence = LayerInfluence(model, source, loss_fn=influenced.LOSSES[1], batch_size=size)
        torch.testing.assert_close(influence.influence(queries), wanted)
        torch.testing.assert_close(influence.influence(loader), wanted)


def test_another_hessian_data_set_changes_the_curvature_only() -> None:
    model, data, queries = influenced.problem()
    half = TensorDataset(*(t[: N // 2] for t in data.tensors))
    options = {"loss_fn": influenced.LOSSES[1], "damping": 0.1}
    ours = LayerInfluence(model, data, hessian_dataset=half, **options)
    small = LayerInfluence(model, half, **options)
    found = ours.influence(queries)[:, : N // 2]
    torch.testing.assert_close(found * 2, small.influence(queries))


@pytest.mark.usefixtures("terminal")
def test_progress_bar(capsys: pytest.CaptureFixture[str]) -> None:
    model, data, queries = influenced.problem()
    influence = LayerInfluence(model, data, loss_fn=influenced.LOSSES[1], batch_size=7)
    influence.influence(queries, show_progress=True)
    shown = capsys.readouterr().err
    assert "curvature, stage 1" in shown
    assert "influence" in shown


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"damping": -1.0}, ValueError, "damping"),
        ({"normalize": "all"}, ValueError, "normalize"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"loss_fn": 3}, TypeError, "loss_fn"),
        ({"checkpoint": []}, ValueError, "checkpoint"),
        ({"layers": ["nowhere"]}, ValueError, "layer of the model"),
    ],
)
def test_bad_options(options: dict[str, object], error: type[Exception], message: str) -> None:
    model, data, _ = influenced.problem()
    with pytest.raises(error, match=message):
        LayerInfluence(model, data, **({"loss_fn": influenced.LOSSES[1]} | options))


def test_bad_data() -> None:
    model, data, queries = influenced.problem()
    with pytest.raises(ValueError, match="numbered by their place in the data set's order"):
        LayerInfluence(model, DataLoader(data, 4, sampler=[1, 0]), loss_fn=influenced.LOSSES[1])
    empty = TensorDataset(*(t[:0] for t in data.tensors))
    influence = LayerInfluence(model, data, loss_fn=influenced.LOSSES[1])
    with pytest.raises(ValueError, match="empty data set"):
        LayerInfluence(model, empty, loss_fn=influenced.LOSSES[1]).influence(queries)
    with pytest.raises(ValueError, match="k to be a positive int"):
        influence.influence(queries, k=0)
    with pytest.raises(TypeError, match="at least two elements"):
        influence.influence((queries[0],))
    only_head = LayerInfluence(model, data, loss_fn=influenced.LOSSES[1], layers=["head"])
    with pytest.raises(ValueError, match=r"some of the layers \['head'\]"):
        only_head.layer_influence(queries, layers=["conv"])
    with pytest.raises(ValueError, match="one loss per example or a scalar"):
        LayerInfluence(model, data, loss_fn=lambda o, y: o.sum(0)).influence(queries)
