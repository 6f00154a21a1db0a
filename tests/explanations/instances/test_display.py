"""Another kind of input is shown by a Display of its own, with nothing changed elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, ClassVar

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from captum_influence import Cut, counterfactual, explain, explain_layers
from captum_influence.reports import Display, Highlight, Row
from captum_influence.testing import check_finding

WORDS = ("the", "film", "was", "great")
SENTENCE = torch.eye(4)[None]  # one word each
LAYER = Cut("read")


@dataclass(frozen=True, eq=False, kw_only=True)
class Lit(Highlight):
    """The words that a map lights."""

    map: Tensor
    lowest: bool

    @property
    def _words(self) -> list[str]:
        return [
            w for w, v in zip(WORDS, self.map, strict=True) if (v < 0 if self.lowest else v > 0)
        ]

    @property
    def lit_share(self) -> float:
        return 1.0 if self._words else 0.0

    def where(self, raising: str) -> str:
        return f"All of {raising} lies in {' '.join(self._words)!r}." if self._words else ""

    def fragment(self, subject: str, measure: str) -> str:
        return f"<p>{escape(subject)}, {escape(measure)}: <b>{' '.join(self._words)}</b></p>"

    def figures(self, unit: str) -> Iterator[tuple[str, Figure]]:
        yield "words", _drawn(self.map)

    def to_dict(self) -> dict[str, Any]:
        return {"words": self._words}


@dataclass(frozen=True)
class Sentence(Display):
    """A sentence, by its words."""

    noun: ClassVar[str] = "sentence"

    def laid(self, attributions: Tensor) -> Tensor:
        return attributions.sum(-1)

    def highlight(self, values: Tensor, *, lowest: bool = False) -> Highlight:
        return Lit(map=values, lowest=lowest)

    def overview(self, rows: Sequence[Row], title: str) -> Figure:
        return _drawn(*(row.seen.map for row in rows))

    def figure(self) -> Figure:
        return Figure()

    def fragment(self) -> str:
        return f"<p>{' '.join(WORDS)}</p>"

    def to_dict(self) -> dict[str, Any]:
        return {"words": list(WORDS)}


def sentence(inputs: Tensor) -> Display:
    return Sentence()


def _drawn(*maps: Tensor) -> Figure:
    figure = Figure()
    for values in maps:
        figure.subplots().bar(WORDS, values.detach().numpy())
    return figure


class Reader(nn.Module):
    """Reads words one by one; 'great' speaks through unit 0, 'was' through unit 1."""

    def __init__(self) -> None:
        super().__init__()
        self.read, self.judge = nn.Linear(4, 3, bias=False), nn.Linear(3, 2, bias=False)
        with torch.no_grad():
            self.read.weight.zero_()
            self.read.weight[0, 3], self.read.weight[1, 2], self.read.weight[2, 0] = 2.0, 1.0, 0.5
            self.judge.weight.copy_(torch.tensor([[-1.0, 0.0, 1.0], [1.0, 1.0, 0.0]]))

    def forward(self, words: Tensor) -> Tensor:
        return self.judge(self.read(words).relu().sum(1))


MODEL = Reader().eval()
NAMES = {"model": MODEL, "image": SENTENCE}
ASKED = {"display": sentence, "axis": 2}


def test_a_sentence_is_explained() -> None:
    found = explain(MODEL, SENTENCE, LAYER, 1, top=2, **ASKED)
    assert [row.unit.index for row in found.units] == [(0,), (1,)]
    assert [row.seen.to_dict()["words"] for row in found.units] == [["great"], ["was"]]
    check_finding(found, NAMES)


def test_a_sentence_is_explained_at_several_layers() -> None:
    found = explain_layers(MODEL, SENTENCE, [LAYER, "judge"], 1, top=2, display=sentence)
    check_finding(found, NAMES)


def test_a_sentence_that_was_read_wrong() -> None:
    found = counterfactual(MODEL, SENTENCE, LAYER, true=0, controls=2, interpret=1, **ASKED)
    assert found.units[0].index == (0,)
    check_finding(found, NAMES)
