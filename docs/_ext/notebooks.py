"""A Sphinx extension: the notebooks of ``tutorials/`` become pages of ``docs/tutorials/``."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[1]


def setup(app: Any) -> dict[str, bool]:
    """Copy the notebooks before Sphinx looks for sources."""
    # tqdm, as Captum imports it, wants widgets in a notebook; nothing here shows a progress bar.
    os.environ.setdefault("PYTHONWARNINGS", "ignore:IProgress not found")
    app.connect("config-inited", _copy)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _copy(_app: Any, _config: Any) -> None:
    kept = {path.name: path for path in (DOCS.parent / "tutorials").glob("*.ipynb")}
    copies = DOCS / "tutorials"
    copies.mkdir(exist_ok=True)
    for stale in copies.glob("*.ipynb"):
        if stale.name not in kept:
            stale.unlink()
    for name, path in kept.items():
        shutil.copy2(path, copies / name)  # with its time: what didn't change isn't read again
