"""The check passes a finding that keeps its promises, and says what a broken one breaks."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor

from captum_influence.data.files import write_text
from captum_influence.data.frames import frame
from captum_influence.data.records import plain
from captum_influence.reports.asked import Asked
from captum_influence.reports.finding import Finding
from captum_influence.reports.page import Page
from captum_influence.testing import check_finding
from captum_influence.visualization.style import LIGHT, empty_figure

VALUES = torch.tensor([3.0, float("nan"), -1.0])
PAGE = """{% extends "base.html.j2" %}
{% block body %}
<p><a href="#there">There</a> <img src="data:image/png;base64,AA==" alt="nothing"></p>
BODY
{% endblock %}
"""


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Largest(Finding):
    """Which of some values is the largest; what is wrong with it is for a subclass to say."""

    values: Tensor
    scale: float
    seconds: float
    body = ""

    @property
    def headline(self) -> str:
        return f"The largest of {len(self.values)} is {self._largest()}. There is no more."

    def _largest(self) -> float:
        return float(self.values.nan_to_num(nan=-math.inf).max())

    def plot(self) -> Figure:
        figure = empty_figure(1, 1, LIGHT)
        figure.add_subplot().plot(self.values.tolist())
        return figure

    def page(self, command: str | None = None) -> Page:
        first, _, rest = self.headline.partition(". ")
        content = {
            "window": "Largest",
            "eyebrow": "",
            "title": f"{first}.",
            "lead": rest,
            "method": "",
            "facts": [],
            "asked": self.asked,
            "command": command,
            "caveats": [],
        }
        template = Path(self._folder) / "page.html.j2"
        template.write_text(PAGE.replace("BODY", self.body))
        return Page(template, content, lambda: iter([("values", self.plot())]))

    def to_dict(self) -> dict[str, Any]:
        found: dict[str, Any] = plain(
            {"largest": self._largest(), "scale": self.scale, "seconds": self.seconds}
        )
        return found

    def to_frame(self) -> Any:
        return frame({"value": self.values})

    _folder = "."


@pytest.fixture(autouse=True)
def _template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Largest, "_folder", str(tmp_path))


_runs = iter(range(10**6))


def largest(
    model: Callable[[Tensor], Tensor] | None,
    values: Tensor,
    *,
    scale: float = 1.0,
    offset: Tensor | None = None,
    kind: Any = None,
) -> Largest:
    """The verb."""
    asked = Asked.of(largest, {**locals(), "kind": None})
    found = values * scale if offset is None else values * scale + offset
    made: Largest = (kind or Largest)(
        asked=asked, values=found, scale=scale, seconds=float(next(_runs))
    )
    return made


NAMES: Mapping[str, Any] = {"model": None, "values": VALUES}


def test_a_finding_that_keeps_its_promises() -> None:
    check_finding(largest(None, VALUES))
    check_finding(largest(None, VALUES, scale=2.0), NAMES)
    offset = torch.linspace(0, 1, 3).double()
    check_finding(largest(None, VALUES, offset=offset), NAMES)
    large = torch.linspace(0, 1, 50)  # too large to be written out: kept beside the call
    check_finding(largest(None, large, offset=large), {"model": None, "values": large})


class Speechless(Largest):
    @property
    def headline(self) -> str:
        return " "


class Talkative(Largest):
    def __repr__(self) -> str:
        return "Talkative\nLargest"


class NotANumber(Largest):
    def to_dict(self) -> dict[str, Any]:
        return {"largest": float("nan")}


class NotText(Largest):
    def to_dict(self) -> dict[str, Any]:
        return {"values": self.values}


class Tuples(Largest):
    def to_dict(self) -> dict[str, Any]:
        return {"size": (1, 2)}


class NotDrawn(Largest):
    def plot(self) -> Any:
        return "a figure"


class Loading(Largest):
    body = '<img src="https://elsewhere.org/picture.png">'


class LoadingBeside(Largest):
    body = '<picture><source srcset="picture.png"></picture>'


class Linking(Largest):
    body = '<a href="http://elsewhere.org">elsewhere</a>'


class Styled(Largest):
    body = "<style>p { background: url(https://elsewhere.org/p.png) }</style>"


class StyledInline(Largest):
    body = "<p style=\"background: url('p.png')\">x</p>"


class Unfilled(Largest):
    body = "{% raw %}{{ largest }}{% endraw %}"


class Silent(Largest):
    def page(self, command: str | None = None) -> Page:
        whole = super().page(command)
        return Page(whole.template, {**whole.content, "title": "Something"}, whole.figures)


class WithoutFigures(Largest):
    def page(self, command: str | None = None) -> Page:
        whole = super().page(command)
        return Page(whole.template, whole.content, lambda: iter([]))


class Jpeg(Figure):
    def savefig(self, fname: Any, **settings: Any) -> None:
        fname.write(b"\xff\xd8\xff")


class NoPng(Largest):
    def page(self, command: str | None = None) -> Page:
        whole = super().page(command)
        return Page(whole.template, whole.content, lambda: iter([("values", Jpeg())]))


class Rowless(Largest):
    def to_frame(self) -> Any:
        return frame({"value": []})


class NoTable(Largest):
    def to_frame(self) -> Any:
        return [1, 2]


class Rounded(Largest):
    def to_csv(self, path: Any) -> Any:
        return write_text(path, "value\n" + "".join(f"{v:.1f}\n" for v in self.values / 3))


class Cut(Largest):
    def to_csv(self, path: Any) -> Any:
        return write_text(path, "value\n3.0\n")


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Restless(Largest):
    def __post_init__(self) -> None:
        object.__setattr__(self, "values", self.values.nan_to_num(nan=9.0) + 1)


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Rounding(Largest):
    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", self.scale + 1)


BROKEN: dict[str, tuple[type[Largest], str]] = {
    "no headline": (Speechless, "the headline is ' ', no words"),
    "a repr of two lines": (Talkative, r"17 characters and 2 line\(s\), expected one line"),
    "NaN in its dict": (NotANumber, r"to_dict\(\) is not JSON: .*plain"),
    "a tensor in its dict": (NotText, r"to_dict\(\) is not JSON: .*Tensor"),
    "a tuple in its dict": (Tuples, r"to_dict\(\) is other once it was read back"),
    "no figure": (NotDrawn, r"plot\(\) is a str, no Matplotlib figure"),
    "a picture from elsewhere": (Loading, "loads 'https://elsewhere.org/picture.png' as src"),
    "a file from beside it": (LoadingBeside, "loads 'picture.png' as srcset of <source>"),
    "a link": (Linking, "loads 'http://elsewhere.org' as href of <a>"),
    "a style from elsewhere": (Styled, "loads 'https://elsewhere.org/p.png' in its style"),
    "an inline style": (StyledInline, "loads 'p.png' in its style"),
    "a template": (Unfilled, "shows a part of its template"),
    "another headline": (Silent, "doesn't say the headline: 'The largest of 3 is 3.0'"),
    "no figures": (WithoutFigures, "the page has no figures"),
    "other pictures": (NoPng, "the figure values.png is no PNG"),
    "no rows": (Rowless, r"to_frame\(\) has no rows"),
    "a shorter file": (Cut, r"to_csv\(\) wrote 1 rows of value, other than to_frame\(\)"),
    "rounded numbers": (Rounded, r"to_csv\(\) wrote value other than to_frame\(\)"),
    "no table": (NoTable, r"to_frame\(\) is a list, no DataFrame"),
    "a tensor that changes": (Restless, "saved and loaded, the tensor /values holds other"),
    "a number that changes": (Rounding, r"saved and loaded, it.scale is 3.0, not 2.0"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_finding(name: str) -> None:
    kind, message = BROKEN[name]
    if "to_frame" in message:
        pytest.importorskip("pandas")
    with pytest.raises(AssertionError, match=message):
        check_finding(largest(None, VALUES, kind=kind))


class Losing(Largest):
    """Forgets what its call names."""

    @classmethod
    def load(cls, path: Any) -> Any:
        loaded = super().load(path)
        return replace(loaded, asked=replace(loaded.asked, tensors={}))


def test_a_tensor_that_is_lost() -> None:
    found = largest(None, torch.linspace(0, 1, 50), offset=torch.linspace(0, 1, 50), kind=Losing)
    with pytest.raises(
        AssertionError, match=r"saved and loaded, it.asked.tensors.map is \[\], not"
    ):
        check_finding(found)


def without_its_scale(model: Any, values: Tensor, *, scale: float = 1.0) -> Largest:
    """A verb that doesn't say all that it was asked."""
    whole = largest(model, values, scale=scale)
    forgotten = Asked.of(largest, {**_arguments(model, values), "scale": 1.0})
    return Largest(asked=forgotten, values=whole.values, scale=scale, seconds=0.0)


def _arguments(model: Any, values: Tensor) -> dict[str, Any]:
    return {"model": model, "values": values, "offset": None, "kind": None}


def test_a_call_that_asks_something_else() -> None:
    with pytest.raises(AssertionError, match=r"asked again, it.largest is 3.0, not 6.0"):
        check_finding(without_its_scale(None, VALUES, scale=2.0), NAMES)
    check_finding(without_its_scale(None, VALUES), NAMES)


def test_a_tensor_that_is_other_when_it_is_asked_again() -> None:
    other = torch.tensor([3.0, float("nan"), -2.0])  # the largest is the same
    with pytest.raises(AssertionError, match="asked again, the tensor /values holds other"):
        check_finding(largest(None, VALUES), {"model": None, "values": other})
    near = VALUES * (1 + 1e-7)
    check_finding(largest(None, VALUES), {"model": None, "values": near})
    with pytest.raises(AssertionError, match="asked again"):
        check_finding(largest(None, VALUES), {"model": None, "values": near}, tolerance=0.0)


def _calling(verb: str, **changes: Any) -> Largest:
    found = largest(None, VALUES)
    asked = Asked(verb=verb, positional=found.asked.positional, keywords={}, settings={}, **changes)
    return Largest(asked=asked, values=found.values, scale=1.0, seconds=0.0)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (lambda: _calling("largest of"), "the printed call is no Python"),
        (lambda: _calling("largest"), "the printed call fails.*'largest' is not defined"),
        (lambda: _calling("max"), "the printed call fails"),
        (lambda: _calling("tuple.__new__", names=("data",)), "names data: give the namespace"),
    ],
)
def test_a_call_that_can_not_be_run(found: Any, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_finding(found(), {"model": tuple, "values": VALUES})


def test_a_call_that_finds_something_else() -> None:
    with pytest.raises(AssertionError, match="returns a list, no Largest"):
        check_finding(_calling("(lambda *given: list(given))"), NAMES)
