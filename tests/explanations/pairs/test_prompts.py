"""What separates two next tokens, or two classes of texts, whatever the prompts' pads."""

from typing import Any

import padded
import pytest
import torch
import transformed
from padded import KINDS, LABELS, TOLERANCE

from captum_influence import pair
from captum_influence.demo import PhraseTokenizer, load_phrase_network
from captum_influence.testing import check_finding

TOKENIZER, NETWORK = PhraseTokenizer(), load_phrase_network()
SAID = [
    ("Anna Ben Clara Anna", "Ben"),
    ("Mary Kate Mary", "Kate"),
    ("Ida Kate Leo Ida", "Kate"),
    ("Emma John Emma", "John"),
    ("Leo Ben David Clara Leo", "Ben"),
]
LOADER = [(TOKENIZER(text), label) for text, label in SAID]
ASKED: dict[str, Any] = {"tokenizer": TOKENIZER, "top": 1, "examples": 1, "ks": (1, 2)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["right", "left", "lists"])
def test_contributions_are_those_of_each_prompt_alone(kind: str, form: str) -> None:
    model, given, name = transformed.built(kind, "sdpa"), padded.prompts(kind), padded.block(kind)
    loader = padded.loader(form, given, LABELS)
    found = pair(model, loader, name, 0, 1, top=1, examples=1, ks=(1,))
    both = [(one, label) for one, label in zip(given, LABELS, strict=True) if label < 2]
    seen = []
    for one, label in both:
        z, first = padded.hooked(model, name, one, 0)
        seen.append((z, first - padded.hooked(model, name, one, 1)[1], label))
    mean = torch.cat([z for z, _, _ in seen]).mean(0)  # over the two classes' tokens alone
    for target in (0, 1):
        parts = [((z - mean) * slope).sum(0) for z, slope, label in seen if label == target]
        expected = torch.stack(parts).mean(0)
        torch.testing.assert_close(
            found.profile.mean(target), expected, rtol=0, atol=10 * TOLERANCE[kind]
        )


def test_words_are_of_prompts() -> None:
    found = pair(NETWORK, LOADER, "blocks.1.attention.output", "Ben", "Kate", **ASKED)
    assert (found.first.count, found.second.count) == (2, 2)
    html = found.page().html()
    assert "pixel" not in found.page().content["method"]
    assert "pictures" not in html
    assert "the units of &#39;Ben&#39;" in html
    assert found.to_dict()["first"]["prompts"] == 2


def test_it_keeps_what_every_finding_promises() -> None:
    found = pair(NETWORK, LOADER, None, "Ben", "Kate", **ASKED)
    assert found.layer == "blocks.1"
    check_finding(found, {"model": NETWORK, "loader": LOADER, "tokenizer": TOKENIZER})
