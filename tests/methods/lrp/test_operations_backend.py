"""Relevance by what happens in a pass: the paper's rules in numpy, transformers, chains."""

import numpy as np
import pytest
import torch
from captum.attr import InputXGradient
from torch import nn
from torch.nn import functional
from transformed import BLOCKS, CAST, EMBEDDINGS, batch, built

from captum_influence import Cut, NextToken
from captum_influence.methods.lrp.captum_backend import ByCaptum
from captum_influence.methods.lrp.find import relevance
from captum_influence.methods.lrp.operations_backend import ByOperations
from captum_influence.methods.lrp.rules import AlphaBeta, Composite, Epsilon, Gamma
from captum_influence.testing.state import unchanged

ENDLESS = {"tolerance": torch.inf}
VALUES = ByOperations(through_softmax=False)
TOKENS, WIDTH, INNER, CLASSES = 4, 6, 5, 3


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


class Block(nn.Module):
    """Attention of one head and a gated perceptron, each behind an RMSNorm; no bias."""

    def __init__(self) -> None:
        super().__init__()
        names = ("query", "key", "value", "out", "gate", "up", "down", "head")
        ends = [(WIDTH, WIDTH)] * 4 + [(WIDTH, INNER)] * 2 + [(INNER, WIDTH), (WIDTH, CLASSES)]
        for seed, (name, (i, o)) in enumerate(zip(names, ends, strict=True)):
            layer = nn.Linear(i, o, bias=False).double()
            layer.weight.data = 0.7 * drawn(o, i, seed=seed)
            setattr(self, name, layer)
        self.norms = nn.ParameterList([drawn(WIDTH, seed=20), drawn(WIDTH, seed=21)])

    def normed(self, x, place):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.norms[place]

    def attention(self, h):
        scores = self.query(h) @ self.key(h).transpose(1, 2) / WIDTH**0.5
        return scores.softmax(-1) @ self.value(h)

    def forward(self, x):
        x = x + self.out(self.attention(self.normed(x, 0)))
        h = self.normed(x, 1)
        x = x + self.down(functional.silu(self.gate(h)) * self.up(h))
        return self.head(x.mean(1))


def dense(relevance, x, weight):
    """The rule of 0: R_i = sum_j x_i w_ji R_j / z_j, token by token."""
    return x * ((relevance / (x @ weight.T)) @ weight)


def replica(model: Block, x: np.ndarray, target: int) -> np.ndarray:
    """Relevance of one example (tokens, width), by the paper's formulas, in numpy."""
    w = {n: p.detach().numpy() for n, p in model.named_parameters()}
    w = {n.removesuffix(".weight"): p for n, p in w.items()}

    def normed(h, place):
        scale = np.sqrt((h**2).mean(-1, keepdims=True) + 1e-6)
        return h / scale * w[f"norms.{place}"]

    h = normed(x, 0)
    q, k, v = (h @ w[n].T for n in ("query", "key", "value"))
    scores = q @ k.T / np.sqrt(WIDTH)
    a = np.exp(scores - scores.max(-1, keepdims=True))
    a = a / a.sum(-1, keepdims=True)
    o = a @ v
    wrote = o @ w["out"].T
    x1 = x + wrote
    h1 = normed(x1, 1)
    g, u = h1 @ w["gate"].T, h1 @ w["up"].T
    silu = g / (1 + np.exp(-g))
    m = silu * u
    told = m @ w["down"].T
    x2 = x1 + told
    pooled = x2.mean(0)
    # From the score down: all of it at one class.
    r = np.zeros(CLASSES)
    r[target] = (pooled @ w["head"].T)[target]
    r = dense(r[None], pooled[None], w["head"])[0]
    r2 = x2 / TOKENS * (r / pooled)
    r_told = told / x2 * r2
    r_m = dense(r_told, m, w["down"])
    r_h1 = dense(r_m / 2, h1, w["gate"]) + dense(r_m / 2, h1, w["up"])  # silu: as it comes
    r1 = x1 / x2 * r2 + r_h1  # the norm: as it comes
    r_o = dense(wrote / x1 * r1, o, w["out"])
    r_a = np.einsum("ji,ip,jp->ji", a, v, r_o / (2 * o))
    r_v = np.einsum("ji,ip,jp->ip", a, v, r_o / (2 * o))
    r_s = scores * (r_a - a * r_a.sum(-1, keepdims=True))
    shared = r_s / scores / np.sqrt(WIDTH) / 2
    r_q, r_k = q * (shared @ k), k * (shared.T @ q)
    parts = (("query", r_q), ("key", r_k), ("value", r_v))
    return x / x1 * r1 + sum(dense(part, h, w[n]) for n, part in parts)


def test_a_block_is_what_the_papers_formulas_say():
    model, x = Block(), drawn(2, TOKENS, WIDTH, seed=9)
    with unchanged(model):
        found = relevance(model, x, 1, **ENDLESS)
    assert found.by == ByOperations()
    for one, values in zip(x, found.map, strict=True):
        slow = torch.as_tensor(replica(model, one.numpy(), 1))
        torch.testing.assert_close(values, slow, rtol=1e-6, atol=1e-6)  # ε is 1e-9
    torch.testing.assert_close(found.output, model(x)[:, 1].detach())


def test_without_biases_only_softmax_takes_relevance_up_and_that_is_said():
    model, x = Block(), drawn(2, TOKENS, WIDTH, seed=9)
    kept = relevance(model, x, 0, by=VALUES, layers=["out", "down"])
    assert (kept.conservation_error < 1e-6).all()
    with pytest.warns(RuntimeWarning, match=r"biases \(the constant of softmax") as caught:
        found = relevance(model, x, 0)
    assert f"{float(found.conservation_error.max()):.3g}" in str(caught[0].message)
    lost = (found.map.sum((1, 2)) - found.output).abs() / found.output.abs()
    torch.testing.assert_close(found.conservation_error, lost)


class Residual(nn.Module):
    """Nothing but linear layers, sums, ReLUs and a module that runs twice."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv1d(4, 6, 1, bias=False)
        self.inner = nn.Linear(6, 6, bias=False)
        self.head = nn.Linear(6, 3, bias=False)

    def forward(self, x):
        x = self.stem(x.transpose(1, 2)).transpose(1, 2).relu()
        for _ in range(2):
            x = x + functional.leaky_relu(self.inner(x), 0.1)
        return self.head(torch.cat([x[:, :1], x[:, 1:]], 1).mean(1))


def test_without_softmax_norms_and_products_it_is_input_times_gradient():
    model, x = Residual().double(), drawn(3, 5, 4)
    found = relevance(model, x, [0, 1, 2], by=ByOperations(), layers=Cut("inner", call=1))
    expected = InputXGradient(model).attribute(x.clone().requires_grad_(), target=[0, 1, 2])
    torch.testing.assert_close(found.map, expected.detach(), atol=1e-8, rtol=1e-6)
    assert (found.conservation_error < 1e-6).all()
    assert found.layers["output of inner (call 1)"].shape == (3, 5, 6)


KINDS = ("BERT", "GPT-2", "Llama", "Qwen3", "ViT", "Swin")


def asked(kind: str) -> object:
    return NextToken(3) if kind in ("GPT-2", "Llama", "Qwen3") else 1


@pytest.mark.parametrize("kind", KINDS)
def test_attention_written_out_and_as_one_function_are_the_same(kind):
    found, given = [], batch(kind)
    cuts = [Cut(name, select=0 if kind == "Swin" else None) for name in BLOCKS[kind]]
    for attention in ("eager", "sdpa"):
        model = built(kind, attention).train()
        before = {name: value.clone() for name, value in model.state_dict().items()}
        found.append(relevance(model, given, asked(kind), layers=cuts, **ENDLESS))
        assert all(torch.equal(value, before[n]) for n, value in model.state_dict().items())
        assert all(module.training for module in model.modules())
        assert all(p.requires_grad and p.grad is None for p in model.parameters())
    near = 1e-5 if (kind, "eager") in CAST else 1e-10
    eager, sdpa = found
    torch.testing.assert_close(eager.map, sdpa.map, rtol=near, atol=near)
    for name in BLOCKS[kind]:
        torch.testing.assert_close(eager.layers[name], sdpa.layers[name], rtol=near, atol=near)
    assert eager.map.shape == next(iter(given.values())).shape
    assert float(eager.map.abs().max()) > 1e-3


@pytest.mark.parametrize("kind", ["Llama", "Qwen3"])
def test_networks_without_biases_lose_nothing_on_their_way_through_values(kind):
    model, embedding = built(kind), EMBEDDINGS[kind]
    found = relevance(model, batch(kind), NextToken(3), by=VALUES, layers=[embedding])
    assert (found.conservation_error < 1e-5).all()
    torch.testing.assert_close(found.layers[embedding].sum(-1), found.map)


def test_pads_get_nothing_and_change_nothing():
    model, given = built("Llama", "sdpa"), batch("Llama", 1)
    padded = {
        "input_ids": functional.pad(given["input_ids"], (2, 0)),
        "attention_mask": functional.pad(given["attention_mask"], (2, 0)),
        "position_ids": torch.tensor([[0, 0, 0, 1, 2, 3, 4, 5]]),
    }
    alone = relevance(model, given, NextToken(3), **ENDLESS).map
    found = relevance(model, padded, NextToken(3), **ENDLESS).map
    torch.testing.assert_close(found[:, 2:], alone, rtol=1e-5, atol=1e-6)
    assert (found[:, :2] == 0).all()


def encoder(norm_first: bool) -> nn.Module:
    torch.manual_seed(1)
    layer = nn.TransformerEncoderLayer(8, 2, 12, batch_first=True, norm_first=norm_first)
    parts = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    return nn.Sequential(parts, nn.Flatten(), nn.Linear(32, 3)).double()


class ByHand(nn.Module):
    """The same network by its own weights, without torch's attention."""

    def __init__(self, net: nn.Sequential) -> None:
        super().__init__()
        self.net = net

    def attended(self, layer, x):
        weights, inner = layer.self_attn, []
        q, k, v = functional.linear(x, weights.in_proj_weight, weights.in_proj_bias).chunk(3, -1)
        for own in (slice(0, 4), slice(4, 8)):
            scores = q[..., own] @ k[..., own].transpose(1, 2) * 0.5
            inner.append(scores.softmax(-1) @ v[..., own])
        return weights.out_proj(torch.cat(inner, -1))

    def forward(self, x):
        for layer in self.net[0].layers:
            normed = layer.norm1(x) if layer.norm_first else x
            x = x + self.attended(layer, normed)
            x = x if layer.norm_first else layer.norm1(x)
            normed = layer.norm2(x) if layer.norm_first else x
            x = x + layer.linear2(layer.linear1(normed).relu())
            x = x if layer.norm_first else layer.norm2(x)
        return self.net[2](self.net[1](x))


@pytest.mark.parametrize("norm_first", [False, True])
def test_torchs_encoder_is_what_its_functions_are(norm_first):
    model, x = encoder(norm_first), drawn(2, 4, 8)
    model.train()  # the fused path of eval mode is another function
    with unchanged(model):
        found = relevance(model, x, 1, **ENDLESS)
    same = relevance(ByHand(model), x, 1, by=ByOperations(), **ENDLESS)
    torch.testing.assert_close(found.map, same.map, rtol=1e-9, atol=1e-10)
    assert found.by == ByOperations()


def test_weights_that_are_asked_for_change_nothing():
    class Attention(nn.Module):
        def __init__(self, weights) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.inner, self.weights = nn.MultiheadAttention(8, 2, batch_first=True), weights

        def forward(self, x):
            return self.inner(x, x, x, need_weights=self.weights)[0].mean(1)

    found = [relevance(Attention(w).double(), drawn(2, 4, 8), 1, **ENDLESS) for w in (True, False)]
    torch.testing.assert_close(found[0].map, found[1].map, rtol=1e-10, atol=1e-12)


def chain() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32, 4),
    ).double()


COMPOSITES = {
    "epsilon": Composite(),
    "some epsilon": Composite(Epsilon(0.1), Epsilon(0.2)),
    "gamma": Composite(Epsilon(), Gamma(0.3)),
    "alpha1_beta0": Composite(Gamma(), AlphaBeta(), first=Epsilon()),
}


@pytest.mark.parametrize("name", COMPOSITES)
def test_on_chains_it_is_what_captum_propagates(name):
    model, x = chain(), drawn(2, 3, 8, 8).abs()
    given = {"composite": COMPOSITES[name], "layers": ["1", "4"], **ENDLESS}
    theirs = relevance(model, x, [0, 1], by=ByCaptum(), **given)
    with unchanged(model):
        ours = relevance(model, x, [0, 1], by=ByOperations(), **given)
    torch.testing.assert_close(ours.map, theirs.map, atol=1e-7, rtol=1e-6)
    for layer, values in ours.layers.items():
        torch.testing.assert_close(values, theirs.layers[layer], atol=1e-7, rtol=1e-6)


def test_what_it_has_no_rule_for_is_refused_and_nothing_stays():
    model, x = nn.Sequential(nn.Linear(4, 3), nn.LogSoftmax(1)).double(), drawn(2, 4)
    with unchanged(model), pytest.raises(ValueError, match="the function log_softmax"):
        relevance(model, x, 0, by=ByOperations())
    bounded = Composite.epsilon_gamma(bounds=(0.0, 1.0))
    with pytest.raises(ValueError, match="a rule of the input"):
        relevance(model[0], x, 0, composite=bounded, by=ByOperations())
    with unchanged(model), pytest.raises(ValueError, match="target"):
        relevance(model[0], x, 9, by=ByOperations())


def test_inputs_by_name_go_to_no_one_else():
    with pytest.raises(ValueError, match=r"takes one tensor of floats.*ask ByOperations"):
        relevance(built("BERT"), batch("BERT"), 1, by=ByCaptum())
