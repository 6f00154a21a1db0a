"""Every kind of finding keeps the contract of all."""

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from examples import EXAMPLES

import captum_influence
from captum_influence.reports.finding import Finding
from captum_influence.testing import check_finding


def _kinds(kind: type = Finding) -> Iterator[type]:
    for child in kind.__subclasses__():
        if child.__module__.startswith("captum_influence.") and not inspect.isabstract(child):
            yield child
        yield from _kinds(child)


@pytest.mark.parametrize("name", EXAMPLES)
def test_it_keeps_what_every_finding_promises(name: str) -> None:
    example = EXAMPLES[name]
    found = example.make()
    assert type(found).__name__ == name.split()[0]
    check_finding(found, example.names)


def test_no_kind_is_left_out() -> None:
    for module in pkgutil.walk_packages(captum_influence.__path__, "captum_influence."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    assert {kind.__name__ for kind in _kinds()} == {name.split()[0] for name in EXAMPLES}


def test_figures_are_written_in_every_format_that_is_asked_for(tmp_path: Path) -> None:
    pytest.importorskip("jinja2", reason="pages need the extra [report]")
    found = EXAMPLES["Ranking"].make()
    found.to_html(tmp_path / "a.html", figures=tmp_path / "three", formats=("png", "svg", "pdf"))
    found.to_html(tmp_path / "b.html", figures=tmp_path / "one", formats=("svg",))
    starts = {".png": b"\x89PNG", ".pdf": b"%PDF"}
    names = {file.stem for file in (tmp_path / "three").iterdir()}
    assert {file.name for file in (tmp_path / "one").iterdir()} == {f"{n}.svg" for n in names}
    assert len(list((tmp_path / "three").iterdir())) == 3 * len(names)
    for file in (tmp_path / "three").iterdir():
        if file.suffix == ".svg":
            assert ElementTree.fromstring(file.read_text("utf-8")).tag.endswith("svg")
        else:
            assert file.read_bytes().startswith(starts[file.suffix])


def test_a_format_that_matplotlib_has_not_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("jinja2", reason="pages need the extra [report]")
    with pytest.raises(ValueError, match="'xls' is not supported"):
        EXAMPLES["Ranking"].make().to_html(tmp_path / "a.html", figures=tmp_path, formats=("xls",))


def test_without_pandas_a_table_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        EXAMPLES["Ranking"].make().to_csv(tmp_path / "a.csv")
    assert list(tmp_path.iterdir()) == []
