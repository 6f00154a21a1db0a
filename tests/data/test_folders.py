"""A folder of pictures, labelled by its subfolders or by the names of its files."""

from pathlib import Path

import pytest
import torch

Image = pytest.importorskip("PIL.Image", reason="reading pictures takes Pillow")

from captum_influence.data.folders import PictureFolder  # noqa: E402
from captum_influence.data.pictures import Preprocessing  # noqa: E402

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
    with pytest.raises(ValueError, match=r"expected pictures \(.*\.png.*got none"):
        PictureFolder.of(str(tmp_path), PREPARE)
    with pytest.raises(ValueError, match="expected a folder of pictures"):
        PictureFolder.of(str(tmp_path / "absent"), PREPARE)
