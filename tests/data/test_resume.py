"""What a killed pass had is read back by the same question, and by no other."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import damage
import pytest
import torch
from torch import Tensor

from captum_influence.data.identity import UNKNOWN
from captum_influence.data.resume import Resume, read_record, write_record
from captum_influence.data.sharding import Shard

pytest.importorskip("safetensors")
ASKED: Mapping[str, Any] = {"layers": ["1"], "seed": 0, "weights": "0.5"}


@dataclass(frozen=True, eq=False)
class Sums:
    """A state as passes have it."""

    next: int
    sums: Mapping[int | str, tuple[Tensor, ...]]
    order: tuple[tuple[int, ...], ...] | None = None


STATE = Sums(3, {0: (torch.ones(2, dtype=torch.float64), torch.zeros(())), "a": ()}, ((1, 0), (2,)))


def _resume(path: Path | None, shard: Shard = Shard(), **asked: Any) -> Resume[Sums]:  # noqa: B008  # a constant
    return Resume(path, Sums, {**ASKED, **asked}, shard, 2)


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    resume = _resume(tmp_path / "new" / "file")
    assert resume.read() is None
    resume.write(STATE)
    found = resume.read()
    assert isinstance(found, Sums)
    assert (found.next, found.order) == (3, ((1, 0), (2,)))
    assert list(found.sums) == [0, "a"]
    assert torch.equal(found.sums[0][0], STATE.sums[0][0])
    assert found.sums[0][0].dtype == torch.float64
    resume.remove()
    assert resume.read() is None
    resume.remove()


def test_without_a_path_nothing_is_written(tmp_path: Path) -> None:
    resume = _resume(None)
    resume.write(STATE)
    resume.remove()
    assert resume.read() is None
    assert not any(resume.is_due(number) for number in range(9))
    assert list(tmp_path.iterdir()) == []


def test_every_process_has_a_file_of_its_own(tmp_path: Path) -> None:
    for rank in range(3):
        _resume(tmp_path / "file", Shard(rank, 3)).write(Sums(rank, {}))
    assert {p.name for p in tmp_path.iterdir()} == {"file.0of3", "file.1of3", "file.2of3"}
    assert [_resume(tmp_path / "file", Shard(r, 3)).read().next for r in range(3)] == [0, 1, 2]


@pytest.mark.parametrize("world", [1, 3])
def test_it_is_time_after_every_second_batch_of_a_process(tmp_path: Path, world: int) -> None:
    for rank in range(world):
        resume = _resume(tmp_path / "file", Shard(rank, world))
        own = [number for number in range(24) if number % world == rank]
        due = [resume.is_due(number) for number in own]
        assert due == [False, True] * (len(own) // 2)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"seed": 1}, r"another question: seed \(0 there, 1 here\) differ"),
        ({"weights": "0.25"}, r"weights \(0.5 there, 0.25 here\)"),
        ({"layers": ("1", "2")}, r'layers \(\["1"\] there, \["1", "2"\] here\)'),
        ({"k": None, "name": "x" * 99}, r"name \(null there, x{59}… here\)"),
        ({"seed": 2, "weights": ""}, r"seed \(0 there, 2 here\), weights"),
        ({"seed": False}, r"seed \(0 there, false here\)"),
        ({"seed": 1}, r"differ; ask the same, remove the file, or name another"),
    ],
)
def test_another_question_is_told_what_differs(
    tmp_path: Path, other: dict[str, Any], message: str
) -> None:
    _resume(tmp_path / "file").write(STATE)
    with pytest.raises(ValueError, match=message):
        _resume(tmp_path / "file", **other).read()


def test_tuples_and_lists_are_the_same_question(tmp_path: Path) -> None:
    _resume(tmp_path / "file", layers=("1", ("2",))).write(STATE)
    assert _resume(tmp_path / "file", layers=["1", ["2"]]).read() is not None


@pytest.mark.parametrize(
    ("then", "now", "differ"),
    [
        ([1, {"a": 2}], [1, {"a": 3}], r"\(2 there, 3 here\)"),
        (["f" * 64, 1], ["e" * 64, 1], r"\(ffffffff… there, eeeeeeee… here\)"),
        ({"a": 1}, {"b": 1}, r"\(\{\"a\": 1\} there"),
        ([UNKNOWN, 1], [2, 3], r"\(1 there, 3 here\)"),
        ([UNKNOWN, [1, UNKNOWN]], [2, [UNKNOWN, 3]], None),
        ({"a": UNKNOWN}, {"a": 3}, None),
    ],
)
def test_the_part_that_differs_is_shown_and_what_is_not_known_does_not(
    tmp_path: Path, then: Any, now: Any, differ: str | None
) -> None:
    _resume(tmp_path / "file", data=then).write(STATE)
    if differ is None:
        assert _resume(tmp_path / "file", data=now).read() is not None
        return
    with pytest.raises(ValueError, match=f"data {differ}"):
        _resume(tmp_path / "file", data=now).read()


def test_another_share_of_the_work_is_another_question(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    _resume(tmp_path / "file", Shard(0, 2)).write(STATE)
    (tmp_path / "file.0of2").rename(tmp_path / "file")
    with pytest.raises(ValueError, match=r"world \(2 there, 1 here\)"):
        _resume(tmp_path / "file").read()


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    _resume(path).write(STATE)
    content = path.read_bytes()
    for damaged in (b"", content[:20], content[:-3], content[:-1] + b"\1", b"dear diary" * 9):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"expected (a saved|the) checkpoint"):
            _resume(path).read()


def test_no_damaged_file_is_read_as_other_numbers(tmp_path: Path) -> None:
    path = tmp_path / "file"
    _resume(path).write(STATE)
    content, refused = path.read_bytes(), 0
    for number in range(damage.COUNT):
        path.write_bytes(damage.damaged(content, number))
        try:
            found = _resume(path).read()
        except ValueError as error:
            assert "expected" in str(error)  # noqa: PT017  # which of many it is doesn't matter
            refused += 1
            continue
        assert found is not None
        assert (found.next, found.order, list(found.sums)) == (3, STATE.order, [0, "a"])
        assert torch.equal(found.sums[0][0], STATE.sums[0][0])
        assert torch.equal(found.sums[0][1], STATE.sums[0][1])
    assert refused > 0.75 * damage.COUNT


def test_a_record_of_other_fields_is_refused(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Other:
        total: int

    path = write_record(tmp_path / "file", "sums", Other(3))
    with pytest.raises(ValueError, match="expected the fields of Sums"):
        read_record(path, "sums", Sums, {})
