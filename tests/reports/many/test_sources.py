"""Many inputs, as users give them."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from captum_influence import explain
from captum_influence.data import Preprocessing
from captum_influence.reports.many.sources import Sources, are_many

PREPARE = Preprocessing(4)


def made(root: Path, *files: str) -> None:
    for number, file in enumerate(files):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (40 * number, 0, 0)).save(root / file)


def test_one_input_is_not_many() -> None:
    assert not are_many(torch.zeros(3, 4, 4))
    assert all(map(are_many, ("folder", Path("folder"), [torch.zeros(1)], ())))


def test_a_folder_is_its_pictures_by_their_paths(tmp_path: Path) -> None:
    made(tmp_path, "dog/b.png", "cat/a b.png", "cat/a.jpg")
    (tmp_path / "notes.txt").write_text("not a picture")
    found = Sources.of(tmp_path, PREPARE, labelled=True, names=["dog", "cat"])
    assert [item.stem for item in found.items] == ["cat/a b.png", "cat/a.jpg", "dog/b.png"]
    assert found.labels == (1, 1, 0)
    assert ["notes.txt" in told for told in found.left_out] == [True]
    inputs, picture = found.items[2].read(found.prepare)
    assert inputs.shape == (1, 3, 4, 4)
    assert torch.equal(inputs[0], picture)


def test_a_list_holds_files_images_and_inputs(tmp_path: Path) -> None:
    made(tmp_path, "x/a?.png", "y/a?.png")
    image = Image.open(tmp_path / "x/a?.png")
    held = [tmp_path / "x/a?.png", str(tmp_path / "y/a?.png"), image, torch.ones(3, 4, 4)]
    found = Sources.of(held, PREPARE)
    assert [item.stem for item in found.items] == ["0000-a_.png", "0001-a_.png", "0002", "0003"]
    assert [item.read(PREPARE)[0].shape[-2:] for item in found.items] == [(4, 4)] * 4
    assert found.items[3].read(None)[0] is held[3]
    assert [item.stem for item in Sources.of(held[0], PREPARE).items] == ["0000-a_.png"]


def test_what_cannot_be_read_fails_where_it_is_read_or_at_once(tmp_path: Path) -> None:
    made(tmp_path, "a.png", "b.png")
    (tmp_path / "b.png").write_bytes(b"broken")
    first, second = Sources.of(tmp_path, PREPARE).items
    first.read(PREPARE)
    with pytest.raises(ValueError, match=r"b\.png"):
        second.read(PREPARE)
    for given in (tmp_path, [tmp_path / "b.png"]):
        with pytest.raises(ValueError, match=r"b\.png"):
            Sources.of(given, PREPARE, strict=True)


def test_a_users_own_transforms_are_taken_and_their_failures_named(tmp_path: Path) -> None:
    made(tmp_path, "a.png")
    found = Sources.of(tmp_path, lambda image: torch.full((3, 2, 2), image.width / 8))
    assert torch.equal(found.items[0].read(found.prepare)[0], torch.ones(1, 3, 2, 2))
    failing = Sources.of(tmp_path, lambda image: image.no_such_thing)
    with pytest.raises(ValueError, match=r"a\.png .*no_such_thing"):
        failing.items[0].read(failing.prepare)


def test_nothing_and_pictures_that_nothing_prepares_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="empty list"):
        Sources.of([], PREPARE)
    with pytest.raises(ValueError, match="a folder of pictures"):
        Sources.of(tmp_path / "absent", PREPARE)
    with pytest.raises(ValueError, match="goes in as its tokenizer returns it, tokenizer"):
        Sources.of("a fine film", PREPARE)
    made(tmp_path, "a.png")
    with pytest.raises(TypeError, match=r"prepare=weights\.transforms"):
        explain(torch.nn.Conv2d(3, 2, 1), tmp_path)
