"""A user's own units: groups of a layer's channels, or of its single neurons."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["Grouping", "Groups"]

Shape = tuple[int, ...]
Members = Mapping[Any, Any]
Labels = Sequence[Any] | Tensor | np.ndarray[Any, Any]
Grouping = Members | Labels | Callable[[Shape], Members | Labels]


@dataclass(frozen=True)
class Groups:
    """Named groups of a layer's entries.

    Attributes:
        names: one per group.
        members: of each group: places along the kept dimensions, counted row by row.
        keep: the dimensions of one example's units along which places are counted: the channels'
            one, or all of them.
    """

    names: tuple[str, ...]
    members: tuple[tuple[int, ...], ...]
    keep: tuple[int, ...]

    @staticmethod
    def ensure(grouping: Grouping, shape: Shape, channel: int) -> Groups:
        """Return a grouping of a layer, as users say it.

        Args:
            grouping: a mapping from names to channel numbers or to bool masks shaped like one
                example's units; or one label per channel, or per unit; or a function of the shape
                that returns either. Integer labels below zero belong to no group.
            shape: of one example's units.
            channel: which of its dimensions counts channels.

        Raises:
            TypeError: if it is none of these.
            ValueError: if there is no group, one is empty, or doesn't fit the layer.
        """
        if callable(grouping):
            grouping = grouping(shape)
        if isinstance(grouping, Mapping):
            grouping = {name: _plain(members) for name, members in grouping.items()}
        else:
            grouping = _by_label(_plain(grouping), shape, channel)
        if not grouping:
            raise ValueError("expected at least one group of units, got none")
        masks = any(_is_mask(members) for members in grouping.values())
        keep = tuple(range(len(shape))) if masks else (channel,)
        sizes = tuple(shape[d] for d in keep)
        members = tuple(
            _members(name, chosen, sizes, masks=masks) for name, chosen in grouping.items()
        )
        return Groups(tuple(str(name) for name in grouping), members, keep)

    def pool(self, values: Tensor, reduce: Callable[[Tensor], Tensor]) -> Tensor:
        """Reduce (examples, ...) to one entry per group: (examples, groups)."""
        kept = [1 + d for d in self.keep]
        entries = values.movedim(kept, list(range(1, len(kept) + 1)))
        flat = entries.flatten(1, len(kept)).unsqueeze(-1).flatten(2)  # (examples, places, others)
        return torch.stack([reduce(flat[:, list(m)].flatten(1)) for m in self.members], dim=1)

    def spread(self, chosen: Tensor, shape: Shape) -> Tensor:
        """Return which entries belong to a group that is True, of bool (rows, groups)."""
        sizes = [n if d in self.keep else 1 for d, n in enumerate(shape)]
        found = chosen.new_zeros(len(chosen), math.prod(sizes))
        for group, places in enumerate(self.members):  # they may share places
            found[:, list(places)] |= chosen[:, group, None]
        return found.reshape(-1, *sizes)

    def selector(self, group: int, shape: Shape) -> tuple[slice | list[int], ...]:
        """Return what addresses a group's entries in one example's units."""
        sizes = tuple(shape[d] for d in self.keep)
        places = np.unravel_index(self.members[group], sizes)
        chosen: list[slice | list[int]] = [slice(None)] * len(shape)
        for dimension, indices in zip(self.keep, places, strict=True):
            chosen[dimension] = indices.tolist()
        return tuple(chosen)


def _plain(value: Any) -> Any:
    """Return NumPy's numbers as a tensor, alone or in a list, and its words as a list."""
    if isinstance(value, list | tuple) and any(isinstance(v, np.generic) for v in value):
        value = np.asarray(value)
    if not isinstance(value, np.ndarray):
        return value
    return torch.as_tensor(value) if value.dtype.kind in "biuf" else value.tolist()


def _is_mask(members: Any) -> bool:
    return isinstance(members, Tensor) and members.dtype == torch.bool


def _members(name: Any, chosen: Any, sizes: Shape, *, masks: bool) -> tuple[int, ...]:
    if masks:
        if not _is_mask(chosen) or tuple(chosen.shape) != sizes:
            came = tuple(chosen.shape) if isinstance(chosen, Tensor) else type(chosen).__name__
            raise ValueError(
                f"expected every group as a bool mask of shape {sizes}, got {came} for {name!r}"
            )
        found = chosen.flatten().nonzero().flatten().tolist()
    else:
        found = [_channel(name, channel) for channel in _listed(name, chosen)]
        if any(not 0 <= channel < math.prod(sizes) for channel in found):
            raise ValueError(
                f"expected the channels of group {name!r} from 0 to {math.prod(sizes) - 1}, got "
                f"{min(found)} to {max(found)}"
            )
    if not found:
        raise ValueError(f"expected at least one unit in group {name!r}, got none: leave it out")
    return tuple(dict.fromkeys(found))


def _listed(name: Any, chosen: Any) -> Iterable[Any]:
    if isinstance(chosen, Tensor):
        return list(chosen.flatten().tolist())
    if isinstance(chosen, Iterable) and not isinstance(chosen, str):
        return list(chosen)
    raise TypeError(
        f"expected group {name!r} as channel numbers or a bool mask, got {type(chosen).__name__}"
    )


def _channel(name: Any, channel: Any) -> int:
    try:
        if not isinstance(channel, bool):  # of a list meant as a mask
            return operator.index(channel)
    except TypeError:
        pass
    raise TypeError(
        f"expected the channels of group {name!r} as ints, got {type(channel).__name__}: give a "
        "mask as a bool tensor"
    )


def _by_label(labels: Any, shape: Shape, channel: int) -> dict[Any, Any]:
    """Return a mapping from labels to channels, or to masks where every unit has a label."""
    if isinstance(labels, Tensor):
        if labels.is_floating_point() or labels.is_complex():
            raise TypeError(f"expected group labels as whole numbers, got {labels.dtype}")
        if tuple(labels.shape) == shape and len(shape) > 1:
            known = [label for label in torch.unique(labels).tolist() if label >= 0]
            return {label: (labels == label).cpu() for label in known}
        labels = labels.tolist() if labels.ndim == 1 else labels
    if isinstance(labels, Tensor) or not isinstance(labels, Sequence):
        came = tuple(labels.shape) if isinstance(labels, Tensor) else type(labels).__name__
        raise TypeError(
            f"expected group labels as ({shape[channel]},), one per channel, or {shape}, one per "
            f"unit, got {came}"
        )
    if len(labels) != shape[channel]:
        raise ValueError(
            f"expected one group label for each of {shape[channel]} channels, got {len(labels)}"
        )
    found: dict[Any, list[int]] = {}
    for number, label in enumerate(labels):
        if not isinstance(label, int) or label >= 0:
            found.setdefault(label, []).append(number)
    return dict(sorted(found.items())) if all(isinstance(k, int) for k in found) else dict(found)
