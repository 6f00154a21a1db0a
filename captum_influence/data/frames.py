"""Results as tables of pandas, where it is installed."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

__all__ = ["frame"]


def frame(columns: Mapping[str, Sequence[Any] | Tensor]) -> Any:
    """Return columns of one length as a ``pandas.DataFrame``.

    Raises:
        ImportError: if pandas isn't installed.
    """
    try:
        pandas = importlib.import_module("pandas")
    except ImportError as error:
        raise ImportError("to_frame() takes pandas: pip install pandas") from error
    plain = {k: v.tolist() if isinstance(v, Tensor) else list(v) for k, v in columns.items()}
    return pandas.DataFrame(plain)
