"""Another kind of input, shown by a display that is made here: nothing else has to know of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, ClassVar

import pytest
import torch
from matplotlib.figure import Figure
from paged import Page
from torch import Tensor, nn

from captum_influence import Counterfactual, Explanation, counterfactual, explain, explain_layers
from captum_influence.reports.display import Display, Highlight, Row
from captum_influence.testing import check_finding
from captum_influence.visualization.style import LIGHT, empty_figure

WORDS = ("the", "film", "is", "wonderful", "dull", "and", "short")
FEATURES = 4


def bars(words: Sequence[str], rows: Sequence[tuple[str, Tensor]], title: str) -> Figure:
    """A bar for each word, once for each unit."""
    figure = empty_figure(6, 1 + 1.2 * len(rows), LIGHT)
    for place, (name, values) in enumerate(rows, start=1):
        axes = figure.add_subplot(len(rows), 1, place)
        axes.bar(range(len(words)), values.tolist())
        axes.set_xticks(range(len(words)), words)
        axes.set_title(name)
    figure.suptitle(title)
    return figure


@dataclass(frozen=True, eq=False, kw_only=True)
class SentenceHighlight(Highlight):
    """What a map lights of a sentence: its strongest word."""

    words: tuple[str, ...]
    map: Tensor
    lit: tuple[int, ...]

    @property
    def lit_share(self) -> float:
        raised = self.map.clamp(min=0)
        return float(raised[list(self.lit)].sum() / raised.sum()) if self.lit else 0.0

    def where(self, raising: str) -> str:
        words = " and ".join(f"“{self.words[i]}”" for i in self.lit)
        return f"{raising.capitalize()} is mostly {words}." if words else ""

    def fragment(self, subject: str, measure: str) -> str:
        parts = (
            f"<b>{escape(word)}</b>" if i in self.lit else escape(word)
            for i, word in enumerate(self.words)
        )
        return f"<p>{' '.join(parts)}</p><p>{escape(measure)} to {escape(subject)}</p>"

    def figures(self, unit: str) -> Iterator[tuple[str, Figure]]:
        yield "words", bars(self.words, [(unit, self.map)], "")

    def to_dict(self) -> dict[str, Any]:
        return {"lit": list(self.lit), "lit_share": self.lit_share}


@dataclass(frozen=True, eq=False)
class SentenceDisplay(Display):
    """A sentence, word by word."""

    noun: ClassVar[str] = "sentence"

    words: tuple[str, ...]

    def laid(self, attributions: Tensor) -> Tensor:
        return attributions.sum(dim=-1)

    def highlight(self, values: Tensor, *, lowest: bool = False) -> SentenceHighlight:
        raising = -values if lowest else values
        first = int(raising.argmax())
        lit = (first,) if float(raising[first]) > 0 else ()
        return SentenceHighlight(words=self.words, map=values, lit=lit)

    def overview(self, rows: Sequence[Row], title: str) -> Figure:
        return bars(self.words, [(row.name, row.seen.map) for row in rows], title)

    def figure(self) -> Figure:
        return bars(self.words, [("", torch.zeros(len(self.words)))], "")

    def fragment(self) -> str:
        return f"<blockquote>{escape(' '.join(self.words))}</blockquote>"

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.noun, "words": list(self.words)}


def embedded(*words: str) -> Tensor:
    """(words, features): praise in the first feature, blame in the second, then the number."""
    table = torch.zeros(len(WORDS), FEATURES)
    table[:, 2] = torch.arange(1.0, len(WORDS) + 1)  # which word it is
    table[WORDS.index("wonderful"), 0] = 3.0
    table[WORDS.index("dull"), 1] = 2.0
    return table[[WORDS.index(word) for word in words]]


def shown(one: Tensor) -> SentenceDisplay:
    """Look the words up again: the nearest in the table."""
    table = embedded(*WORDS)
    nearest = torch.cdist(one, table).argmin(dim=1).tolist()
    return SentenceDisplay(tuple(WORDS[i] for i in nearest))


class Critic(nn.Module):
    """Reads (examples, words, features); class 0 is praise, class 1 blame."""

    def __init__(self) -> None:
        super().__init__()
        self.notes = nn.Linear(FEATURES, 2, bias=False)
        self.relu = nn.ReLU()
        self.head = nn.Linear(2, 2, bias=False)
        with torch.no_grad():
            self.notes.weight.copy_(torch.eye(2, FEATURES))
            self.head.weight.copy_(torch.tensor([[1.0, -0.5], [-0.5, 1.0]]))

    def forward(self, words: Tensor) -> Tensor:
        return self.head(self.relu(self.notes(words)).mean(dim=1))


SENTENCE = embedded("the", "film", "is", "wonderful", "and", "short")[None]
ASKED: dict[str, Any] = {"display": shown, "class_names": ["praise", "blame"]}


@pytest.fixture(scope="module")
def found() -> Explanation:
    loader = [(torch.stack([SENTENCE[0], SENTENCE[0].flip(0)]), torch.tensor([0, 0]))]
    more: dict[str, Any] = {"top": 2, "loader": loader, "replace": "zero"}
    return explain(Critic(), SENTENCE, "relu", "praise", **more, **ASKED)


def test_the_word_that_raises_it_is_found(found: Explanation) -> None:
    first = found.units[0]
    assert first.unit.name == "channel 0"
    # Linear throughout: each word's praise over six words.
    expected = SENTENCE[0, :, 0] / 6
    torch.testing.assert_close(first.map, expected)
    assert first.seen.lit == (3,)
    assert found.headline.endswith("What raises this through it is mostly “wonderful”.")


def test_the_figure_is_the_display_s(found: Explanation) -> None:
    titles = [axes.get_title() for axes in found.plot().axes]
    assert titles == ["channel 0", "channel 1"]


def test_the_page_shows_the_sentence_and_what_is_lit(found: Explanation) -> None:
    page = found.page().html()
    assert "<blockquote>the film is wonderful and short</blockquote>" in page
    assert "<b>wonderful</b>" in page
    assert "contribution to score(praise) through channel 0" in page
    assert "<blockquote>short and wonderful is film the</blockquote>" in page  # an example
    assert "picture" not in Page(page).text.partition("the film")[2]  # what follows the style
    assert [name for name, _ in found.page().figures()][:3] == ["overview", "sentence", "units"]


def test_it_is_a_finding_as_others_are(found: Explanation, tmp_path) -> None:
    check_finding(found)
    assert found.to_dict()["display"] == {
        "kind": "sentence",
        "words": ["the", "film", "is", "wonderful", "and", "short"],
    }
    found.save(tmp_path)
    back = Explanation.load(tmp_path)
    assert isinstance(back.display, SentenceDisplay)
    assert back.display.words == found.display.words
    assert isinstance(back.units[0].seen, SentenceHighlight)
    assert back.headline == found.headline


def test_the_printed_call_asks_the_same_again(found: Explanation) -> None:
    alone = explain(Critic(), SENTENCE, "relu", "praise", **ASKED)
    known = {"model": Critic(), "image": SENTENCE, "shown": shown}
    exec("\n".join(line for line in alone.asked.imports if "test_display" not in line), known)
    again = eval(alone.call, known)
    assert again.headline == alone.headline


def test_several_layers_and_wrong_answers_take_it_too(tmp_path) -> None:
    several = explain_layers(Critic(), SENTENCE, ["notes", "relu"], 0, top=1, **ASKED)
    assert "<b>wonderful</b>" in several.page().html()
    wrong = counterfactual(Critic(), SENTENCE, "relu", true="blame", controls=2, **ASKED)
    assert [unit.name for unit in wrong.units] == ["channel 0"]
    assert "<b>wonderful</b>" in wrong.page().html()
    wrong.save(tmp_path)
    assert Counterfactual.load(tmp_path).display.words == wrong.display.words
