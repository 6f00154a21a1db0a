"""Progress: a bar that moves where somebody looks on, lines now and then elsewhere."""

import subprocess
import sys
from collections.abc import Iterable
from types import SimpleNamespace

import pytest

from captum_influence.data import bars
from captum_influence.data.bars import bar, progress


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of this process and of tqdm; no bar has been shown yet."""
    clock = Clock()
    monkeypatch.setattr(bars, "time", SimpleNamespace(monotonic=clock))
    monkeypatch.setattr("tqdm.std.time", clock)
    monkeypatch.setattr(bars._Line, "due", None)
    return clock


def _go(clock: Clock, loop: Iterable[object], seconds: float = 1.0) -> None:
    """Go through a loop each of whose steps takes so long."""
    for _ in loop:
        clock.now += seconds


def test_a_terminal_gets_a_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert list(progress([3, 1, 2], "sorting", unit="card")) == [3, 1, 2]
    shown = capsys.readouterr().err
    assert "sorting: 100%" in shown
    assert "3/3" in shown
    assert "card/s" in shown


def test_a_log_gets_a_line_every_thirty_seconds(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    _go(clock, progress(range(100), "reading", unit="batch"))
    assert capsys.readouterr().err.splitlines() == [
        "reading: batch 30 of 100, 30%, 01:10 to go",
        "reading: batch 60 of 100, 60%, 00:40 to go",
        "reading: batch 90 of 100, 90%, 00:10 to go",
    ]


def test_a_length_that_is_not_known_is_not_made_up(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    _go(clock, progress(iter(range(40)), "reading", unit="batch"))
    assert capsys.readouterr().err == "reading: batch 30, 00:30 so far\n"


def test_short_loops_are_neither_silent_nor_a_line_each(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(100):
        _go(clock, progress(range(2), f"loop {number}"), 0.5)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["loop 29", "loop 59", "loop 89"]


def test_an_inner_loop_speaks_for_the_outer_one(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in progress(range(4), "methods"):
        _go(clock, progress(range(20), "rows"))
    assert capsys.readouterr().err.splitlines()[0] == (
        "methods: step 1 of 4, 25%, 01:30 to go; rows: step 10 of 20, 50%, 00:10 to go"
    )


def test_what_was_done_before_does_not_count_as_pace(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with bar("resumed", total=100, initial=60) as shown:
        for _ in range(30):
            clock.now += 1.0
            shown.update()
    assert capsys.readouterr().err == "resumed: step 90 of 100, 90%, 00:10 to go\n"


def test_a_loop_that_was_left_is_not_spoken_of(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in progress(range(4), "left"):
        break
    _go(clock, progress(range(40), "next"))
    assert capsys.readouterr().err == "next: step 30 of 40, 75%, 00:10 to go\n"


def test_quiet_is_quiet(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    items = [1, 2]
    assert progress(items, "nothing", show=False) is items
    _go(clock, progress(range(100), "nothing", show=False))
    assert capsys.readouterr().err == ""


def test_a_notebook_gets_what_tqdm_has_for_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    list(progress(range(3), "cells"))
    assert "cells: 100%" in capsys.readouterr().err


def test_without_an_error_stream_nothing_is_shown() -> None:
    text = """
import sys
from captum_influence.data.bars import progress
sys.stderr = None
print(sum(progress(range(4), "sum")))
"""
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("6\n", "")
