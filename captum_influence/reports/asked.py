"""What was asked, as the Python that asks it again, and what computed the answer."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from importlib.metadata import PackageNotFoundError, version

from torch import Tensor

__all__ = ["Code", "code_of", "installed_versions"]


class Code(str):
    """A setting that is written down as the Python that builds it."""

    def __repr__(self) -> str:
        """Return the code itself, without quotes."""
        return str(self)


def code_of(value: object) -> str:
    """Return Python that builds a value: what knows its own code says it; tensors as ``...``."""
    own = getattr(value, "code", None)
    if callable(own) and not isinstance(value, type):
        return str(own())
    if isinstance(value, Tensor):
        return str(value.item()) if value.numel() == 1 else "..."
    if isinstance(value, tuple | list):
        inner = ", ".join(code_of(item) for item in value)
        comma = "," if isinstance(value, tuple) and len(value) == 1 else ""
        return f"({inner}{comma})" if isinstance(value, tuple) else f"[{inner}]"
    if is_dataclass(value) and not isinstance(value, type):
        inner = ", ".join(_argument(value, f.name) for f in fields(value) if f.init)
        return f"{type(value).__name__}({inner})"
    if value is None or isinstance(value, int | float | str | bool | slice):
        return repr(value)
    return "..."


def _argument(value: object, name: str) -> str:
    inner = getattr(value, name)
    first = fields(value)[0].name  # type: ignore[arg-type]  # a dataclass, seen by the caller
    return code_of(inner) if name == first else f"{name}={code_of(inner)}"


def installed_versions() -> dict[str, str]:
    """Return the versions of what an explanation depends on."""
    return {name: _version(name) for name in ("captum-influence", "torch", "captum", "numpy")}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed as a distribution"
