"""Changed queries and keys: truth by attention written out, its softmax computed anew."""

from __future__ import annotations

import attending
import pytest
import torch
from torch import Tensor, nn

from captum_influence.attr.distributions import Point
from captum_influence.attr.quantities import Function
from captum_influence.attr.run import Run
from captum_influence.circuits.measuring import Measuring
from captum_influence.circuits.pairs import Pairs
from captum_influence.circuits.recomputed import Recomputed
from captum_influence.circuits.scored import edges
from captum_influence.network.anatomy.split import Split

CLEAN = torch.tensor([[3, 1, 4, 1, 5], [2, 7, 1, 8, 2]])
OTHER = torch.tensor([[3, 9, 4, 9, 5], [2, 7, 0, 8, 6]])
LAST = Function(lambda scores: scores[:, -1, 7])


def _heads(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    q, k, v = (t.unflatten(-1, (-1, 2)).transpose(1, 2) for t in (q, k, v))
    k, v = (t.repeat_interleave(2, dim=1) for t in (k, v))
    return ((q @ k.mT / 2**0.5).softmax(-1) @ v).transpose(1, 2)  # (pairs, positions, heads, 2)


def _slowly(model: attending.Reader) -> dict[str, float]:
    """Return the score of each edge into a query or a key, block by block and edge by edge."""
    split, found = Split.of(model, CLEAN), {}
    own, other = split.written(CLEAN), split.written(OTHER)
    stream, writers = model.words(CLEAN), 1
    for number, block in enumerate(model.blocks):
        attention = block.attention
        heads = attention.heads(block.norm(stream)).transpose(1, 2).detach().requires_grad_()
        x = stream + attention.out(heads.flatten(2))
        z = block.second(x)
        x = x + block.down(torch.sigmoid(block.gate(z)) * block.up(z))
        for later in model.blocks[number + 1 :]:
            x, _ = later(x)
        (slope,) = torch.autograd.grad(model.scores(x)[:, -1, 7].sum(), heads)
        q, k, v = attention.joint(block.norm(stream)).split([8, 4, 4], dim=-1)
        for writer in range(writers):
            changed = stream - own[writer] + other[writer]
            theirs = attention.joint(block.norm(changed)).split([8, 4, 4], dim=-1)
            for purpose, old, new in (("q", q, theirs[0]), ("k", k, theirs[1])):
                for head in range(old.shape[-1] // 2):
                    columns = slice(2 * head, 2 * head + 2)
                    mixed = old.clone()
                    mixed[..., columns] = new[..., columns]
                    given = _heads(mixed, k, v) if purpose == "q" else _heads(q, mixed, v)
                    lost = ((heads - given) * slope).sum() / len(CLEAN)
                    name = f"{split.writers[writer]}->a{number}.h{head}<{purpose}>"
                    found[name] = float(lost.detach())
        stream, _ = block(stream)
        stream, writers = stream.detach(), writers + 5
    return found


@pytest.mark.parametrize("rows", [None, 1])
def test_they_are_attention_computed_anew(rows: int | None) -> None:
    model = attending.reader()
    for parameter in model.parameters():  # so that softmaxes bend
        parameter.data *= 1.5
    over = {"distribution": Point(), "internal_batch_size": rows}
    found = edges(model, (CLEAN, OTHER), LAST, recompute_attention=True, **over)
    plain = edges(model, (CLEAN, OTHER), LAST, **over)
    expected = _slowly(model)
    for name, score, linear in zip(found.names, found.values, plain.values, strict=True):
        truth = expected.get(name, float(linear))  # all other edges are what they were
        assert float(score) == pytest.approx(truth, rel=0, abs=1e-12)
    assert not torch.allclose(found.values, plain.values, rtol=1e-2)


def test_a_saturated_softmax_has_no_slope_but_an_effect() -> None:
    """A query that is turned round: nothing moves at first, then everything."""
    model = attending.reader()
    for block in model.blocks:
        block.attention.joint.weight.data[:12] *= 60
    split = Split.of(model, CLEAN)
    asked = Measuring(split, Pairs(CLEAN, OTHER), LAST, Run())
    queries = [
        i for i, r in enumerate(split.readers) if r.name.startswith("a1") and "<q>" in r.name
    ]
    effects = _exact(asked, queries)
    errors = {
        recompute: (asked.edges(Point(), recompute=recompute)[queries] - effects).abs().sum()
        for recompute in (False, True)
    }
    assert errors[True] < 0.5 * errors[False]


def _exact(asked: Measuring, readers: list[int]) -> Tensor:
    before = asked.split.before
    circuits = []
    for reader in readers:
        for writer in range(before.shape[1]):
            circuits.append(before.clone())
            circuits[-1][reader, writer] = False
    found = asked.answers(circuits)
    return (found.clean - found.kept).mean(1).view(len(readers), -1)


def test_there_is_one_for_each_block() -> None:
    found = Recomputed.of(Split.of(attending.reader(), CLEAN))
    assert [(one.block, one.heads) for one in found] == [(0, 4), (1, 4)]


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_models_of_transformers_are_patched_by_hand(kind: str) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    torch.manual_seed(0)
    model: nn.Module
    if kind == "llama":
        sizes = {"hidden_size": 16, "num_attention_heads": 4, "num_key_value_heads": 2}
        sizes |= {"num_hidden_layers": 2, "intermediate_size": 24, "vocab_size": 12}
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes))
        layer, norm = model.model.layers[1].self_attn, model.model.layers[1].input_layernorm
        query, entry = layer.q_proj, norm
        output = layer.o_proj
    else:
        sizes = {"vocab_size": 12, "n_embd": 16, "n_layer": 2, "n_head": 4}
        sizes |= {"bos_token_id": 0, "eos_token_id": 0}
        model = transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes))
        layer, entry = model.transformer.h[1].attn, model.transformer.h[1].ln_1
        query, output = layer.c_attn, layer.c_proj
    model = model.double().eval()
    for parameter in model.parameters():
        parameter.data *= 3
    last = Function(lambda out: out.logits[:, -1, 7])
    found = edges(model, (CLEAN, OTHER), last, distribution=Point(), recompute_attention=True)
    split = Split.of(model, CLEAN)
    for writer, head in ((0, 1), (2, 3), (5, 0)):
        score = found.scores[found.graph.readers.index(f"a1.h{head}<q>"), writer]
        truth = _by_hooks(model, split, entry, query, output, writer, head)
        assert float(score) == pytest.approx(truth, rel=1e-7, abs=1e-10)


def _by_hooks(model, split, entry, query, output, writer, head) -> float:
    """Return the same by hooks: another query of one head, and what the heads then give."""
    moved = split.written(OTHER)[writer] - split.written(CLEAN)[writer]
    given: list[Tensor] = []
    handle = output.register_forward_pre_hook(lambda m, args: given.append(args[0]))
    scores = model(CLEAN).logits[:, -1, 7].sum()
    (slope,) = torch.autograd.grad(scores, given[0])
    stream: list[Tensor] = []
    first = entry.register_forward_pre_hook(lambda m, args: stream.append(args[0]))
    model(CLEAN)
    first.remove()
    columns = slice(4 * head, 4 * head + 4)

    def change(module: nn.Module, args: tuple[Tensor, ...], features: Tensor) -> Tensor:
        changed = features.clone()
        changed[..., columns] = module.forward(entry.forward(stream[0] + moved))[..., columns]
        return changed

    second = query.register_forward_hook(change)
    model(CLEAN)
    second.remove()
    handle.remove()
    lost = (given[0] - given[-1]) * slope
    return float(lost.detach().sum()) / len(CLEAN)
