"""Which position of a sequence is read: one for all rows, one for each, or each row's last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

__all__ = [
    "Position",
    "at_positions",
    "examples_of",
    "given_positions",
    "in_words_at",
    "of_rows",
    "settled",
]

Position = int | Literal["last"] | Sequence[int] | Tensor | None
"""``"last"``: of each row, the last token that is no pad; a number: for all rows, from the end if
negative; numbers: one for each row; None: outputs have no positions."""

_DECODED = ("decoder_input_ids", "decoder_inputs_embeds")


def given_positions(at: Position) -> int | str | Tensor | None:
    """Return positions as given, several as a tensor (examples,).

    Raises:
        TypeError: if they are none.
    """
    if at is None or isinstance(at, int) or (isinstance(at, str) and at == "last"):
        return at
    listed = isinstance(at, Sequence) and not isinstance(at, str) and len(at) > 0
    if listed or isinstance(at, Tensor):
        found = torch.as_tensor(at)
        if found.ndim == 0:
            return int(found)
        if found.ndim == 1 and not found.is_floating_point() and found.dtype != torch.bool:
            return found.cpu()
    raise TypeError(
        'expected at="last", a position, or a list or tensor of one for each example, got '
        f"{type(at).__name__}"
    )


def settled(at: Any, inputs: Mapping[str, Any]) -> Any:
    """Return positions, ``"last"`` settled by the attention mask of the tokens that are scored.

    Raises:
        ValueError: if the mask doesn't say which tokens there are.
    """
    if not isinstance(at, str):
        return at
    if getattr(inputs, "last_alone", False):
        return None
    decoded = any(inputs.get(name) is not None for name in _DECODED)
    mask = inputs.get("decoder_attention_mask" if decoded else "attention_mask")
    if mask is None:
        return -1
    if not isinstance(mask, Tensor) or mask.ndim != 2 or not bool((mask != 0).any(1).all()):
        came = f"shape {tuple(mask.shape)}" if isinstance(mask, Tensor) else type(mask).__name__
        raise ValueError(
            'expected an attention mask (examples, tokens) with a token in each row, for at="last" '
            f"to find the last one, got {came}: say the positions, at=[...]"
        )
    # From the end, as a mask also counts what a cache holds, and scores don't.
    places = -1 - (mask != 0).long().flip(1).argmax(dim=1).cpu()
    return -1 if bool((places == -1).all()) else places


def of_rows(value: Any, examples: Tensor) -> Any:
    """Return what is for each example for the rows that belong to these; else the value itself."""
    return value[examples.cpu()] if isinstance(value, Tensor) and value.ndim else value


def examples_of(*values: Any) -> int | None:
    """Return for how many examples there are values of their own; None: for all the same.

    Raises:
        ValueError: if they are for different numbers.
    """
    counts = {len(v) for v in values if isinstance(v, Tensor) and v.ndim}
    if len(counts) > 1:
        raise ValueError(f"expected one value for each example, got {sorted(counts)} of them")
    return counts.pop() if counts else None


def at_positions(scores: Tensor, at: Any, asks: str) -> Tensor:
    """Return the scores (rows, classes) at the positions; ``asks`` is who wants them.

    Raises:
        ValueError: if there are no positions, or not so many.
    """
    dimensions = 2 if at is None else 3
    if scores.ndim != dimensions:
        expected = "(examples, classes)" if at is None else "(examples, positions, classes)"
        cure = 'at="last", or a position' if at is None else "at=None, or ClassScore"
        raise ValueError(
            f"expected scores {expected} for {asks} with at={_told(at)}, got shape "
            f"{tuple(scores.shape)}: give {cure}"
        )
    if at is None:
        return scores
    at, length = -1 if isinstance(at, str) else at, scores.shape[1]
    where = torch.as_tensor(at)
    if bool(((where >= length) | (where < -length)).any()):
        raise ValueError(f"at={_told(at)} is out of range for {length} positions of {asks}")
    if not isinstance(at, Tensor):
        return scores[:, at]
    if len(at) != len(scores):
        raise ValueError(f"expected a position for each of {len(scores)} rows, got {len(at)}")
    return scores[torch.arange(len(scores), device=scores.device), at.to(scores.device)]


def in_words_at(at: Any) -> str:
    """Return where, as a reader calls it; of the last position nothing is said."""
    if at is None or isinstance(at, str) or (isinstance(at, int) and at == -1):
        return ""
    return f" at {at}" if isinstance(at, int) else " at a place of each"


def _told(at: Any) -> str:
    return f"one of {len(at)}" if isinstance(at, Tensor) else repr(at)
