"""Scores of all edges: truth by a loop written out, each reader with a stream of its own."""

from __future__ import annotations

import attending
import pytest
import torch
from torch import Tensor

from captum_influence.attr.distributions import Point
from captum_influence.attr.inputs import Inputs
from captum_influence.attr.paths import LinearPath
from captum_influence.attr.quantities import Function
from captum_influence.circuits.scored import Edges, edges

CLEAN = torch.tensor([[3, 1, 4, 1, 5], [2, 7, 1, 8, 2]])
OTHER = torch.tensor([[3, 9, 4, 9, 5], [2, 7, 0, 8, 6]])
LAST = Function(lambda scores: scores[:, -1, 7])
GROUPS = [*((f"h{h}<q>", slice(2 * h, 2 * h + 2)) for h in range(4))]
GROUPS += [
    (f"h{h}<{p}>", slice(s, s + 2))
    for p, b in (("k", 8), ("v", 12))
    for h, s in enumerate((b, b + 2))
]


def _replica(
    model: attending.Reader, x: Tensor
) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
    """Return the quantity, what each writer adds, and what each reader hears beside the stream."""
    written, heard = {"input": x}, {}

    def read(name: str, stream: Tensor) -> Tensor:
        heard[name] = torch.zeros_like(stream, requires_grad=True)
        return stream + heard[name]

    for number, block in enumerate(model.blocks):
        attention, features = block.attention, torch.zeros(*x.shape[:2], 16).double()
        for name, columns in GROUPS:
            weight, bias = attention.joint.weight[columns], attention.joint.bias[columns]
            own = block.norm(read(f"a{number}.{name}", x)) @ weight.T + bias
            features = features.clone()
            features[..., columns] = own
        q, k, v = (t.unflatten(-1, (-1, 2)).transpose(1, 2) for t in features.split([8, 4, 4], -1))
        k, v = (t.repeat_interleave(2, dim=1) for t in (k, v))
        for head, given in enumerate(((q @ k.mT / 2**0.5).softmax(-1) @ v).unbind(1)):
            columns = slice(2 * head, 2 * head + 2)
            written[f"a{number}.h{head}"] = given @ attention.out.weight[:, columns].T
            x = x + written[f"a{number}.h{head}"]
        x = x + attention.out.bias
        z = block.second(read(f"m{number}", x))
        written[f"m{number}"] = block.down(torch.sigmoid(block.gate(z)) * block.up(z))
        x = x + written[f"m{number}"]
    return model.scores(read("logits", x))[:, -1, 7].sum(), written, heard


def _slowly(model: attending.Reader, alphas: list[float]) -> dict[str, float]:
    """Return EAP-IG's scores: slopes on the path, times what is written clean less corrupted."""
    clean, other = (model.words(ids).detach() for ids in (CLEAN, OTHER))
    slopes: dict[str, Tensor] = {}
    for alpha in alphas:
        value, _, heard = _replica(model, other + alpha * (clean - other))
        for name, slope in zip(heard, torch.autograd.grad(value, [*heard.values()]), strict=True):
            slopes[name] = slopes.get(name, torch.zeros(())) + slope / len(alphas)
    here, there = _replica(model, clean)[1], _replica(model, other)[1]
    return {
        f"{writer}->{reader}": float(((here[writer] - there[writer]) * slope).detach().sum()) / 2
        for reader, slope in slopes.items()
        for writer in here
    }


@pytest.mark.parametrize("n", [0, 1, 5])
def test_they_are_the_rule_written_out(n: int) -> None:
    model = attending.reader()
    path = LinearPath(Inputs(OTHER), n, rule="riemann_right") if n else Point()
    found = edges(model, (CLEAN, OTHER), LAST, distribution=path)
    expected = _slowly(model, [(k + 1) / n for k in range(n)] or [1.0])
    assert set(found.names) < set(expected)
    for name, score in zip(found.names, found.values.tolist(), strict=True):
        assert score == pytest.approx(expected[name], rel=0, abs=1e-12)


def test_the_usual_path_is_of_five_points() -> None:
    model = attending.reader()
    path = LinearPath(Inputs(OTHER), 5, rule="riemann_right")
    usual = edges(model, (CLEAN, OTHER), LAST)
    assert torch.equal(usual.scores, edges(model, (CLEAN, OTHER), LAST, distribution=path).scores)


def test_into_a_linear_end_they_add_up_to_the_difference() -> None:
    model = attending.reader()
    found = edges(model, (CLEAN, OTHER), LAST, distribution=Point())
    scores = dict(zip(found.names, found.values.tolist(), strict=True))
    total = sum(score for name, score in scores.items() if name.endswith("->logits"))
    difference = (model(CLEAN) - model(OTHER))[:, -1, 7].mean().detach()
    assert total == pytest.approx(float(difference), rel=0, abs=1e-12)


def test_they_are_a_table_of_what_is_strongest() -> None:
    found = edges(attending.reader(), (CLEAN, OTHER), LAST, internal_batch_size=1)
    assert isinstance(found, Edges)
    assert len(found) == len(found.names) == len(found.values)
    strongest = found.strongest(4)
    assert [*map(abs, strongest.values())] == found.values.abs().sort().values.flip(0)[:4].tolist()
    assert next(iter(strongest)) in repr(found)
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    table = found.to_frame()
    assert isinstance(table, pandas.DataFrame)
    assert (table.writer + "->" + table.reader).tolist() == [*found.names]
