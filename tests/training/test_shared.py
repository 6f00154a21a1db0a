"""The gradient of a shared parameter is the sum over its uses: against one example at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import TensorDataset

from captum_influence import LayerInfluence
from captum_influence.network.recording import Recorder
from captum_influence.training import DenseGGN
from captum_influence.training.selection import treatable_layers
from captum_influence.training.shared import gathered, modules_of, spare_modules_of

N, Q = 9, 2


class Words(nn.Module):
    """A network whose head has the weight of its embedding, and that has a part twice."""

    def __init__(self, bias: bool = True, run_head: bool = True) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.mid = nn.Embedding(6, 4), nn.Linear(4, 4)
        self.again, self.head = nn.Linear(4, 4), nn.Linear(4, 6, bias=bias)
        self.again.weight, self.head.weight = self.mid.weight, self.embed.weight
        self.run_head = run_head
        self.double()

    def forward(self, ids: Tensor) -> Tensor:
        hidden = torch.tanh(self.again(torch.tanh(self.mid(self.embed(ids))))).sum(1)
        return self.head(hidden) if self.run_head else torch.cat([hidden, hidden[:, :2]], 1)


def _data() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(6, (N, 5), generator=generator)
    return ids, torch.randint(6, (N,), generator=generator)


def _gradients(net: nn.Module, parameters: Sequence[Tensor]) -> Tensor:
    """One example after the other."""
    rows = []
    for x, y in zip(*_data(), strict=True):
        loss = cross_entropy(net(x[None]), y[None])
        found = torch.autograd.grad(loss, parameters)
        rows.append(torch.cat([gradient.flatten() for gradient in found]))
    return torch.stack(rows)


def _influence(net: nn.Module, **options: Any) -> LayerInfluence:
    return LayerInfluence(net, TensorDataset(*_data()), loss_fn=nn.CrossEntropyLoss(), **options)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    "layers", [None, ["head"], ["embed"], ["again"], ["mid", "again"], ["head", "embed", "mid"]]
)
def test_influence_counts_every_use(bias: bool, layers: list[str] | None) -> None:
    net, (ids, labels) = Words(bias), _data()
    named = list(net.children()) if layers is None else [net.get_submodule(n) for n in layers]
    parameters = list({id(p): p for module in named for p in module.parameters()}.values())
    wanted = _gradients(net, parameters)
    found = _influence(net, curvature="identity", layers=layers, batch_size=4)
    queries = (ids[:Q], labels[:Q])
    torch.testing.assert_close(found.influence(queries), wanted[:Q] @ wanted.T)
    torch.testing.assert_close(found.self_influence(), wanted.square().sum(1))


@pytest.mark.parametrize("curvature", ["ggn", "ekfac"])
def test_curvature_counts_every_use(curvature: str) -> None:
    """Of a dense block, by the Gauss-Newton matrix that is summed over examples and outputs."""
    net, (ids, labels) = Words(), _data()
    parameters = list(net.head.parameters())
    matrix = torch.zeros(30, 30, dtype=torch.float64)
    for x in ids:
        output = net(x[None])[0]
        rows = [torch.autograd.grad(o, parameters, retain_graph=True) for o in output]
        jacobian = torch.stack([torch.cat([g.flatten() for g in row]) for row in rows])
        p = output.detach().softmax(0)
        matrix += jacobian.T @ (p.diag() - p[:, None] * p) @ jacobian / N
    gradients, damping = _gradients(net, parameters), 0.1
    damped = matrix + damping * torch.eye(30)
    wanted = gradients[:Q] @ torch.linalg.solve(damped, gradients.T) / N
    found = _influence(net, curvature=curvature, layers=["head"], damping=damping, batch_size=4)
    torch.testing.assert_close(found.influence((ids[:Q], labels[:Q])), wanted)


def test_layers_of_one_network_sum_to_the_global_scores() -> None:
    ids, labels = _data()
    influence = _influence(Words(), curvature=DenseGGN(joint=True))
    layers = influence.layer_influence((ids[:Q], labels[:Q]))
    assert list(layers) == ["embed", "mid", "again", "head"]
    torch.testing.assert_close(sum(layers.values()), influence.influence((ids[:Q], labels[:Q])))


def test_a_use_that_does_not_run_adds_nothing() -> None:
    net, (ids, labels) = Words(run_head=False), _data()
    wanted = _gradients(net, [net.embed.weight])
    found = _influence(net, curvature="identity", layers=["embed"]).influence((ids[:Q], labels[:Q]))
    torch.testing.assert_close(found, wanted[:Q] @ wanted.T)


def test_records_are_cut_with_all_their_parts() -> None:
    net, (ids, _) = Words(), _data()
    layers, _ = treatable_layers(net, ["head", "again"], skip_unsupported=False)
    assert list(modules_of(layers)) == ["again", "mid", "head", "embed"]
    assert spare_modules_of(layers) == {"embed", "mid"}
    with Recorder(net, modules_of(layers), spare_modules_of(layers)) as recorder:
        output = recorder.run((ids,))
        records = recorder.pull_back(output, torch.randn_like(output), last=True)
    for layer in layers:
        record = gathered(layers, records)[layer.name]
        parts = torch.cat([layer.flat(part) for part in record.split(2)])
        torch.testing.assert_close(parts, layer.flat(record))
        flat = {name: value.flatten(1) for name, value in layer.unflatten(parts).items()}
        assert torch.equal(torch.cat(list(flat.values()), 1), parts)
        assert layer.numbers_per_example(record) >= layer.size
