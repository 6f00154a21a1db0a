"""Prompts out of a loader, each without its pads, and batches of those that are equally long."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from captum_influence.data.batch import PromptBatch
from captum_influence.data.items import ANYTHING, LABELS, Accepts, leading_names

__all__ = ["LoadedPrompts", "holds_prompts"]

_MASK = "attention_mask"
_AT_ONCE = 32  # prompts of a batch, where a loader yields them one by one
Columns = Mapping[str, list[Tensor]]


def holds_prompts(item: Any) -> bool:
    """Return whether what a loader yields is prompts: whole numbers, one for each token."""
    first, _ = _told(item)
    if not isinstance(first, Mapping):
        return _rows(first) is not None
    floats = [x for x in first.values() if isinstance(x, Tensor) and x.is_floating_point()]
    return not floats and bool(_columns(first))


@dataclass(frozen=True, eq=False, kw_only=True)
class LoadedPrompts:
    """The prompts of a loader, in its order. They are held in memory: token ids are small.

    A prompt is what its mask leaves of it. Without pads it is what it is alone, on whichever side
    they stood; and what is averaged over its places is averaged over its tokens.

    Attributes:
        names: what is given for each token, by the names of a network's arguments; the first one
            is embedded.
        masked: whether the network is given a mask, which then leaves nothing out.
        prompts: int64 (fields, tokens), a row for each name.
        labels: a number, or a text, for each.
        at_once: how many make a batch.
        tokenizer: what made them of text, if that is known.
    """

    names: tuple[str, ...]
    masked: bool
    prompts: tuple[Tensor, ...]
    labels: tuple[int | str, ...]
    at_once: int
    tokenizer: Any = None

    @staticmethod
    def read(
        items: Iterable[Any], name: str, accepts: Accepts = ANYTHING, *, labelled: bool = True
    ) -> LoadedPrompts:
        """Read what a loader yields.

        Understood are mappings, as a tokenizer or a collator returns them, with ``"labels"`` among
        them or beside them, ``(mapping, labels)``, and ``(ids, labels)``; each of several prompts,
        as a tensor (examples, tokens) or a list of lists, or of one.

        Args:
            items: what the loader yields.
            name: what the network calls its first argument, where ids come alone.
            accepts: what else it takes.
            labelled: whether there must be labels; without them all are 0.

        Raises:
            TypeError: if there is no label for each prompt, or numbers that aren't a token's.
            ValueError: if a mask leaves out all, or something within a prompt.
        """
        names: tuple[str, ...] = ()
        prompts: list[Tensor] = []
        labels: list[int | str] = []
        largest, masked, tokenizer = 0, False, None
        for item in items:
            given, told = _told(item)
            found = given if isinstance(given, Mapping) else {name: given}
            tokenizer = tokenizer or getattr(found, "tokenizer", None)
            columns, mask = _apart(found, accepts)
            names, masked = names or tuple(columns), masked or mask is not None
            if tuple(columns) != names:
                raise TypeError(
                    f"expected each batch to hold {list(names)}, as the first one, got "
                    f"{list(columns)}: let the loader yield the same names each time"
                )
            rows = list(zip(*columns.values(), strict=True))
            masks = [None] * len(rows) if mask is None else mask
            prompts += [_prompt(row, names, m) for row, m in zip(rows, masks, strict=True)]
            labels += _labels(told, len(rows)) if labelled else [0] * len(rows)
            largest = max(largest, len(rows))
        at_once = largest if largest > 1 else _AT_ONCE
        return LoadedPrompts(
            names=names,
            masked=masked,
            prompts=tuple(prompts),
            labels=tuple(labels),
            at_once=at_once,
            tokenizer=tokenizer,
        )

    @property
    def lengths(self) -> tuple[int, ...]:
        """How many tokens prompts have, each number once, the smallest first."""
        return tuple(sorted({prompt.shape[1] for prompt in self.prompts}))

    def batches(self, numbered: Callable[[int | str], int]) -> tuple[PromptBatch, ...]:
        """Return batches of equally long prompts, the shortest first.

        Args:
            numbered: returns the number of a label.
        """
        labels = torch.tensor([numbered(label) for label in self.labels])
        by_length: dict[int, list[int]] = {length: [] for length in self.lengths}
        for number, prompt in enumerate(self.prompts):
            by_length[prompt.shape[1]].append(number)
        size = self.at_once
        parts = [own[i : i + size] for own in by_length.values() for i in range(0, len(own), size)]
        return tuple(
            PromptBatch(torch.stack([self.prompts[n] for n in p]), labels[p], torch.tensor(p))
            for p in parts
        )


def _told(item: Any) -> tuple[Any, Any]:
    """Return the prompts of an item, and its labels; None without any."""
    if isinstance(item, tuple | list) and len(item) in (1, 2):
        first, label = item[0], item[1] if len(item) == 2 else None
        own = _label_of(first) if label is None and isinstance(first, Mapping) else label
        return first, own
    return item, _label_of(item) if isinstance(item, Mapping) else None


def _label_of(mapping: Mapping[str, Any]) -> Any:
    return next((mapping[key] for key in LABELS if key in mapping), None)


def _apart(given: Mapping[str, Any], accepts: Accepts) -> tuple[Columns, list[Tensor] | None]:
    """Return what is given for each token by name, the ids first; and the masks."""
    columns = _columns(given)
    mask = columns.pop(_MASK, None)
    free = accepts.any_name or not accepts.names
    unknown = [name for name in columns if name not in accepts.names and not free]
    if unknown:
        raise TypeError(
            f"expected prompts with names of the network's arguments, {list(accepts.names)}, got "
            f"{unknown} among them: give the DataLoader a collate_fn that leaves them out"
        )
    (first, *_) = leading_names({name: rows[0] for name, rows in columns.items()}, accepts)
    ordered = {first: columns[first], **columns}
    other = {n: len(rows) for n, rows in ordered.items() if len(rows) != len(columns[first])}
    if other:
        raise TypeError(
            f"expected a row for each of {len(columns[first])} prompts, got {other}: give the "
            "DataLoader a collate_fn that leaves out what isn't a prompt's"
        )
    return ordered, mask


def _columns(given: Mapping[str, Any]) -> dict[str, list[Tensor]]:
    """Return the rows of all that is whole numbers, by name, without the labels."""
    found = {name: _rows(value) for name, value in given.items() if name not in LABELS}
    return {name: rows for name, rows in found.items() if rows is not None}


def _rows(value: Any) -> list[Tensor] | None:
    """Return a tensor (tokens,) for each prompt; None if it isn't whole numbers."""
    if isinstance(value, Tensor):
        whole = not value.is_floating_point() and value.ndim in (1, 2)
        return (list(value) if value.ndim == 2 else [value]) if whole else None
    if not isinstance(value, tuple | list) or not len(value):
        return None
    if all(isinstance(number, int) for number in value):
        return [torch.tensor(value)]
    parts = [_rows(part) for part in value]
    rows = [part[0] for part in parts if part is not None and len(part) == 1]
    return rows if len(rows) == len(value) else None


def _prompt(row: Sequence[Tensor], names: Sequence[str], mask: Tensor | None) -> Tensor:
    """Return a prompt's fields without its pads, (fields, tokens)."""
    sizes = {name: len(x) for name, x in zip(names, row, strict=True)}
    sizes |= {} if mask is None else {_MASK: len(mask)}
    if len(set(sizes.values())) > 1:
        raise TypeError(
            f"expected numbers for each token of a prompt, got {sizes}: give the DataLoader a "
            "collate_fn that leaves out what isn't; of an encoder and a decoder's tokens side by "
            "side ask DistributionalInfluence"
        )
    if mask is not None:
        kept = mask.nonzero().flatten()
        if not len(kept) or int(kept[-1] - kept[0]) + 1 != len(kept):
            raise ValueError(
                f"expected a mask that leaves out pads before or behind a prompt, got one of "
                f"{len(mask)} tokens that leaves {len(kept)}, {'apart' if len(kept) else 'none'}: "
                "leave such prompts out"
            )
        row = [x[int(kept[0]) : int(kept[-1]) + 1] for x in row]
    return torch.stack([x.long() for x in row])


def _labels(told: Any, count: int) -> list[int | str]:
    """Return the label of each prompt."""
    found = told.reshape(-1).tolist() if isinstance(told, Tensor) else told
    listed = list(found) if isinstance(found, tuple | list) else [found]
    listed = [one.item() if isinstance(one, Tensor) and one.numel() == 1 else one for one in listed]
    if len(listed) == count and all(isinstance(one, int | str) for one in listed):
        return listed
    came = f"shape {tuple(told.shape)}" if isinstance(told, Tensor) else type(told).__name__
    raise TypeError(
        f"expected a label for each of {count} prompts, the number or name of its class, or its "
        f"next token, got {came}: let the loader yield (prompts, labels); those of each token, "
        "which a language model is trained on, say nothing of a prompt as a whole"
    )
