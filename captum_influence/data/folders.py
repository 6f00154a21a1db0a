"""A folder of pictures, in every depth, one subfolder for each class."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor
from torch.utils.data import Dataset

from captum_influence.data.labels import Names, class_index
from captum_influence.data.picture_files import flaw_of_picture, picture_endings, read_picture
from captum_influence.data.pictures import Preparation

__all__ = ["PictureFolder"]

_NUMBERED = re.compile(r"(\d+)[_-]")
_CLUTTER = {".DS_Store", "Thumbs.db", "desktop.ini"}  # which systems leave everywhere
_NAMED = 20  # files that are left out, each with its path


@dataclass(frozen=True, eq=False)
class PictureFolder(Dataset[tuple[Tensor, int]]):
    """Pictures as a network's inputs, (3, height, width), with the number of their group.

    Attributes:
        files: the pictures' files, in order of group and name.
        groups: names of the groups: the subfolders, and the folder itself if it has pictures.
        labels: the group of each picture.
        prepare: how a picture becomes an input.
        root: the folder.
        left_out: what of it isn't among these, in sentences.
    """

    files: tuple[Path, ...]
    groups: tuple[str, ...]
    labels: tuple[int, ...]
    prepare: Preparation
    root: Path
    left_out: tuple[str, ...] = ()

    @staticmethod
    def of(
        folder: str, prepare: Preparation, *, strict: bool = False, checked: bool = True
    ) -> PictureFolder:
        """Find the pictures of a folder and of all folders in it, in any format that Pillow reads.

        Each is decoded once, to know before the work which ones can be: those that can't, and files
        that are no pictures, are left out and told.

        Args:
            folder: where they are.
            prepare: how a picture becomes an input.
            strict: refuse a folder with a picture that can't be read.
            checked: decode them; if not, what can't be read fails where it is read.

        Raises:
            ValueError: if it is no folder, or holds no pictures that can be read.
        """
        root = Path(folder)
        if not root.is_dir():
            raise ValueError(f"expected a folder of pictures, got {folder!r}, which is none")
        endings, everything = picture_endings(), list(_files(root))
        files = [path for path in everything if _is_picture(path, endings)]
        others = [path for path in everything if not _is_picture(path, endings)]
        if not files:
            raise ValueError(
                f"expected pictures (.jpg, .png, .webp, ..., as Pillow reads them) in {folder!r} "
                f"or a folder in it, got none{_kinds(others, ', but')}"
            )
        flaws = _flaws(files) if checked or strict else {}
        if flaws and (strict or len(flaws) == len(files)):
            read_picture(next(iter(flaws)))  # which says it all
        left_out = (*_unreadable(flaws, len(files)), *_passed_over(others))
        whole = [path for path in files if path not in flaws]
        return _grouped(root, whole, prepare, left_out)

    def labelled(self, names: Names, outputs: int | None) -> PictureFolder:
        """Return the pictures with a network's class numbers as their labels.

        Those that lie beside the classes' subfolders are left out.

        Args:
            names: of its classes, or None.
            outputs: how many it scores; None: not known.

        Raises:
            ValueError: if neither subfolders nor the names of files say classes.
        """
        loose = [place for place, file in enumerate(self.files) if file.parent == self.root]
        inner = self._without(loose) if 0 < len(loose) < len(self) else self
        try:
            classes = [class_index(group, names, outputs) for group in inner.groups]
        except ValueError as error:
            numbers = [_NUMBERED.match(file.name) for file in self.files]
            found = [int(match[1]) for match in numbers if match]
            if len(found) == len(self.files) and (outputs is None or max(found) < outputs):
                return replace(self, labels=tuple(found))
            raise ValueError(
                "expected a subfolder for each class, named by it, or pictures whose names begin "
                f"with the class's number, 281_cat.jpg: {error}"
            ) from None
        return replace(inner, labels=tuple(classes[group] for group in inner.labels))

    def _without(self, places: Sequence[int]) -> PictureFolder:
        """Return the pictures but those that lie in no class's subfolder."""
        gone = {self.files[place] for place in places}
        told = f"Left out, since they lie beside the subfolders of {self.root}: {_listed(gone)}."
        kept = [file for file in self.files if file not in gone]
        return _grouped(self.root, kept, self.prepare, (*self.left_out, told))

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = read_picture(self.files[index])
        try:
            return self.prepare(image)[0], self.labels[index]
        except Exception as error:  # of the user's own transforms
            raise ValueError(
                f"expected a picture that can be prepared, got {str(self.files[index])!r} "
                f"({type(error).__name__}: {error}): take it out of the folder"
            ) from error


def _grouped(
    root: Path, files: Sequence[Path], prepare: Preparation, left_out: tuple[str, ...]
) -> PictureFolder:
    """Return pictures, of which each subfolder with all that lies in it is a group."""
    inner = [file.relative_to(root).parts for file in files]
    places = [root / parts[0] if len(parts) > 1 else root for parts in inner]
    groups = sorted(set(places))
    order = sorted(range(len(files)), key=lambda i: (places[i], files[i]))
    return PictureFolder(
        files=tuple(files[i] for i in order),
        groups=tuple(place.name or place.resolve().name for place in groups),
        labels=tuple(groups.index(places[i]) for i in order),
        prepare=prepare,
        root=root,
        left_out=left_out,
    )


def _files(folder: Path, above: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """Yield all files in every depth, and hidden folders instead of what they hold."""
    above = above | {folder.resolve()}
    for path in sorted(folder.iterdir()):
        if not path.is_dir() or path.name.startswith("."):
            yield path
        elif path.resolve() not in above:  # a link may lead back
            yield from _files(path, above)


def _is_picture(path: Path, endings: frozenset[str]) -> bool:
    return path.suffix.lower() in endings and not path.name.startswith(".")


def _flaws(files: Sequence[Path]) -> dict[Path, str]:
    """Return what is wrong with each picture that can't be read."""
    pool = ThreadPoolExecutor()  # Pillow decodes without holding the interpreter up
    try:
        found = list(pool.map(flaw_of_picture, files))
    finally:
        pool.shutdown(cancel_futures=True)  # an interruption doesn't wait for all of them
    return {file: flaw for file, flaw in zip(files, found, strict=True) if flaw is not None}


def _unreadable(flaws: Mapping[Path, str], count: int) -> Iterator[str]:
    if flaws:
        listed = _listed({f"{path} ({flaw})" for path, flaw in flaws.items()})
        yield f"Left out, {len(flaws)} of {count} pictures, which can't be read: {listed}."


def _passed_over(others: Sequence[Path]) -> Iterator[str]:
    others = [path for path in others if path.name not in _CLUTTER]
    if others:
        yield f"Passed over, since these are no pictures that Pillow reads:{_kinds(others)}."


def _kinds(files: Sequence[Path], before: str = "") -> str:
    """Say how many files there are of each ending, and name some."""
    if not files:
        return ""
    kinds = Counter("hidden" if p.name.startswith(".") else p.suffix or "no ending" for p in files)
    told = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    return f"{before} {told} ({_listed(set(files[:3]), len(files))})"


def _listed(paths: set[Path] | set[str], count: int | None = None) -> str:
    """Name files in order, of many the first ones."""
    names = sorted(map(str, paths))
    more = (len(names) if count is None else count) - min(len(names), _NAMED)
    return ", ".join(names[:_NAMED]) + (f", and {more} more" if more else "")
