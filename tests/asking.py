"""What tests of findings share: the printed call, run as a reader of a page would."""

from __future__ import annotations

from typing import Any

from captum_influence.reports.finding import Finding


def again(found: Finding, **names: Any) -> Any:
    """Return what the printed call finds, with the imports and the tensors that belong to it."""
    known: dict[str, Any] = {}
    exec("\n".join(found.asked.imports), known)
    return eval(found.call, known | dict(found.asked.tensors) | names)
