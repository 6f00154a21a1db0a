"""What a class of prompts is: units removed as hooks remove them, shown on tokens."""

from pathlib import Path
from typing import Any

import padded
import pytest
import torch
import transformed
from padded import FORMS, KINDS, LABELS, TOLERANCE
from torch import Tensor

from captum_influence import Essence, essence
from captum_influence.demo import PhraseTokenizer, load_phrase_network
from captum_influence.testing import check_finding

TOKENIZER, NETWORK = PhraseTokenizer(), load_phrase_network()
SAID = [
    ("Mary Ida John Leo Mary", "Ida"),
    ("Anna Ben Clara Anna", "Ben"),
    ("Mary John Mary", "John"),
    ("Kate Ben Leo Kate", "Ben"),
    ("Ida Ben David Clara Ida", "Ben"),
]
LAYER = "blocks.1.attention.output"


def found_over(texts: list[tuple[str, str]] = SAID, **settings: Any) -> Essence:
    loader = [(TOKENIZER(text), label) for text, label in texts]
    asked = {"tokenizer": TOKENIZER, "top": 2, "examples": 2, "ks": (1, 8), **settings}
    return essence(NETWORK, loader, LAYER, "Ben", **asked)


def means(kind: str, given: list[Any]) -> Tensor:
    """Return the mean over all tokens of all prompts, (features,)."""
    model, name = transformed.built(kind, "sdpa"), padded.block(kind)
    return torch.cat([padded.hooked(model, name, one, 0)[0] for one in given]).mean(0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["right", "left", "single"])
def test_units_are_removed_as_hooks_do(kind: str, form: str) -> None:
    model, given = transformed.built(kind, "sdpa"), padded.prompts(kind)
    name, instead = padded.block(kind), means(kind, given)
    loader = padded.loader(form, given, LABELS)
    found = essence(model, loader, name, 0, top=2, examples=1, ks=(2, 5))
    own = [one for one, label in zip(given, LABELS, strict=True) if label == 0]

    def lost(units: list[int]) -> float:
        whole = sum(float(padded.scores_of(model, one)[0, 0].detach()) for one in own)
        left = sum(float(padded.changed(model, name, one, units, instead)[0, 0]) for one in own)
        return (whole - left) / len(own)

    units = [row.unit.index[0] for row in found.units]
    for unit, effect in zip(units, found.effects.alone, strict=True):
        assert effect == pytest.approx(lost([unit]), abs=10 * TOLERANCE[kind])
    assert found.effects.together == pytest.approx(lost(units), abs=10 * TOLERANCE[kind])
    assert found.effects.inputs == 3


@pytest.mark.parametrize("form", FORMS)
def test_experts_are_counted_as_hooks_do(form: str) -> None:
    model, given = transformed.built("BERT", "sdpa"), padded.prompts("BERT")
    name, instead = padded.block("BERT"), means("BERT", given)
    said = [int(padded.scores_of(model, one).argmax()) for one in given]
    loader = padded.loader(form, given, said)  # so that it answers right
    target = said[0]
    found = essence(model, loader, name, target, top=1, examples=1, ks=(3,), replace="mean")
    first = [unit.index[0] for unit in found.removed.rankings["contribution"][:3]]
    own = [one for one, label in zip(given, said, strict=True) if label == target]
    hits = sum(
        int(padded.changed(model, name, one, first, instead).argmax()) == target for one in own
    )
    assert found.removed.whole.hits == len(own)
    assert found.removed.counts["contribution"][0].hits == hits


def test_examples_are_tokens_known_by_their_place_in_the_loader() -> None:
    found = found_over()
    for row in found.units:
        for look in row.looks:
            text, label = SAID[look.example.number]
            tokens = [token.strip("'") for token in look.example.display.to_dict()["tokens"]]
            assert " ".join(tokens[1:]) == text
            assert label == "Ben"
            assert look.example.label_name == "'Ben'"
        values = [example.value for example in row.active]
        assert values == sorted(values, reverse=True)
    assert found.count == 3
    assert found.noun == "prompt"


def test_maps_are_what_tokens_do_through_a_unit() -> None:
    network = load_phrase_network().double()
    loader = [(TOKENIZER(text), label) for text, label in SAID]
    asked: dict[str, Any] = {"tokenizer": TOKENIZER, "top": 1, "examples": 1, "ks": (1,)}
    found = essence(network, loader, LAYER, "Ben", **asked)
    (row,) = found.units
    (look,) = row.looks
    ids = torch.tensor([TOKENIZER(SAID[look.example.number][0])["input_ids"]])
    kept: dict[str, Tensor] = {}

    def keep(name: str) -> Any:
        def hook(module: Any, args: Any, output: Tensor) -> None:
            kept[name] = output

        return hook

    network.words.register_forward_hook(keep("words"))
    network.get_submodule(LAYER).register_forward_hook(keep("layer"))
    score = network(ids)[0, -1, 2]
    unit = row.unit.index[0]
    (slopes,) = torch.autograd.grad(score, kept["layer"], retain_graph=True)
    through = (kept["layer"][..., unit] * slopes[..., unit]).sum()
    (gradient,) = torch.autograd.grad(through, kept["words"])
    expected = (gradient * kept["words"])[0].sum(-1).detach()
    torch.testing.assert_close(look.seen.map, expected, rtol=0, atol=1e-12)


def test_words_are_of_prompts() -> None:
    found = found_over()
    words = found.headline + " ".join(str(part) for part in found.page().content.values())
    assert "3 prompts of 'Ben'" in found.headline
    assert "picture" not in words
    assert "pixel" not in words
    html = found.page().html()
    assert "picture of" not in html
    assert "<start>" in html.replace("&lt;", "<").replace("&gt;", ">")


def test_held_out_prompts_are_read_alike() -> None:
    other = [(TOKENIZER("Emma Ben Jack Emma"), "Ben"), (TOKENIZER("Leo Kate Leo"), "Kate")]
    found = found_over(held_out=other)
    assert found.held_out
    assert found.removed.whole.hits + found.removed.whole.misses == 1


def test_it_keeps_what_every_finding_promises(tmp_path: Path) -> None:
    loader = [(TOKENIZER(text), label) for text, label in SAID]
    found = found_over()
    names = {"model": NETWORK, "loader": loader, "tokenizer": TOKENIZER}
    check_finding(found, names)


def test_without_other_prompts_there_is_no_rest() -> None:
    found = found_over([said for said in SAID if said[1] == "Ben"])
    assert found.kept is None
    assert found.facts["replace"] == "0"


def test_no_prompt_of_the_class_is_refused() -> None:
    with pytest.raises(ValueError, match="holds no prompt of class 2"):
        found_over([said for said in SAID if said[1] != "Ben"])
