"""A verb asked of many: pages, what is left out, going on, and shares."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from examples import MODEL, NAMES, PICTURES
from PIL import Image

from captum_influence import Explanation, Findings, counterfactual, explain
from captum_influence.data import Preprocessing
from captum_influence.reports.many.find import INDEX

SAID = {"class_names": NAMES, "prepare": Preprocessing(8), "top": 1, "overlay": False}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Four pictures in two folders, and one that is broken."""
    root = tmp_path / "photos"
    for number, name in enumerate(["red/a.png", "red/b c.png", "green/a.png", "green/d.jpg"]):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = (255 * PICTURES[number].permute(1, 2, 0)).byte().numpy()
        Image.fromarray(pixels).save(root / name)
    (root / "red" / "broken.png").write_bytes(b"broken")
    return root


def counting(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Count the inputs that are asked about, by what is written of them."""
    asked: list[Any] = []
    save = Explanation.save
    monkeypatch.setattr(Explanation, "save", lambda self, p: (asked.append(p), save(self, p))[1])
    return asked


def test_the_index_leads_to_a_page_for_each_and_names_what_is_left_out(photos: Path) -> None:
    out = photos.parent / "made"
    found = explain(MODEL, photos, "1", out=out, **SAID)
    names = ["green/a.png", "green/d.jpg", "red/a.png", "red/b c.png"]
    assert [entry.name for entry in found.entries] == names
    assert [(one.name, "broken.png" in one.why) for one in found.left_out] == [
        ("red/broken.png", True)
    ]
    index = (out / INDEX).read_text("utf-8")
    assert 'href="pages/red/b%20c.png.html"' in index
    assert "1 picture was left out" in index
    for entry in found.entries:
        page = out / str(entry.page)
        assert entry.sentence.split(";")[0] in page.read_text("utf-8")
        assert Explanation.load(page.with_suffix(".safetensors")).answer == entry.sentence
    assert Findings.load(out).headline == found.headline
    assert json.loads((out / "findings.json").read_text("utf-8"))["left_out"]


def test_a_run_goes_on_where_it_was(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, asked = photos.parent / "made", counting(monkeypatch)
    whole = explain(MODEL, photos, "1", out=out, **SAID)
    assert len(asked) == 4
    (out / "lines/red/a.png.safetensors").unlink()
    (out / "pages/green/d.jpg.html").unlink()
    again = explain(MODEL, photos, "1", out=out, **SAID)
    assert len(asked) == 6
    assert [e.columns for e in again.entries] == [e.columns for e in whole.entries]
    explain(MODEL, photos, "1", out=out, show_progress=True, **SAID)
    assert len(asked) == 6


def test_other_settings_weights_and_pictures_are_refused_in_words(photos: Path) -> None:
    out = photos.parent / "made"
    explain(MODEL, photos, "1", out=out, **SAID)
    with pytest.raises(ValueError, match=r"another question: top \(1 there, 2 here\) differ"):
        explain(MODEL, photos, "1", out=out, **{**SAID, "top": 2})
    other = torch.nn.Sequential(*MODEL[:4], torch.nn.Linear(16, 3)).eval()
    with pytest.raises(ValueError, match=r"another question: model"):
        explain(other, photos, "1", out=out, **SAID)
    Image.new("RGB", (8, 8)).save(photos / "red/a.png")
    with pytest.raises(ValueError, match=r"red/a\.png\.safetensors.*another question: input"):
        explain(MODEL, photos, "1", out=out, **SAID)


def test_shares_meet_in_the_folder(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, asked = photos.parent / "made", counting(monkeypatch)
    parts = [explain(MODEL, photos, "1", out=out, share=(i, 2), **SAID) for i in range(2)]
    assert not (out / INDEX).exists()
    assert [len(part.entries) for part in parts] == [2, 2]
    whole = explain(MODEL, photos, "1", out=out, **SAID)
    assert len(asked) == 4
    assert {e.name for e in whole.entries} == {e.name for p in parts for e in p.entries}


def test_what_is_wrong_with_the_call_is_raised(photos: Path) -> None:
    with pytest.raises(ValueError, match=r"got 5 that can't, the first .*no layer named 'nope'"):
        explain(MODEL, photos, "nope", **SAID)
    with pytest.raises(ValueError, match=r"broken\.png"):
        explain(MODEL, photos, "1", strict=True, **SAID)


def test_a_foreign_folder_is_left_alone(photos: Path) -> None:
    (photos / INDEX).write_text("dear diary")
    with pytest.raises(ValueError, match="this program didn't write"):
        explain(MODEL, photos, "1", out=photos, **SAID)


def test_folders_say_what_is_true_and_right_answers_are_left_out(photos: Path) -> None:
    said = {k: v for k, v in SAID.items() if k not in ("top", "overlay")}
    found = counterfactual(MODEL, photos, "1", controls=2, **said)
    told = {one.name: one.why for one in found.left_out}
    for number, name in enumerate(["red/a.png", "red/b c.png", "green/a.png"]):
        right = NAMES[int(MODEL(PICTURES[number][None]).argmax())] == name.split("/")[0]
        assert (name in told) == right
        assert not right or "expected a wrong answer" in told[name]
    assert {e.columns["truth"] for e in found.entries} <= {"red", "green"}


@pytest.mark.slow
def test_two_processes_under_torchrun_give_what_one_gives(tmp_path: Path) -> None:
    script = Path(__file__).with_name("many_run.py")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for words, out in (([sys.executable], "one"), (torchrun, "two")):
        done = subprocess.run(
            [*words, str(script), str(tmp_path / out)], capture_output=True, env=environment
        )
        assert done.returncode == 0, done.stderr.decode()
    one, two = (Findings.load(tmp_path / out) for out in ("one", "two"))
    assert [e.columns for e in one.entries] == [e.columns for e in two.entries]
