"""Run tutorials and store what they show: ``python docs/_ext/store.py tutorials/*.ipynb``.

So a notebook can be read where none is run. Pictures are stored small, as JPEG; the docs build runs
the notebooks anew and shows its own.
"""

from __future__ import annotations

import base64
import io
import os
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from PIL import Image

WIDEST, QUALITY = 1000, 75  # pixels; of JPEG
PICTURES = ("image/png", "image/jpeg", "image/svg+xml")


def main(paths: list[str]) -> int:
    """Run each notebook in a fresh kernel and write it back with its outputs."""
    os.environ.setdefault("PYTHONWARNINGS", "ignore:IProgress not found")
    for path in map(Path, paths):
        notebook = nbformat.read(path, as_version=4)
        NotebookClient(notebook, timeout=600, resources={"metadata": {"path": "."}}).execute()
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)  # times, which differ each time
            if cell.cell_type == "code":
                cell.execution_count = None
                cell.outputs = [_small(output) for output in cell.outputs]
        notebook.metadata["language_info"] = {"name": "python"}
        nbformat.write(notebook, path)
        print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB")
    return 0


def _small(output: Any) -> Any:
    """Keep one form of each output, a picture as a small JPEG."""
    data = output.get("data", {})
    if "execution_count" in output:
        output["execution_count"] = None
    if "image/png" in data:
        picture = Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture).convert("RGB")
        picture.thumbnail((WIDEST, WIDEST * 4))
        stream = io.BytesIO()
        picture.save(stream, format="JPEG", quality=QUALITY, optimize=True)
        for kind in (*PICTURES, "text/html"):
            data.pop(kind, None)
        data["image/jpeg"] = base64.b64encode(stream.getvalue()).decode()
    return output


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
