"""What every finding promises, as one check."""

from __future__ import annotations

import ast
import base64
import csv
import importlib
import io
import json
import re
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from captum_influence.data.records import apart
from captum_influence.reports.finding import Finding
from captum_influence.testing.agreement import require

__all__ = ["check_finding"]

_LINE = 200  # characters that a repr may have
_SMALL = 1_000_000  # characters in a notebook: one figure
_PNG = b"\x89PNG\r\n\x1a\n"
_LOADING = {"src", "srcset", "href", "xlink:href", "poster", "data", "background", "action"}
_OWN = ("#", "data:")  # how an address begins that names something on the page itself
_BESIDE = re.compile(r"(?!/)[^:#?]+")  # an address of a page beside this one
_NUMBERS = "data:application/json;base64,"
_STYLED = re.compile(r"(?:url\(|@import)\s*[\"']?(?!#|data:)([^\"')\s]*)")
_PASSING = {"seconds", "versions"}  # what two answers to one question may differ in


def check_finding(
    finding: Finding, namespace: Mapping[str, Any] | None = None, *, tolerance: float = 1e-5
) -> None:
    """Check what :class:`Finding` promises.

    It says in words what was found, and its ``repr`` is one line; its dict and its settings are
    JSON; its figure draws; its page and what a notebook shows load nothing; what it saves is
    loaded as it was; its table has rows, and its CSV file all of them in full; and the Python that
    it prints asks the same again.

    Args:
        finding: the one to check.
        namespace: what the printed call names, ``finding.asked.names``: the network, the data, ...
            None: the call is read, but not run.
        tolerance: how far a number of the second answer may be from the first, as a share of it.

    Raises:
        AssertionError: saying what was violated.
        ImportError: if Jinja or safetensors isn't installed.

    Example:
        >>> from captum_influence import explain
        >>> from captum_influence.demo import demo_scene, load_demo_network
        >>> network, scene = load_demo_network(), demo_scene().image
        >>> found = explain(network, scene, "relu5", 0, top=1)
        >>> check_finding(found, {"model": network, "image": scene})
    """
    _check_words(finding)
    _check_json(finding)
    _check_figure(finding.plot(), "plot()")
    _check_notebook(finding)
    with TemporaryDirectory() as folder:
        _check_page(finding, Path(folder))
        _check_saved(finding, Path(folder) / "saved")
        _check_table(finding, Path(folder) / "table.csv")
    _check_call(finding)
    if namespace is not None:
        _check_answer(finding, _again(finding, namespace), tolerance)


def _check_words(finding: Finding) -> None:
    words = finding.headline
    require(isinstance(words, str) and bool(words.strip()), f"the headline is {words!r}, no words")
    line = repr(finding)
    require(
        "\n" not in line and len(line) <= _LINE,
        f"the repr has {len(line)} characters and {line.count(chr(10)) + 1} line(s), expected one "
        f"line of at most {_LINE}",
    )


def _check_json(finding: Finding) -> None:
    for name, value in (("to_dict()", finding.to_dict()), ("settings", dict(finding.settings))):
        try:
            back = json.loads(json.dumps(value, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise AssertionError(f"{name} is not JSON: {error}; see data.records.plain") from None
        # A tuple comes back as a list, a number as a key as a string: say them so at once.
        require(back == value, f"{name} is other once it was read back from JSON")


def _check_figure(figure: Any, name: str) -> None:
    require(
        isinstance(figure, Figure), f"{name} is a {type(figure).__name__}, no Matplotlib figure"
    )
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=40)
    require(stream.getvalue().startswith(_PNG), f"{name} doesn't draw")


def _check_notebook(finding: Finding) -> None:
    shown = finding._repr_html_()
    if shown is None:  # no Jinja
        return
    require(len(shown) <= _SMALL, f"a notebook would hold {len(shown)} characters of it")
    reader = _Reader()
    reader.feed(shown)
    require(not reader.loads, f"in a notebook it loads {', '.join(reader.loads)}")
    sentence = " ".join(finding.headline.split()).partition(". ")[0]
    text = " ".join("".join(reader.text).split())
    require(sentence in text, f"a notebook doesn't say the headline: {sentence!r}")


def _check_page(finding: Finding, folder: Path) -> None:
    written = finding.to_html(folder / "page.html", figures=folder / "figures")
    require(written.is_file(), "to_html() wrote no page")
    reader = _Reader()
    reader.feed(written.read_text("utf-8"))
    require(
        not reader.loads, f"the page loads {', '.join(reader.loads)}: it must hold all it shows"
    )
    text = " ".join("".join(reader.text).split())
    require("{{" not in text and "{%" not in text, "the page shows a part of its template")
    # The headline may be split after its first sentence, into a title and what follows.
    sentence = " ".join(finding.headline.split()).partition(". ")[0]
    require(sentence in text, f"the page doesn't say the headline: {sentence!r}")
    told = {"format": f"captum_influence.{type(finding).__name__}", **finding.to_dict()}
    require(told in reader.numbers, "the page doesn't hold what to_dict() returns")
    figures = sorted((folder / "figures").glob("*"))
    require(bool(figures), "the page has no figures")
    for path in figures:
        require(path.read_bytes().startswith(_PNG), f"the figure {path.name} is no PNG")


class _Reader(HTMLParser):
    """Reads a page: the text that it shows, what a browser would fetch for it, and its numbers."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.loads: list[str] = []
        self.numbers: list[Any] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            leads = (tag, name) == ("a", "href") and _BESIDE.fullmatch(value or "")
            if name in _LOADING and not leads and not (value or "").strip().startswith(_OWN):
                self.loads.append(f"{value!r} as {name} of <{tag}>")
            if name == "style":
                self._styled(value or "")
            if name == "href" and (value or "").startswith(_NUMBERS):
                self.numbers.append(json.loads(base64.b64decode((value or "")[len(_NUMBERS) :])))

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if self.lasttag == "style":
            self._styled(data)

    def _styled(self, style: str) -> None:
        self.loads += [f"{address!r} in its style" for address in _STYLED.findall(style)]


def _check_saved(finding: Finding, folder: Path) -> None:
    for path in finding.save(folder):
        require(path.is_file(), f"save() didn't write {path.name}, which it names")
    _check_same(finding, type(finding).load(folder))


def _check_same(finding: Finding, loaded: Finding) -> None:
    kind = type(finding)
    require(type(loaded) is kind, f"load() returned a {type(loaded).__name__}, not a {kind}")
    content, tensors = apart(finding)
    other, others = apart(loaded)
    for place, before, after in _apart(content, other):
        differs = _text(before) != _text(after)  # as text: NaN is like NaN
        require(not differs, f"saved and loaded, {place} is {after!r}, not {before!r}")
    _check_tensors(tensors, others, "saved and loaded", 0.0)


def _check_table(finding: Finding, path: Path) -> None:
    try:
        pandas = importlib.import_module("pandas")
    except ImportError:
        return
    table = finding.to_frame()
    require(
        isinstance(table, pandas.DataFrame), f"to_frame() is a {type(table).__name__}, no DataFrame"
    )
    require(len(table) > 0, "to_frame() has no rows")
    if table.index.name is not None:
        table = table.reset_index()
    with finding.to_csv(path).open(encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    require(
        head == list(map(str, table.columns)) and len(rows) == len(table),
        f"to_csv() wrote {len(rows)} rows of {', '.join(head)}, other than to_frame()",
    )
    for name, texts in zip(head, zip(*rows, strict=True), strict=True):
        pairs = zip(texts, table[name].tolist(), strict=True)
        wrong = [(text, value) for text, value in pairs if not _is_written(text, value)]
        require(not wrong, f"to_csv() wrote {name} other than to_frame(): {wrong[:1]}")


def _is_written(text: str, value: Any) -> bool:
    """Say whether a cell of a file is a value, to the last digit."""
    if value is None or value != value:
        return text == ""
    return float(text) == value if isinstance(value, float) else text == str(value)


def _check_call(finding: Finding) -> None:
    try:
        ast.parse(finding.call, mode="eval")
        ast.parse("\n".join(finding.asked.imports))
    except SyntaxError as error:
        raise AssertionError(f"the printed call is no Python: {error}\n{finding.call}") from None


def _again(finding: Finding, namespace: Mapping[str, Any]) -> Finding:
    """Return what the printed call finds."""
    known: dict[str, Any] = {}
    exec("\n".join(finding.asked.imports), known)
    known |= {**finding.asked.tensors, **namespace}
    missing = [name for name in finding.asked.names if name not in known]
    require(not missing, f"the printed call names {', '.join(missing)}: give the namespace these")
    try:
        again = eval(finding.call, known)
    except Exception as error:  # whatever it is, it is the finding
        raise AssertionError(
            f"the printed call fails ({type(error).__name__}: {error})\n{finding.call}"
        ) from error
    kind = type(finding).__name__
    require(
        type(again) is type(finding),
        f"the printed call returns a {type(again).__name__}, no {kind}",
    )
    found: Finding = again
    return found


def _check_answer(finding: Finding, again: Finding, tolerance: float) -> None:
    for place, before, after in _apart(finding.to_dict(), again.to_dict()):
        numbers = isinstance(before, int | float) and isinstance(after, int | float)
        near = numbers and abs(before - after) <= tolerance * max(abs(before), abs(after))
        require(near or before == after, f"asked again, {place} is {after!r}, not {before!r}")
    found, others = (apart(one)[1] for one in (finding, again))
    _check_tensors(found, others, "asked again", tolerance)


def _apart(before: Any, after: Any, place: str = "it") -> Iterator[tuple[str, Any, Any]]:
    """Yield each place that holds no further values, and what is there in either."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys([*before, *after]):
            if key not in _PASSING:
                yield from _apart(before.get(key), after.get(key), f"{place}.{key}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, pair in enumerate(zip(before, after, strict=True)):
            yield from _apart(*pair, f"{place}[{number}]")
    else:
        yield place, before, after


def _check_tensors(
    found: Mapping[str, Tensor], others: Mapping[str, Tensor], when: str, tolerance: float
) -> None:
    lost = sorted(set(found) ^ set(others))
    require(not lost, f"{when}, it has other tensors: not in both are {', '.join(lost)}")
    for name, tensor in found.items():
        other = others[name].to(tensor.device)
        like = other.shape == tensor.shape and other.dtype == tensor.dtype
        require(like, f"{when}, the tensor {name} is {_kind(other)}, not {_kind(tensor)}")
        near = _near(tensor, other, tolerance)
        require(near, f"{when}, the tensor {name} holds other numbers")


def _near(tensor: Tensor, other: Tensor, tolerance: float) -> bool:
    if not (tensor.is_floating_point() or tensor.is_complex()):
        return torch.equal(tensor, other)
    known = tensor[tensor.isfinite()]
    # An entry near zero is what is left of numbers as large as the others.
    size = float(known.abs().max()) if known.numel() else 0.0
    return torch.allclose(tensor, other, tolerance, tolerance * size, equal_nan=True)


def _kind(tensor: Tensor) -> str:
    return f"{tensor.dtype} of shape {tuple(tensor.shape)}"


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
