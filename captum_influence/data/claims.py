"""The claim of a folder: nothing that somebody else put there is overwritten."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

from captum_influence.data.files import kind_of

__all__ = ["claim", "holds_report", "staged"]


def claim(
    folder: str | PathLike[str], names: Sequence[str], text: str, kind: str, *, keep: bool = False
) -> Path:
    """Return a folder that a run may write to; nothing is written yet.

    That is a folder which is still to be made, one that has nothing of these names, or an earlier
    run's, also one that failed midway.

    Args:
        folder: where the run is to write.
        names: what it will write there: files, and folders of files.
        text: which of these is JSON that says whose it is, by its ``"format"``.
        kind: what it says.
        keep: refuse a folder that holds an earlier run's report.

    Raises:
        ValueError: if what would be overwritten isn't an earlier run's, or is to be kept, or it is
            no folder that can be written to.
    """
    path = Path(folder)
    there = next(place for place in (path.absolute(), *path.absolute().parents) if place.exists())
    if not there.is_dir():
        raise ValueError(f"expected a folder as --out, got {str(folder)!r}: {there} is a file")
    if not os.access(there, os.W_OK):
        raise ValueError(
            f"expected a folder to write to as --out, got {str(folder)!r}: {there} is read-only"
        )
    old = [name for name in names if (path / name).exists()]
    if old and not _says(path / text, kind) and not any(_is_ours(path / name) for name in old):
        raise ValueError(
            f"expected an empty folder or an earlier run's as --out, got {str(folder)!r}, whose "
            f"{old[0]} this program didn't write: choose another folder, or remove that"
        )
    if keep and holds_report(path, text, kind):
        raise ValueError(
            f"expected a folder without a report as --out, got {str(folder)!r}, which holds an "
            "earlier run's: add --force to write over it, or choose another folder"
        )
    return path


def holds_report(folder: str | PathLike[str], text: str, kind: str) -> bool:
    """Say whether a run of a kind has ended in a folder; ``text`` and ``kind`` as above."""
    return _says(Path(folder) / text, kind)


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """Yield a folder to write to, whose files take their places in another when all is written.

    What fails midway, as on a full disk, leaves that other folder as it was.

    Args:
        folder: where the files belong. Where it has subfolders that are written to, older
            files of the same kinds go.

    Raises:
        OSError: if something can't be written, saying where.
    """
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", suffix=".partial", dir=folder) as partial:
            yield Path(partial)
            _put(Path(partial), folder)
    except OSError as error:
        _unmake(made)
        raise OSError(
            f"expected room to write to {str(folder)!r}, got {error.strerror or error}: nothing "
            "was written; make room, or choose another folder as --out"
        ) from error
    except BaseException:
        _unmake(made)
        raise


def _unmake(places: Sequence[Path]) -> None:
    """Remove the folders that were made for nothing, the innermost first."""
    for place in places:
        if place.is_dir() and not any(place.iterdir()):
            place.rmdir()


def _put(source: Path, target: Path) -> None:
    """Move files to where they belong, which takes no room on the disk."""
    for path in sorted(source.iterdir()):
        if not path.is_dir():
            path.replace(target / path.name)
            continue
        inner = target / path.name
        inner.mkdir(exist_ok=True)
        kinds = {new.suffix for new in path.iterdir()}
        for stale in (old for old in inner.iterdir() if not (path / old.name).exists()):
            if stale.suffix in kinds:  # the rest is the user's
                stale.unlink()
        _put(path, inner)


def _says(file: Path, kind: str) -> bool:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError):
        return False
    return isinstance(found, dict) and found.get("format") == kind


def _is_ours(file: Path) -> bool:
    """Say whether this package wrote a file; of a run that failed it may be the only one."""
    return file.suffix == ".safetensors" and kind_of(file) is not None
