"""What retraining changed is said against the control, in words, numbers and files."""

from pathlib import Path

import pytest

from captum_influence.reports.asked import Asked
from captum_influence.training import Performance, RetrainingResult

pytest.importorskip("safetensors")


def _result(**changes: object) -> RetrainingResult:
    values: dict[str, object] = {
        "asked": Asked(verb="retrain_and_measure", positional=(), keywords={}, settings={"k": 1}),
        "layers": ("fc",),
        "removed": 3,
        "repaired": 0,
        "before": {"plain": Performance(0.5, 0.75), "marked": Performance(2.0, 0.25)},
        "control": {"plain": Performance(0.25, 1.0), "marked": Performance(1.75, 0.25)},
        "changed": {"plain": Performance(0.5, 0.75), "marked": Performance(0.75, 0.5)},
    }
    return RetrainingResult(**{**values, **changes})


def test_the_effect_is_against_the_control() -> None:
    result = _result()
    assert (result.effect("plain"), result.effect("marked")) == (-0.25, 1.0)
    assert result.headline == (
        "Retrained without 3 training examples, the mean loss on marked is 0.750; retrained in the "
        "same way on all of them, 1.75."
    )
    both = _result(removed=1, repaired=2).headline
    assert both.startswith("Retrained without 1 training example and with 2 training examples rep")


def test_it_comes_back_from_its_file(tmp_path: Path) -> None:
    result = _result()
    result.save(tmp_path)
    found = RetrainingResult.load(tmp_path)
    assert found.to_dict() == result.to_dict()
    assert found.before == result.before


def test_the_dict_and_the_table_hold_every_stage() -> None:
    pytest.importorskip("pandas")
    found = _result().to_dict()
    assert found["changed"]["marked"] == {"loss": 0.75, "accuracy": 0.5}
    assert found["effect"] == {"plain": -0.25, "marked": 1.0}
    table = _result().to_frame()
    assert list(table.columns) == ["group", "stage", "loss", "accuracy"]
    assert table[(table.group == "marked") & (table.stage == "control")].loss.item() == 1.75


def test_the_page_and_the_figure_show_losses(tmp_path: Path) -> None:
    pytest.importorskip("jinja2")
    page = _result().to_html(tmp_path / "page.html", command="a command").read_text("utf-8")
    assert "the mean loss on marked is 0.750" in page
    assert "a command" in page
    assert "<h2>Accuracy</h2>" in page
    names = [t.get_text() for t in _result().plot().axes[0].get_yticklabels()]
    assert names[:3] == ["plain, before", "plain, control", "plain, changed"]
    unknown = {"x": Performance(1.0, None)}
    regression = _result(before=unknown, control=unknown, changed=unknown)
    assert [table.title for table in regression.tables()] == ["Mean loss"]
