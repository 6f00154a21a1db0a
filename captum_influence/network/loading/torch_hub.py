"""Networks of ``torch.hub``, or of folders in its form."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from captum_influence.network.loading.functions import first_line, from_function
from captum_influence.network.loading.libraries import check_default
from captum_influence.network.loading.loaded import LoadedModel

__all__ = ["from_hub"]


def from_hub(name: str, weights: str | None) -> LoadedModel:
    """Return what an entry of a ``hubconf.py`` builds; the code of that repository runs.

    Args:
        name: ``REPO:ENTRY``; REPO is a folder, or ``owner/name`` or ``owner/name:tag`` on GitHub,
            which is downloaded if it isn't in the cache; ``torch.hub`` asks whether it is trusted.
        weights: ``"DEFAULT"``: the entry is called with ``weights="DEFAULT"`` or
            ``pretrained=True``, whichever it takes. None: without arguments.
    """
    check_default(f"hub:{name}", weights)
    repo, _, entry = name.rpartition(":")
    if not repo or not entry:
        raise ValueError(f"expected hub:REPO:ENTRY, got hub:{name}, which names no entry")
    folder = Path(repo) if Path(repo).is_dir() else _cached(repo)
    if not (folder / "hubconf.py").is_file():
        raise FileNotFoundError(
            f"expected a folder with a hubconf.py, got {str(folder)!r}, which has none: name the "
            "folder that holds it, or a function as FILE.py:FUNCTION"
        )
    try:
        return from_function(
            str(folder / "hubconf.py"), entry, None if weights is None else _asks_for_weights
        )
    except ValueError as error:
        if not isinstance(error.__cause__, OSError):
            raise
        raise RuntimeError(
            f"the weights of hub:{name} couldn't be fetched ({error.__cause__}): check the "
            "connection, or fetch them elsewhere and name the file as weights"
        ) from error


def _cached(repo: str) -> Path:
    """Return the folder of a repository in the cache of ``torch.hub``, downloaded if need be."""
    owner, slash, rest = repo.partition("/")
    name, _, tag = rest.partition(":")
    if not (owner and slash and name) or "/" in name:
        raise FileNotFoundError(
            f"expected hub:FOLDER:ENTRY or hub:OWNER/NAME:ENTRY, got {repo!r}, which is no folder "
            "and no repository of GitHub"
        )
    try:
        torch.hub.list(repo, trust_repo="check", verbose=False)  # type: ignore[no-untyped-call]
    except EOFError as error:
        raise RuntimeError(
            f"hub:{repo} would run code that torch.hub wasn't told to trust, and nobody is here to "
            f"be asked: run python -c \"import torch; torch.hub.list('{repo}', trust_repo=True)\" "
            "if you trust it"
        ) from error
    except Exception as error:  # no connection, no such repository, or its code fails
        raise RuntimeError(
            f"hub:{repo} isn't in the cache ({torch.hub.get_dir()}), or it couldn't be fetched or "
            f"imported ({first_line(error)}): check the name and the connection, or clone it "
            "elsewhere and say hub:FOLDER:ENTRY"
        ) from error
    tags = [tag.replace("/", "_")] if tag else ["main", "master"]
    folders = [Path(torch.hub.get_dir()) / f"{owner}_{name}_{tag}" for tag in tags]
    return next((folder for folder in folders if folder.is_dir()), folders[0])


def _asks_for_weights(entry: Callable[..., Any]) -> dict[str, Any]:
    """Return the keyword by which an entry is asked for its own weights."""
    takes = inspect.signature(entry).parameters
    ways: dict[str, Any] = {"weights": "DEFAULT", "pretrained": True}
    return next(({key: value} for key, value in ways.items() if key in takes), {})
