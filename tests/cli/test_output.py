"""What a run leaves behind."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from captum_influence import Explanation
from captum_influence.cli.options import OutputOptions
from captum_influence.cli.output import Report, tell
from captum_influence.cli.program import main


def test_a_folder_is_named_by_the_subcommand(folder: Path) -> None:
    report = Report.claim(OutputOptions(subcommand="explain"), Explanation)
    assert report.folder == Path("captum-influence-explain")
    assert not report.folder.exists()  # nothing is written before there is something


def test_an_earlier_runs_files_are_written_over_by_force(own: list[str]) -> None:
    assert main([*own, "--out", "made/on the way"]) == 0
    assert sorted(path.name for path in Path("made/on the way").iterdir()) == [
        "config.json",
        "explanation.json",
        "explanation.safetensors",
        "figures",
        "report.html",
    ]
    assert main([*own, "--out", "made/on the way", "--top", "1", "--force"]) == 0
    assert len(Explanation.load("made/on the way").units) == 1
    assert not list(Path("made/on the way").glob("figures/unit2_*.png"))


def test_an_earlier_runs_report_is_kept(own: list[str], fails) -> None:
    assert main([*own, "--out", "made"]) == 0
    kept = {path: path.read_bytes() for path in Path("made").rglob("*") if path.is_file()}
    said = fails([*own, "--out", "made", "--top", "1"])
    assert "'made', which holds an earlier run's: add --force to write over it" in said
    assert {path: path.read_bytes() for path in Path("made").rglob("*") if path.is_file()} == kept


def test_without_a_name_the_next_folder_is_taken(own: list[str]) -> None:
    for number in ("", "-2", "-3"):
        assert main(own) == 0
        assert Path(f"captum-influence-explain{number}/report.html").exists()
    assert main([*own, "--top", "1", "--force"]) == 0
    assert len(Explanation.load("captum-influence-explain").units) == 1
    assert not Path("captum-influence-explain-4").exists()


def test_foreign_files_are_not(own: list[str], fails) -> None:
    Path("mine").mkdir()
    Path("mine/report.html").write_text("dear diary")
    for text in (None, "{}", "[1]", "no JSON"):
        if text is not None:
            Path("mine/explanation.json").write_text(text)
        assert "report.html" in fails([*own, "--out", "mine"])
    assert Path("mine/report.html").read_text() == "dear diary"
    assert "is a file" in fails([*own, "--out", "nets.py"])
    assert "is a file" in fails([*own, "--out", "nets.py/inside"])


def test_a_failure_leaves_no_folder(own: list[str], fails) -> None:
    assert "no layer named 'nope'" in fails([*own, "--layer", "nope", "--out", "new"])
    assert not Path("new").exists()


def test_a_folder_of_a_failed_run_is_usable_again(own: list[str], fails) -> None:
    Path("new").mkdir()
    assert "no layer named 'nope'" in fails([*own, "--layer", "nope", "--out", "new"])
    assert main([*own, "--out", "new"]) == 0


def test_the_report_is_linked_and_opened_if_asked(own: list[str], capsys, monkeypatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda link: bool(opened.append(link)))
    own.remove("--quiet")
    assert main([*own, "--out", "with space"]) == 0
    link, report = capsys.readouterr().out.splitlines()[-2:]
    assert link == (Path.cwd() / "with space" / "report.html").as_uri()
    assert report == "The report: with space/report.html"
    assert opened == []
    assert main([*own, "--out", "with space", "--open", "--force"]) == 0
    assert opened == [link]
    assert f"no browser could be started: open {link}" in capsys.readouterr().err


def test_quiet_prints_nothing(own: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(own) == 0
    assert capsys.readouterr() == ("", "")


def test_without_pandas_a_table_is_refused_before_the_work(
    own: list[str], fails, monkeypatch: pytest.MonkeyPatch
) -> None:
    find: Any = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "pandas" else find(name)
    )
    said = fails([*own, "--format", "svg,csv"])
    assert "--format csv takes pandas: pip install pandas" in said
    assert not list(Path.cwd().glob("captum-influence-*"))
    assert main([*own, "--format", "svg"]) == 0


@pytest.mark.parametrize("absent", ["jinja2", "safetensors"])
def test_without_an_extra_it_is_named_before_the_work(
    fails, monkeypatch: pytest.MonkeyPatch, absent: str
) -> None:
    find: Any = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == absent else find(name)
    )
    assert "captum_influence[report]" in fails("explain --quiet")


def test_what_is_left_out_is_a_caveat_of_the_page(own: list[str], folder: Path) -> None:
    for name in ("a", "b"):
        Image.new("RGB", (9, 9)).save(f"{name}.png")
    Path("b.png").write_bytes(b"broken")
    assert main([*own, "--examples", str(folder)]) == 0
    page = Path("captum-influence-explain/report.html").read_text("utf-8")
    caveats = page.partition("How far to trust it")[2]
    assert "Left out, 1 of 3 pictures" in caveats
    assert "b.png" in caveats


def test_one_of_several_processes_tells(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for rank in "01":
        monkeypatch.setenv("RANK", rank)
        tell(f"from {rank}")
    assert capsys.readouterr().err == "captum-influence: from 0\n"


def test_the_table_and_the_figures_come_in_other_formats_too(own: list[str]) -> None:
    pandas = pytest.importorskip("pandas")
    assert main([*own, "--out", "made", "--format", "csv,svg,pdf"]) == 0
    table, found = pandas.read_csv("made/explanation.csv"), Explanation.load("made")
    pandas.testing.assert_frame_equal(table, found.to_frame(), check_dtype=False)
    names = {file.stem for file in Path("made/figures").glob("*.png")}
    for ending, start in (("svg", b"<?xml"), ("pdf", b"%PDF")):
        files = list(Path("made/figures").glob(f"*.{ending}"))
        assert {file.stem for file in files} == names
        assert all(file.read_bytes().startswith(start) for file in files)


def test_another_format_is_refused(own: list[str], fails) -> None:
    assert "some of csv, svg, pdf, got 'xls'" in fails([*own, "--format", "xls"])
