"""Texts: tokens as a reader knows them, lit tokens by hand, and whole pages."""

import json

import pytest
import torch
from paged import Page
from tokenised import Words

from captum_influence import explain
from captum_influence.demo.phrase_net import PhraseTokenizer, load_phrase_network
from captum_influence.reports.display import Row
from captum_influence.reports.shown import Shown
from captum_influence.testing import check_finding
from captum_influence.units.shown.choice import display_of
from captum_influence.units.shown.texts import TextDisplay, TextHighlight

DISPLAY = TextDisplay(("<s>", "a", "<b>good</b>", "book"), 50.0)  # the two highest of four


def test_features_are_added_up_with_their_signs() -> None:
    assert DISPLAY.laid(torch.tensor([[1.0, -1.0], [0.5, -3.0]])).tolist() == [0.0, -2.5]


def test_tokens_are_texts_where_there_is_a_tokenizer() -> None:
    ids = torch.tensor([2, 4, 3])
    assert display_of(ids, Shown()).tokens == ("2", "4", "3")  # type: ignore[attr-defined]
    shown = display_of(ids, Shown(tokenizer=Words()))
    assert shown.tokens == ("' Mary'", "' and'", "' John'")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("values", "lowest", "lit", "share", "words"),
    [
        ([0, 1, 3, 0], False, [1, 2], 1.0, "a at 1 and <b>good</b> at 2"),
        ([2, 1, 5, 0], False, [0, 2], 7 / 8, "<s> at 0 and <b>good</b> at 2"),
        ([0, -2, 3, -6], True, [1, 3], 1.0, "a at 1 and book at 3"),
        ([0, 0, 4, 0], False, [2], 1.0, "<b>good</b> at 2"),
        ([0, -1, 0, 0], False, [], 0.0, ""),
    ],
)
def test_the_highest_tokens_are_lit(values, lowest, lit, share, words) -> None:
    seen = DISPLAY.highlight(torch.tensor(values).float(), lowest=lowest)
    assert seen.lit.nonzero().flatten().tolist() == lit
    assert seen.lit_share == pytest.approx(share)
    where = seen.where("what raises it")
    assert where.endswith(f"of what raises it comes from {words}." if words else "")


def test_a_text_draws_itself() -> None:
    seen = DISPLAY.highlight(torch.tensor([0.0, 1.0, -3.0, 2.0]))
    assert isinstance(seen, TextHighlight)
    page = seen.fragment("score", "contribution")
    assert "&lt;b&gt;good" in page
    assert "<b>good" not in page
    assert [name for name, _ in seen.figures("contribution")] == ["map"]
    line = seen.line('what "it" does')
    assert line.startswith('<p role="img" aria-label="what &#34;it&#34; does"')
    assert "figcaption" not in line
    assert "What raises it. Orange raises it" in DISPLAY.stage(seen, "What raises it.")
    assert DISPLAY.overview([Row("channel 1", 0.5, seen)], "what it does").axes
    assert DISPLAY.figure().axes
    json.dumps([seen.to_dict(), DISPLAY.to_dict()])
    assert "4 tokens" in DISPLAY.fragment()


def test_the_page_shows_the_text() -> None:
    tokenizer = PhraseTokenizer()
    ids = torch.tensor([tokenizer("Mary John Anna Ben Mary")["input_ids"]])
    model, named = load_phrase_network(), {"input_ids": ids}
    found = explain(model, named, "blocks.0", "John", top=2, tokenizer=tokenizer)
    assert "Anna" in Page(found.page().html()).text
    check_finding(found, {"model": model, "image": named, "tokenizer": tokenizer})
