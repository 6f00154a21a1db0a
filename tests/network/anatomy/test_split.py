"""A copy whose readers stand apart answers as the network does, and reads what it is told to."""

import attending
import pytest
import torch
from torch import Tensor, nn

from captum_influence.attr.distributions import Point
from captum_influence.attr.influence import DistributionalInfluence
from captum_influence.attr.quantities import Function
from captum_influence.demo import load_phrase_network
from captum_influence.network.anatomy.split import Split
from captum_influence.network.cuts import Cut

CLEAN, OTHER = torch.tensor([[3, 1, 4, 1, 5]]), torch.tensor([[3, 9, 4, 9, 5]])
LAST = Function(lambda scores: scores[:, -1, 7])


def split() -> tuple[attending.Reader, Split]:
    model = attending.reader()
    return model, Split.of(model, CLEAN)


def test_it_answers_as_the_network_does_and_shares_its_weights() -> None:
    model, found = split()
    torch.testing.assert_close(found.run(CLEAN), model(CLEAN).detach(), rtol=0, atol=1e-12)
    own = {id(parameter) for parameter in model.parameters()}
    assert {id(parameter) for parameter in found.network.parameters()} == own
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_writers_and_readers_are_named_and_know_who_comes_before() -> None:
    _, found = split()
    heads = [f"h{i}" for i in range(4)]
    assert found.writers == (
        "input",
        *(f"a0.{head}" for head in heads),
        "m0",
        *(f"a1.{head}" for head in heads),
        "m1",
    )
    before = {reader.name: reader.before for reader in found.readers}
    assert before["a0.h3<q>"] == 1
    assert before["m0"] == 5
    assert before["a1.h1<v>"] == 6
    assert "a1.h2<v>" not in before  # there are two heads of keys and values
    assert before["logits"] == len(found.writers)


def test_what_is_written_adds_up_to_what_is_read_but_for_biases() -> None:
    model, found = split()
    written = found.written(CLEAN)
    entering: list[Tensor] = []
    handle = model.scores.register_forward_pre_hook(lambda module, args: entering.append(args[0]))
    model(CLEAN)
    handle.remove()
    bias = sum(block.attention.out.bias for block in model.blocks)
    torch.testing.assert_close(written.sum(0) + bias, entering[0])


def test_a_reader_that_hears_the_other_input_is_the_network_computed_by_hand() -> None:
    model, found = split()
    others = found.written(OTHER)
    absent = torch.zeros_like(found.before)
    names = [reader.name for reader in found.readers]
    absent[names.index("a1.h1<v>"), 0] = True  # it hears the other words, and no one else does
    with found.without(absent, others):
        scores = found.run(CLEAN)

    moved = model.words(OTHER) - model.words(CLEAN)
    second = model.blocks[1]

    def values(module: nn.Module, args: tuple[Tensor], output: Tensor) -> Tensor:
        heard = second.norm(streams[0] + moved)
        changed = module.weight[14:16] @ heard.mT + module.bias[14:16, None]
        return torch.cat([output[..., :14], changed.mT], -1)

    streams: list[Tensor] = []
    note = second.norm.register_forward_pre_hook(lambda module, args: streams.append(args[0]))
    change = second.attention.joint.register_forward_hook(values)
    expected = model(CLEAN).detach()
    note.remove()
    change.remove()
    torch.testing.assert_close(scores, expected, rtol=0, atol=1e-12)


def test_readers_that_hear_nothing_of_the_clean_input_answer_as_for_the_other() -> None:
    model, found = split()
    with found.without(found.before, found.written(OTHER)):
        scores = found.run(CLEAN)
    torch.testing.assert_close(scores, model(OTHER).detach(), rtol=0, atol=1e-12)
    torch.testing.assert_close(found.run(CLEAN), model(CLEAN).detach(), rtol=0, atol=1e-12)


def test_a_reader_is_a_branch_to_attribute_to() -> None:
    _, found = split()
    cuts = [reader.cut for reader in found.readers]
    measure = DistributionalInfluence(found.network, cuts, distribution=Point(), quantity=LAST)
    slopes = measure.attribute(CLEAN)
    others = found.written(OTHER)
    moved = others - found.written(CLEAN)
    step = 1e-6
    nudged = found.written(CLEAN) + step * moved
    value = found.run(CLEAN)[:, -1, 7]
    for reader, writer in ((0, 0), (7, 0), (9, 2), (17, 3), (len(cuts) - 1, 8)):
        absent = torch.zeros_like(found.before)
        absent[reader, writer] = True
        with found.without(absent, nudged):
            slope = (found.run(CLEAN)[:, -1, 7] - value) / step
        expected = (slopes[reader] * moved[writer]).sum()
        torch.testing.assert_close(slope.sum(), expected, rtol=1e-4, atol=1e-8)


def test_what_cannot_be_told_apart_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="torch's own attention"):
        Split.of(attending.encoder(), torch.ones(1, 5, attending.WIDTH, dtype=torch.float64))
    model = attending.reader()
    model.blocks[1].register_forward_pre_hook(lambda module, args: (args[0] * 2,))
    with pytest.raises(ValueError, match="another"):
        Split.of(model, CLEAN)


NAMES, OTHERS = torch.tensor([[0, 3, 1, 4, 3]]), torch.tensor([[0, 5, 1, 7, 3]])


def test_queries_keys_and_values_of_modules_of_their_own_hear_apart() -> None:
    """One norm serves all three: what one reader hears through it isn't what the next one gets."""
    model = load_phrase_network().double()
    found = Split.of(model, NAMES)
    own, others = found.written(NAMES), found.written(OTHERS)
    block = model.blocks[1]
    streams: list[Tensor] = []
    handle = block.before_attention.register_forward_pre_hook(lambda m, a: streams.append(a[0]))
    model(NAMES)
    handle.remove()
    for purpose, module in (("q", block.attention.query), ("k", block.attention.key)):
        absent = torch.zeros_like(found.before)
        readers = [reader.name for reader in found.readers]
        absent[readers.index(f"a1.h2<{purpose}>"), 0] = True
        with found.without(absent, others):
            answer = found.run(NAMES)

        def changed(m: nn.Module, args: tuple[Tensor, ...], features: Tensor) -> Tensor:
            theirs = m.forward(block.before_attention(streams[0] + (others - own)[0]))
            return torch.cat([features[..., :32], theirs[..., 32:48], features[..., 48:]], -1)

        handle = module.register_forward_hook(changed)
        torch.testing.assert_close(answer, model(NAMES).detach(), rtol=0, atol=1e-12)
        handle.remove()


def test_slopes_of_readers_apart_add_up_to_that_of_the_norm() -> None:
    model = load_phrase_network().double()
    found = Split.of(model, NAMES)
    last = Function(lambda scores: scores[:, -1, 7])
    readers = [reader.cut for reader in found.readers if reader.name.startswith("a1.")]
    slopes = DistributionalInfluence(found.network, readers, distribution=Point(), quantity=last)
    norm = Cut("blocks.1.before_attention", "input")
    whole = DistributionalInfluence(model, norm, distribution=Point(), quantity=last)
    total = torch.stack(slopes.attribute(NAMES)).sum(0)
    torch.testing.assert_close(total, whole.attribute(NAMES), rtol=0, atol=1e-12)
    heads = [sum(reader.name == f"a1.h3<{p}>" for reader in found.readers) for p in "qkv"]
    assert heads == [1, 1, 1]
