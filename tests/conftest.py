"""What every test may ask for: a torchvision that imports, and the real data where it is there."""

import importlib.util
import os
from pathlib import Path

import pytest
import torch


def _torchvision_schemas() -> torch.library.Library | None:
    """Declares torchvision's two operators where its compiled part can't be loaded.

    Importing torchvision registers fake kernels for ``nms`` and ``qnms`` and fails if they are
    unknown, which they are when its binary was built for another torch (installed with --no-deps
    beside a CPU build, say). Models and transforms need neither. Zennit imports torchvision too.
    """
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return None
    for binary in Path(spec.origin).parent.glob("_C*.*"):
        try:
            torch.ops.load_library(str(binary))
        except OSError:
            continue
        return None
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library


_SCHEMAS = _torchvision_schemas()  # the declarations live as long as this reference


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data: $CAPTUM_INFLUENCE_DATA, or ../shared/data beside the checkout."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("CAPTUM_INFLUENCE_DATA", beside))
    if not folder.is_dir():
        pytest.skip("no real data: neither $CAPTUM_INFLUENCE_DATA nor ../shared/data is a folder")
    return folder
