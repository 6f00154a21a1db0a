"""Many inputs, as users give them: which these are, what each is called, read one at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from torch import Tensor

from captum_influence.data.folders import PictureFolder
from captum_influence.data.labels import Names
from captum_influence.data.picture_files import read_picture
from captum_influence.data.pictures import Preparation, Preprocessing

__all__ = ["Images", "Source", "Sources", "are_many"]

Images = str | PathLike[str] | Sequence[Any]
"""A folder of pictures, a file, or a list of files, of Pillow's images and of inputs."""

Prepare = Preparation | Callable[[Any], Tensor]

_UNFIT = re.compile(r"[^\w.-]+")  # for the name of a file


def are_many(given: object) -> bool:
    """Return whether what a verb is asked about is a folder, a file or a list."""
    return isinstance(given, str | PathLike | list | tuple)


@dataclass(frozen=True, eq=False)
class Source:
    """One of many inputs, which isn't read yet.

    Attributes:
        name: what it is called: a path, or its number.
        stem: what files about it are called, a path below a folder; no other's is the same.
        held: a file, an image of Pillow's, or an input.
    """

    name: str
    stem: str
    held: Any

    def read(self, prepare: Preparation | None) -> tuple[Tensor, Tensor | None]:
        """Return the input, and of a picture what to show of it, (3, height, width) in [0, 1].

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it can't be read or prepared, or nothing says how.
        """
        if isinstance(self.held, Tensor):
            return self.held, None
        if prepare is None:
            raise TypeError(
                f"expected prepare= beside pictures, how they become the network's input, got none "
                f"for {self.name}: give prepare=weights.transforms(), prepare=Preprocessing(224, "
                "...), or a list of inputs"
            )
        image = read_picture(self.held) if isinstance(self.held, str | PathLike) else self.held
        try:
            return prepare(image), prepare.picture(image)
        except Exception as error:  # of the user's own transforms
            raise ValueError(
                f"expected a picture that can be prepared, got {self.name} "
                f"({type(error).__name__}: {error})"
            ) from error


@dataclass(frozen=True, eq=False)
class Sources:
    """The inputs of one call.

    Attributes:
        items: the inputs, in order.
        labels: the class that the folder gives to each; None: it gives none.
        left_out: what else lies in the folder, in sentences.
        prepare: how a picture becomes an input; None: not said.
    """

    items: tuple[Source, ...]
    labels: tuple[int, ...] | None
    left_out: tuple[str, ...]
    prepare: Preparation | None

    @staticmethod
    def of(
        given: Images,
        prepare: Prepare | None,
        *,
        labelled: bool = False,
        names: Names = None,
        strict: bool = False,
    ) -> Sources:
        """Return what is given as inputs; nothing is read yet, unless ``strict``.

        Args:
            given: a folder, a file, or a list.
            prepare: how a picture becomes an input.
            labelled: whether each picture's class is wanted, by its folder or its file's name.
            names: of the classes.
            strict: refuse pictures that can't be read, before anything is computed.

        Raises:
            ValueError: if there is nothing, or the folder says no classes.
        """
        if prepare is not None and not isinstance(prepare, Preparation):
            prepare = Preprocessing.from_transforms(prepare)
        if isinstance(given, str | PathLike) and not Path(given).is_file():
            return _in_folder(fspath(given), prepare, labelled, names, strict)
        held = [given] if isinstance(given, str | PathLike) else list(given)
        if not held:
            raise ValueError("expected inputs to ask about, got an empty list")
        items = tuple(_numbered(place, one, len(held)) for place, one in enumerate(held))
        if strict:
            for item in items:
                item.read(prepare)
        return Sources(items, None, (), prepare)


def _in_folder(
    place: str, prepare: Preparation | None, labelled: bool, names: Names, strict: bool
) -> Sources:
    if not Path(place).exists():
        raise ValueError(
            f"expected a picture or a folder of pictures, got {place!r}, which is neither; a text "
            'goes in as its tokenizer returns it, tokenizer(text, return_tensors="pt")'
        )
    # What can't be read is told where it is read: a folder is gone through once.
    found = PictureFolder.of(place, prepare or Preprocessing(), strict=strict, checked=strict)
    if labelled:
        found = found.labelled(names, None)
    paths = [file.relative_to(found.root).as_posix() for file in found.files]
    items = (Source(p, p, file) for p, file in zip(paths, found.files, strict=True))
    return Sources(tuple(items), found.labels if labelled else None, found.left_out, prepare)


def _numbered(place: int, held: Any, count: int) -> Source:
    """Return one of a list: its files begin with its number, as a name may stand there twice."""
    stem = f"{place:0{max(len(str(count - 1)), 4)}}"
    if isinstance(held, str | PathLike):
        return Source(fspath(held), f"{stem}-{_UNFIT.sub('_', Path(held).name)}", held)
    return Source(f"number {place}", stem, held)
