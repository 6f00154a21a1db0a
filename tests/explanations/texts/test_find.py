"""Estimates and effects of a prompt's units against hooks written by hand."""

import importlib
import sys
from pathlib import Path
from typing import Any

import prompted
import pytest
import torch
from prompted import CLEAN, CORRUPTED, PARTS, WordTokenizer
from torch import Tensor, nn

from captum_influence import (
    ClassScore,
    LinearPath,
    NextToken,
    Noise,
    Run,
    TextExplanation,
    explain_text,
)
from captum_influence.testing import check_finding

TOKENIZER = WordTokenizer()
ALL = 10_000  # more than there are


def difference(kind: str) -> Any:
    return ClassScore(2) - ClassScore(1) if kind == "BERT" else NextToken(2) - NextToken(1)


def found(kind: str, against: str | None = CORRUPTED, **options: Any) -> TextExplanation:
    model = prompted.network(kind)
    return explain_text(model, TOKENIZER, CLEAN, difference(kind), against, **options)


def part(kind: str, unit: Any) -> tuple[str, slice]:
    """Return the module that reads a unit, and which of its features the unit is."""
    block = int(unit.layer.rpartition(".")[2])
    heads, neurons = PARTS[kind][block]
    if unit.kind == "neuron":
        return neurons, slice(unit.index, unit.index + 1)
    size = prompted.network(kind).get_submodule(heads).weight.shape[0] // prompted.HEADS[kind]
    return heads, slice(unit.index * size, (unit.index + 1) * size)


@pytest.mark.parametrize("against", [CORRUPTED, None])
@pytest.mark.parametrize("kind", PARTS)
def test_estimates_and_effects_are_those_of_hooks(kind: str, against: str | None) -> None:
    said, model = found(kind, against, top=ALL), prompted.network(kind)
    units = [unit for patched in said.patched[1:] for unit in patched.units]
    assert {unit.kind for unit in units} == {"head", "neuron"}
    known: dict[str, tuple[Tensor, Tensor, Tensor]] = {}
    for unit in units:
        name, own = part(kind, unit)
        if name not in known:
            z, gradient = prompted.given_to(model, name, CLEAN)
            other = 0 * z if against is None else prompted.given_to(model, name, against)[0]
            known[name] = z, gradient, other
        z, gradient, other = known[name]
        estimate = float((gradient * (z - other))[..., own].sum())

        def replaced(given: Tensor, own: slice = own, other: Tensor = other) -> Tensor:
            given[..., own] = other[..., own]
            return given

        effect = said.value - prompted.patched(model, name, replaced)
        size = prompted.TOLERANCE[kind] * max(1.0, abs(said.value))
        assert unit.estimate == pytest.approx(estimate, abs=size)
        assert unit.effect == pytest.approx(effect, abs=size)


def test_the_embedding_is_replaced_token_by_token() -> None:
    said, model = found("plain"), prompted.network("plain")
    (token,) = said.of("token").units
    assert (token.name, token.index) == ("token 1, 'Mary'", 1)
    with torch.no_grad():
        own, other = (prompted.scores(model, text)[0] for text in (CLEAN, CORRUPTED))
    change = float(own[2] - own[1] - other[2] + other[1])
    assert token.effect == pytest.approx(change, abs=1e-12)  # all that differs
    assert said.changes == pytest.approx([change] * 3, abs=1e-12)
    assert said.map[:, 0].nonzero().flatten().tolist() == [1]


def test_the_map_is_gradient_times_difference_after_every_block() -> None:
    said, model = found("plain"), prompted.network("plain")
    own, gradient = prompted.given_to(model, "scores", CLEAN)
    other, _ = prompted.given_to(model, "scores", CORRUPTED)
    torch.testing.assert_close(said.map[:, 2], (gradient * (own - other))[0].sum(-1))
    assert said.layers == ("embedding", "blocks.0", "blocks.1")
    assert said.heads.shape == (2, 4)
    head = next(unit for unit in said.of("head").units if unit.layer == "blocks.1")
    assert float(said.heads[1, head.index]) == head.estimate


@pytest.mark.parametrize(("against", "near"), [(CORRUPTED, 1e-4), (None, 1e-2)])
def test_a_path_adds_up_in_every_layer(against: str | None, near: float) -> None:
    said = found("plain", against, distribution=LinearPath(n=96))
    assert said.adds_up
    for _, total, change in said.totals:
        assert total == pytest.approx(change, rel=near)  # norms bend most near zero
    assert not found("plain", distribution=None).adds_up


def test_units_together_are_replaced_at_once() -> None:
    said, model = found("plain", top=3), prompted.network("plain")
    heads = said.of("head")
    handles, values = [], {}
    for unit in heads.units:
        name, own = part("plain", unit)
        other = prompted.given_to(model, name, CORRUPTED)[0]
        values.setdefault(name, []).append((own, other))
    for name, parts in values.items():

        def change(module: nn.Module, args: Any, parts: Any = parts) -> Any:
            given = args[0].clone()
            for own, other in parts:
                given[..., own] = other[..., own]
            return (given,)

        handles.append(model.get_submodule(name).register_forward_pre_hook(change))
    with torch.no_grad():
        row = prompted.scores(model, CLEAN)[0]
    for handle in handles:
        handle.remove()
    assert heads.together == pytest.approx(said.value - float(row[2] - row[1]), abs=1e-12)
    assert heads.together_estimate == pytest.approx(sum(u.estimate for u in heads.units))
    assert len(heads.random) == 10
    assert heads.sampled == heads.count == 8


def test_it_promotes_what_its_direction_scores() -> None:
    said, model = found("plain"), prompted.network("plain")
    unit = said.of("neuron").units[0]
    name, own = part("plain", unit)
    (z, _), (other, _) = (prompted.given_to(model, name, text) for text in (CLEAN, CORRUPTED))
    written = model.get_submodule(name).weight[:, own] @ (z - other)[0, unit.at, own]
    raised = model.scores.weight @ written  # there is no norm before them
    best = raised.argsort(descending=True)[:3].tolist()
    assert unit.promotes == tuple(repr(TOKENIZER.decode([token])) for token in best)


def test_classifiers_promote_nothing_and_name_their_classes() -> None:
    said = explain_text(
        prompted.network("BERT"), TOKENIZER, CLEAN, "spam", class_names=["ham", "spam", "eggs"]
    )
    assert said.quantity == "score(spam)"
    assert {p.name for p in said.predictions} == {"ham", "spam", "eggs"}
    assert all(unit.promotes == () for unit in said.of("head").units)
    own = explain_text(prompted.network("BERT"), TOKENIZER, CLEAN, 1)
    assert own.quantity == "score(LABEL_1)"  # as the network's own config has it


def test_nothing_said_asks_for_the_next_token() -> None:
    model = prompted.network("plain")
    said = explain_text(model, TOKENIZER, CLEAN)
    with torch.no_grad():
        best = int(prompted.scores(model, CLEAN).argmax())
    word = repr(TOKENIZER.decode([best]))
    assert (said.quantity, said.predictions[0].name) == (f"logit({word})", word)
    assert said.headline.startswith(f"The network says {word} (")
    assert explain_text(model, TOKENIZER, CLEAN, "John").quantity == "logit('John')"


def test_a_user_s_function_and_a_tokenizer_without_texts() -> None:
    def tokenizer(text: str) -> Any:
        return TOKENIZER(text)

    def spread(output: Tensor) -> Tensor:
        return output[:, -1].std(dim=-1)

    said = explain_text(prompted.network("plain"), tokenizer, CLEAN, spread)
    assert said.quantity == "spread(output)"
    assert said.tokens[:3] == ("6", "2", "5")


@pytest.mark.parametrize("kind", PARTS)
def test_it_keeps_what_every_finding_promises(kind: str) -> None:
    said = found(kind, top=2, seed=3)
    check_finding(said, {"model": prompted.network(kind), "tokenizer": TOKENIZER})


@pytest.mark.parametrize("grad", [True, False])
def test_the_network_is_left_as_it_was(grad: bool) -> None:
    model = prompted.network("plain")
    model.scores.weight.requires_grad_(False)
    before = {name: p.clone() for name, p in model.named_parameters()}
    state = torch.get_rng_state()
    with torch.set_grad_enabled(grad):
        explain_text(model, TOKENIZER, CLEAN, 2, CORRUPTED, top=2)
        assert torch.is_grad_enabled() is grad
    assert torch.equal(state, torch.get_rng_state())
    for name, p in model.named_parameters():
        assert torch.equal(p, before[name])
        assert p.grad is None
        assert p.requires_grad is (name != "scores.weight")
    for module in model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
        assert "forward" not in module.__dict__


def test_portions_and_noise_change_little() -> None:
    whole, parts = found("plain"), found("plain", run=Run(internal_batch_size=3))
    first, second = (said.of("head").units[0] for said in (whole, parts))
    assert second.effect == pytest.approx(first.effect, abs=1e-12)
    noisy = found("plain", distribution=Noise(1e-6, 2))
    assert noisy.of("head").units[0].estimate == pytest.approx(first.estimate, rel=1e-3)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"against": "when Anna left"}, ValueError, "equally many tokens, got 11 and 3"),
        ({"against": CLEAN}, ValueError, "another prompt as against="),
        ({"prompt": 3}, TypeError, "prompt= as a text, got int"),
        ({"top": 0}, ValueError, "top as a positive number, got 0"),
        ({"quantity": "Mary and"}, ValueError, "expected one token, got 2"),
        ({"distribution": 3}, TypeError, r"LinearPath\(n=16\)"),
        ({"seeds": 3}, TypeError, "did you mean seed="),
    ],
)
def test_what_is_refused(change: dict[str, Any], error: type[Exception], message: str) -> None:
    given = {"prompt": CLEAN, "quantity": None, **change}
    with pytest.raises(error, match=message):
        explain_text(prompted.network("plain"), TOKENIZER, **given)


def test_a_network_that_draws_is_refused() -> None:
    model = prompted.network("plain")
    model.scores = nn.Sequential(nn.Dropout(), model.scores).train()
    with pytest.raises(ValueError, match=r"draws at random. Call model\.eval\(\) first"):
        explain_text(model, TOKENIZER, CLEAN)


def test_two_streams_are_refused() -> None:
    model = prompted.transformed.built("T5")
    generate = type(model).forward

    class Whole(type(model)):
        def forward(self, input_ids: Tensor) -> Any:
            return generate(self, input_ids=input_ids, decoder_input_ids=input_ids)

    model.__class__ = Whole
    with pytest.raises(ValueError, match=r"one residual stream.* got 2"):
        explain_text(model, TOKENIZER, CLEAN)


def test_estimates_agree_with_replacing_in_a_trained_network(shared_data: Path) -> None:
    folder = shared_data / "dreams"
    if not (folder / "dreams_loader.py").is_file():
        pytest.skip("no trained language model among the real data")
    pytest.importorskip("transformers", reason="transformers is not installed")
    sys.path.append(str(folder))
    loader = importlib.import_module("dreams_loader")
    vocabulary, model = loader.Vocabulary.read(), loader.language_model(dtype=torch.float64)

    def tokenizer(text: str) -> dict[str, Any]:
        return {"input_ids": vocabulary.encode(text)}

    said = explain_text(
        model, tokenizer, "My thoughts are like a river of", None, "My dreams are like a river of"
    )
    heads, neurons = said.of("head"), said.of("neuron")
    assert (heads.count, neurons.count, neurons.sampled) == (16, 688, 64)
    assert (heads.agreement or 0) > 0.95
    assert (neurons.agreement or 0) > 0.97
    assert abs(neurons.units[0].effect) > 5 * neurons.random_alone
