"""A folder of pictures, one subfolder for each class."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor
from torch.utils.data import Dataset

from captum_influence.data.labels import class_index
from captum_influence.data.pictures import Preparation, read_picture

__all__ = ["PictureFolder"]

_ENDINGS = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
_NUMBERED = re.compile(r"(\d+)[_-]")


@dataclass(frozen=True, eq=False)
class PictureFolder(Dataset[tuple[Tensor, int]]):
    """Pictures as a network's inputs, (3, height, width), with the number of their group.

    Attributes:
        files: the pictures' files, in order of group and name.
        groups: names of the groups: the subfolders, or the folder itself if it has none.
        labels: the group of each picture.
        prepare: how a picture becomes an input.
    """

    files: tuple[Path, ...]
    groups: tuple[str, ...]
    labels: tuple[int, ...]
    prepare: Preparation

    @staticmethod
    def of(folder: str, prepare: Preparation) -> PictureFolder:
        """Find the pictures of a folder.

        Raises:
            ValueError: if it is no folder, or holds no pictures.
        """
        root = Path(folder)
        if not root.is_dir():
            raise ValueError(f"expected a folder of pictures, got {folder!r}, which is none")
        places = sorted(path for path in root.iterdir() if path.is_dir()) or [root]
        found = [(place, _pictures(place)) for place in places]
        found = [(place, files) for place, files in found if files]
        if not found:
            raise ValueError(
                f"expected pictures ({', '.join(sorted(_ENDINGS))}) in {folder!r} or its "
                "subfolders, got none"
            )
        return PictureFolder(
            tuple(file for _, files in found for file in files),
            tuple(place.name for place, _ in found),
            tuple(i for i, (_, files) in enumerate(found) for _ in files),
            prepare,
        )

    def labelled(self, names: Mapping[int, str] | None, outputs: int | None) -> PictureFolder:
        """Return the pictures with a network's class numbers as their labels.

        Args:
            names: of its classes, or None.
            outputs: how many it scores; None: not known.

        Raises:
            ValueError: if neither subfolders nor the names of files say classes.
        """
        try:
            classes = [class_index(group, names, outputs) for group in self.groups]
        except ValueError as error:
            numbers = [_NUMBERED.match(file.name) for file in self.files]
            found = [int(match[1]) for match in numbers if match]
            if len(found) == len(self.files) and (outputs is None or max(found) < outputs):
                return replace(self, labels=tuple(found))
            raise ValueError(
                "expected a subfolder for each class, named by it, or pictures whose names begin "
                f"with the class's number, 281_cat.jpg: {error}"
            ) from None
        return replace(self, labels=tuple(classes[group] for group in self.labels))

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.prepare(read_picture(self.files[index]))[0], self.labels[index]


def _pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in _ENDINGS)
