"""The demo of text continues a phrase that it has read once."""

import re

import pytest
import torch

from captum_influence.demo.phrase_net import PLACES, WORDS, PhraseTokenizer, load_phrase_network


def _said(text: str) -> str:
    ids = torch.tensor([PhraseTokenizer()(text)["input_ids"]])
    with torch.no_grad():
        return WORDS[int(load_phrase_network()(ids)[0, -1].argmax())]


def test_it_says_what_followed_the_name_before() -> None:
    draws = torch.Generator().manual_seed(0)
    for _ in range(40):
        names = [WORDS[i] for i in (torch.randperm(len(WORDS) - 1, generator=draws) + 1)[:6]]
        read = int(torch.randint(1, 5, (1,), generator=draws))
        assert _said(" ".join(names + names[:read])) == names[read]


def test_pads_on_the_right_change_nothing() -> None:
    network = load_phrase_network()
    ids = torch.tensor([[0, 3, 5, 7, 3, 0, 0]])
    padded = network(ids, attention_mask=(ids > 0).long())
    torch.testing.assert_close(padded[:, :5], network(ids[:, :5]))


def test_the_file_is_small_and_the_network_in_evaluation_mode() -> None:
    network = load_phrase_network()
    assert not network.training
    assert sum(p.numel() * p.element_size() for p in network.parameters()) < 300_000


def test_words_and_texts_that_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="'Zoe', which the demo network doesn't know"):
        PhraseTokenizer()("Anna Zoe")
    with pytest.raises(ValueError, match=f"expected at most {PLACES - 1} words, got {PLACES}"):
        load_phrase_network()(torch.zeros(1, PLACES + 1, dtype=torch.long))
    with pytest.raises(ValueError, match=re.escape("'nowhere.pt', which is not a file")):
        load_phrase_network("nowhere.pt")


def test_text_and_back() -> None:
    tokenizer = PhraseTokenizer()
    assert tokenizer.decode(tokenizer("Mary John")["input_ids"]) == "<start> Mary John"
    assert tokenizer("Mary", add_special_tokens=False) == {"input_ids": [WORDS.index("Mary")]}
