"""The benchmark of a GPU, which machines without one try with small networks on the CPU."""

import json
from pathlib import Path

import pytest

AWAY = "benchmarks lie in the checkout: python -m pytest, there"
cuda = pytest.importorskip("benchmarks.cuda", reason=AWAY)
tables = pytest.importorskip("benchmarks.speed.tables", reason=AWAY)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:in bfloat16 the first points")
def test_all_of_the_gpu_benchmark_runs_and_becomes_a_table(tmp_path: Path) -> None:
    out = tmp_path / "cuda.json"
    assert cuda.main(["--device", "cpu", "--tiny", "--out", str(out)]) == 0
    found = json.loads(out.read_text())
    errors = [row["error"] for row in found["rows"] if "error" in row]
    assert [error for error in errors if "expected a CPU with AVX512-BF16" not in error] == []
    checked = [row for row in found["rows"] if row["name"].startswith("agrees")]
    assert all(row["difference"] < 1e-4 for row in checked)
    assert len(tables.cuda(found).splitlines()) == 2 + len(found["rows"])


def test_a_failure_and_the_end_of_the_time_are_kept(tmp_path: Path) -> None:
    out = tmp_path / "cuda.json"
    cuda.main(["--device", "cpu", "--tiny", "--minutes", "0", "--out", str(out)])
    rows = json.loads(out.read_text())["rows"]
    assert {row["error"] for row in rows} == {"left out: the time was up"}
    kept = cuda._kept(lambda: {"found": 1 / 0})
    assert kept["error"] == "ZeroDivisionError: division by zero"


def test_what_takes_long_is_stopped_and_the_next_is_measured() -> None:
    worker = cuda._Worker("cpu", tiny=True)
    network = cuda.TINY.networks[-1]
    try:
        assert worker.asked((network, cuda.TF32), 0.01)["error"] == "stopped after 0 s"
        assert worker.asked((network, "agrees with float64 on the CPU"), 300)["difference"] < 1e-4
    finally:
        worker.end()
