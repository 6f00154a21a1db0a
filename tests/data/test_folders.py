"""A folder of pictures, labelled by its subfolders or by the names of its files."""

from pathlib import Path

import pytest
import torch

Image = pytest.importorskip("PIL.Image", reason="reading pictures takes Pillow")

from captum_influence.data.folders import PictureFolder  # noqa: E402
from captum_influence.data.pictures import Preprocessing, Transform  # noqa: E402

PREPARE = Preprocessing(4)


def _make(root: Path, *files: str) -> None:
    for number, file in enumerate(files):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (40 * number, 0, 0)).save(root / file)


def test_subfolders_are_groups_in_the_order_of_their_names(tmp_path: Path) -> None:
    _make(tmp_path, "b/2.png", "a/1.JPG", "b/1.png", "c/notes.png")
    (tmp_path / "c" / "notes.png").rename(tmp_path / "c" / "notes.txt")
    found = PictureFolder.of(str(tmp_path), PREPARE)
    assert [file.name for file in found.files] == ["1.JPG", "1.png", "2.png"]
    assert (found.groups, found.labels) == (("a", "b"), (0, 1, 1))
    picture, label = found[2]
    assert (len(found), tuple(picture.shape), label) == (3, (3, 4, 4), 1)
    assert torch.equal(found[1][0], torch.tensor([80 / 255, 0, 0])[:, None, None].expand(3, 4, 4))


def test_a_folder_without_subfolders_is_one_group(tmp_path: Path) -> None:
    _make(tmp_path, "x.png")
    assert PictureFolder.of(str(tmp_path), PREPARE).groups == (tmp_path.name,)


@pytest.mark.parametrize(
    ("files", "names", "labels"),
    [
        (("cat/a.png", "dog/a.png", "dog/b.png"), {3: "dog", 5: "cat"}, (5, 3, 3)),
        (("7/a.png", "2/a.png"), None, (2, 7)),
        (("281_cat.png", "7-hen.png"), {7: "hen"}, (281, 7)),
    ],
)
def test_labels_are_the_network_s_classes(
    tmp_path: Path, files: tuple[str, ...], names: dict[int, str] | None, labels: tuple[int, ...]
) -> None:
    _make(tmp_path, *files)
    assert PictureFolder.of(str(tmp_path), PREPARE).labelled(names, 1000).labels == labels


@pytest.mark.parametrize("files", [("a.png", "b.png"), ("3_a.png", "b.png"), ("12_a.png",)])
def test_pictures_that_say_no_class_are_refused(tmp_path: Path, files: tuple[str, ...]) -> None:
    _make(tmp_path, *files)
    with pytest.raises(ValueError, match="expected a subfolder for each class"):
        PictureFolder.of(str(tmp_path), PREPARE).labelled(None, 10)


def test_what_holds_no_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected pictures \(.*\.png.*got none$"):
        PictureFolder.of(str(tmp_path), PREPARE)
    (tmp_path / "a.txt").touch()
    with pytest.raises(ValueError, match=r"got none, but 1 \.txt \(.*a\.txt\)$"):
        PictureFolder.of(str(tmp_path), PREPARE)
    with pytest.raises(ValueError, match="expected a folder of pictures"):
        PictureFolder.of(str(tmp_path / "absent"), PREPARE)


def test_pictures_are_found_in_every_depth_and_format(tmp_path: Path) -> None:
    files = ["b/x/y/1.ppm", "b/2.TIF", "a/1.jp2", "a/x/2.tga", "a/x/3.gif", "1.bmp"]
    _make(tmp_path, *files)
    (tmp_path / "a" / "round").symlink_to("..")  # a link that leads back
    found = PictureFolder.of(str(tmp_path), PREPARE)
    assert (found.groups, len(found)) == ((tmp_path.name, "a", "b"), len(files))
    assert found.labels == (0, 1, 1, 1, 2, 2)
    assert found.left_out == ()
    assert all(picture.shape == (3, 4, 4) for picture, _ in found)


def test_what_is_no_picture_is_told(tmp_path: Path) -> None:
    _make(tmp_path, "a/1.png", ".checkpoints/1.png", "a/.hidden.png")
    for name in ("a/1.heic", "a/2.heic", "b.txt", ".DS_Store", "a/Thumbs.db"):
        (tmp_path / name).touch()
    found = PictureFolder.of(str(tmp_path), PREPARE)
    assert [file.name for file in found.files] == ["1.png"]
    (told,) = found.left_out
    assert "2 .heic, 2 hidden, 1 .txt" in told.replace("2 hidden, 2 .heic", "2 .heic, 2 hidden")
    assert str(tmp_path / "a" / "1.heic") in told
    assert "Thumbs" not in told


def test_a_picture_that_cannot_be_read_is_left_out_and_named(tmp_path: Path) -> None:
    _make(tmp_path, *(f"{group}/{i}.png" for group in "ab" for i in range(20)))
    bad = [tmp_path / "a" / "7.png", tmp_path / "b" / "0.png"]
    bad[0].write_bytes(b"broken")
    bad[1].write_bytes(bad[1].read_bytes()[:-30])
    found = PictureFolder.of(str(tmp_path), PREPARE)
    assert (len(found), found.labels) == (38, (0,) * 19 + (1,) * 19)
    assert not set(bad) & set(found.files)
    (told,) = found.left_out
    assert told.startswith("Left out, 2 of 40 pictures, which can't be read: ")
    assert all(str(path) in told for path in bad)
    with pytest.raises(ValueError, match=r"7\.png"):
        PictureFolder.of(str(tmp_path), PREPARE, strict=True)


def test_a_folder_of_nothing_but_bad_pictures_is_refused(tmp_path: Path) -> None:
    _make(tmp_path, "a/1.png", "a/2.png")
    for name in "12":
        (tmp_path / "a" / f"{name}.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"a format that Pillow reads .*1\.png"):
        PictureFolder.of(str(tmp_path), PREPARE)


def test_many_are_counted_and_the_first_are_named(tmp_path: Path) -> None:
    _make(tmp_path, *(f"{i:02}.png" for i in range(30)))
    for i in range(29):
        (tmp_path / f"{i:02}.png").write_bytes(b"")
    (told,) = PictureFolder.of(str(tmp_path), PREPARE).left_out
    assert told.startswith("Left out, 29 of 30 pictures")
    assert told.endswith("and 9 more.")


def test_pictures_beside_the_classes_are_left_out_of_these(tmp_path: Path) -> None:
    _make(tmp_path, "cat/deep/a.png", "dog/a.png", "loose.png")
    found = PictureFolder.of(str(tmp_path), PREPARE)
    assert len(found) == 3
    classes = found.labelled({3: "dog", 5: "cat"}, 10)
    assert (classes.labels, classes.groups) == ((5, 3), ("cat", "dog"))
    assert str(tmp_path / "loose.png") in classes.left_out[0]


def test_a_picture_that_cannot_be_prepared_is_named(tmp_path: Path) -> None:
    def choosy(image: object) -> torch.Tensor:
        raise KeyError("no such size")

    _make(tmp_path, "a.png")
    found = PictureFolder.of(str(tmp_path), Transform(choosy))
    with pytest.raises(ValueError, match=r"prepared, got '.*a\.png' \(KeyError: 'no such size'"):
        _ = found[0]
