"""torchvision's networks beside a torch that its compiled part wasn't built for."""

from __future__ import annotations

import functools
import importlib.util
import sys
from pathlib import Path

import torch

__all__ = ["declare_operators"]


@functools.cache
def declare_operators() -> torch.library.Library | None:
    """Declare ``nms`` and ``qnms`` where torchvision can't; to be called before it is imported.

    Its import registers shapes for the two, and fails if nobody has declared them: a build for
    CUDA beside a torch for the CPU, say. Networks and transforms need neither; detection does.
    """
    spec = None if "torchvision" in sys.modules else importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None or _loaded(Path(spec.origin).parent):
        return None
    # What is declared holds as long as this is kept.
    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            schema = f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            library.define(schema)  # type: ignore[no-untyped-call]
    return library


def _loaded(folder: Path) -> bool:
    for binary in folder.glob("_C*.*"):
        try:
            torch.ops.load_library(str(binary))  # type: ignore[no-untyped-call]
        except OSError:
            continue
        return True
    return False
