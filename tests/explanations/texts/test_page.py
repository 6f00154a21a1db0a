"""The page of one prompt."""

from dataclasses import replace
from typing import Any

import prompted
import pytest
import torch
from paged import HOSTILE, SCRIPT, Page
from prompted import CLEAN, CORRUPTED, WordTokenizer

from captum_influence import NextToken, TextExplanation, explain_text

ASKED = NextToken(2) - NextToken(3)


def told(against: str | None = CORRUPTED, **options: Any) -> TextExplanation:
    return explain_text(prompted.reader(), WordTokenizer(), CLEAN, ASKED, against, top=2, **options)


def test_the_first_screen_has_the_sentence_and_the_coloured_tokens() -> None:
    found = told()
    html = found.page("captum-influence explain-text").html()
    shown = Page(html)
    tokens = [a for a in shown.all("span") if "--shade" in a.get("style", "")]
    shades = [float(a["style"].removeprefix("--shade:")) for a in tokens]
    assert len(tokens) == 11
    assert [i for i, shade in enumerate(shades) if shade] == [1]  # Mary, for Anna
    assert shades[1] == 0.75
    assert (
        html.index("The network says") < html.index('class="tokens"') < html.index("matters most")
    )
    assert "Compared with: " + CORRUPTED in shown.text


def test_both_grids_and_every_unit_stand_there() -> None:
    found = told()
    shown = Page(found.page().html())
    cells = [a for a in shown.all("td") if "cell" in a.get("class", "")]
    assert len(cells) == found.map.numel() + found.heads.numel()
    for part in found.patched:
        for unit in part.units:
            assert unit.name in shown.text
    assert found.sum_in_words() in shown.text
    assert "What both prompts share is not seen" in shown.text
    assert "Zero is not what a unit says" in Page(told(None).page().html()).text


def test_rows_in_which_nothing_happens_are_one() -> None:
    found = told()
    still = replace(found, map=found.map * (torch.arange(len(found.map)) < 3)[:, None])
    shown = Page(still.page().html())
    cells = [a for a in shown.all("td") if "cell" in a.get("class", "")]
    assert len(cells) == 4 * found.map.shape[1] + found.heads.numel()
    assert f"{len(found.map) - 3} others" in shown.text


def test_figures_are_named_after_what_they_show() -> None:
    assert [name for name, _ in told().page().figures()] == [
        *("overview", "tokens", "heads"),
        *("tokens_replaced", "heads_replaced", "neurons_replaced"),
    ]


@pytest.mark.parametrize("text", HOSTILE)
def test_tokens_can_not_break_out(text: str) -> None:
    class Tokenizer(WordTokenizer):
        def decode(self, ids: list[int]) -> str:
            return text

    found = explain_text(prompted.reader(), Tokenizer(), CLEAN, 2, top=1)
    shown = Page(found.page().html())
    assert shown.scripts == [SCRIPT]
    assert text.strip("'\"") in shown.text or repr(text) in shown.text
