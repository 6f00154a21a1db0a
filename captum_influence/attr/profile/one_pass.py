"""One pass over a data set: a question put to batch after batch, shared, and taken up again."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from captum_influence.attr.influence import DistributionalInfluence
from captum_influence.attr.profile.moments import Moments
from captum_influence.data.batches import Batch, Batches
from captum_influence.data.files import read_tensors, write_tensors
from captum_influence.data.identity import told
from captum_influence.data.sharding import Shard
from captum_influence.network.cuts import Cut

__all__ = [
    "Aggregate",
    "Group",
    "GroupBy",
    "Questioner",
    "State",
    "merged",
    "own_path",
    "packed",
    "passed",
    "unpacked",
]

Group = int | str
Aggregate = str | Callable[[Tensor], Tensor]
GroupBy = str | Callable[[tuple[Tensor, ...], Tensor | None], Sequence[Group]] | None


class Questioner:
    """Puts one question to batch after batch and sums the answers up by group."""

    def __init__(
        self,
        influence: DistributionalInfluence,
        group_by: GroupBy,
        aggregate: Aggregate,
        axis: int,
        rows: int | None,
    ) -> None:
        if isinstance(aggregate, str) and aggregate not in ("sum", "mean", "max"):
            raise ValueError(
                f'expected aggregate="sum", "mean", "max" or a function, got {aggregate!r}'
            )
        if isinstance(group_by, str) and group_by not in ("label", "predicted"):
            raise ValueError(
                f'expected group_by="label", "predicted" or a function, got {group_by!r}'
            )
        self._influence, self._group_by = influence, group_by
        self._aggregate, self._axis, self._rows = aggregate, axis, rows
        self._many = isinstance(influence.layer, (list, tuple))
        quantity: Any = influence.quantity
        self._several = isinstance(quantity, (list, tuple))
        self.layers = tuple(_names(influence))
        self.quantities = len(quantity) if self._several else 1

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        forward = self._influence.forward_func
        parameters = forward.parameters() if isinstance(forward, nn.Module) else iter(())
        return next((p.device for p in parameters), torch.device("cpu"))

    @property
    def settings(self) -> dict[str, Any]:
        """What was asked, JSON-able."""
        return {
            "layers": list(self.layers),
            "quantities": self.quantities,
            "aggregate": _word(self._aggregate),
            "axis": self._axis,
            "group_by": _word(self._group_by),
            "distribution": type(self._influence.distribution).__name__,
            "multiply_by_inputs": self._influence.multiplies_by_inputs,
        }

    @property
    def identity(self) -> dict[str, Any]:
        """All that tells this question from another, JSON-able."""
        asked = {"quantity": self._influence.quantity, "distribution": self._influence.distribution}
        return {**self.settings, **{name: told(value) for name, value in asked.items()}}

    def moments(self, batch: Batch) -> dict[Group, tuple[Moments, ...]]:
        """Return the moments of one batch's influences, by group and layer."""
        batch = batch.to(self.device)
        groups = self._groups(batch)
        found = [self._units(layer) for layer in self._influences(batch)]
        result: dict[Group, tuple[Moments, ...]] = {}
        for group in sorted(set(groups), key=_sorting):
            rows = torch.tensor([i for i, other in enumerate(groups) if other == group])
            result[group] = tuple(
                Moments.of(layer[:, rows.to(layer.device)].transpose(0, 1)) for layer in found
            )
        return result

    def _influences(self, batch: Batch) -> list[Tensor]:
        """Return (quantities, examples, ...) for each layer."""
        influence = copy.copy(self._influence)
        if influence.distribution is not None:
            numbers = torch.arange(batch.start, batch.start + len(batch))
            influence.distribution = influence.distribution.numbered(numbers)
        target = batch.labels if influence.quantity is None else None
        found = influence.attribute(batch.inputs, target=target, internal_batch_size=self._rows)
        layers = found if self._many else [found]
        if any(isinstance(layer, tuple) for layer in layers):
            raise TypeError("a layer returns several tensors: pick one with Cut(layer, select=...)")
        return [layer if self._several else layer.unsqueeze(0) for layer in layers]

    def _units(self, layer: Tensor) -> Tensor:
        """Return (quantities, examples, units) with positions summed up."""
        if layer.ndim == 2:
            return layer.unsqueeze(2)
        if not 1 <= self._axis < layer.ndim - 1:
            raise ValueError(
                f"expected axis to be a dimension of the layer after the examples, 1 to "
                f"{layer.ndim - 2}, got {self._axis}"
            )
        if layer.ndim == 3:
            return layer
        flat = layer.movedim(self._axis + 1, 2).flatten(3)
        if callable(self._aggregate):
            return self._aggregate(flat)
        reduced: Tensor = getattr(flat, "amax" if self._aggregate == "max" else self._aggregate)(3)
        return reduced

    def _groups(self, batch: Batch) -> list[Group]:
        if self._group_by is None:
            return ["all"] * len(batch)
        if callable(self._group_by):
            chosen: list[Any] = list(self._group_by(batch.inputs, batch.labels))
        elif self._group_by == "predicted":
            with torch.no_grad():
                chosen = _answers(self._influence.forward_func(*batch.inputs))
        elif batch.labels is None:
            raise ValueError('group_by="label" needs a loader that yields (inputs, labels)')
        else:
            chosen = batch.labels.tolist()
        if len(chosen) != len(batch):
            raise ValueError(
                f"expected a group for each of {len(batch)} examples, got {len(chosen)}"
            )
        return [_group(g) for g in chosen]


def _answers(output: Any) -> list[int]:
    scores = getattr(output, "logits", output)
    if isinstance(scores, Tensor) and scores.ndim == 2:
        return list(scores.argmax(dim=1).tolist())
    came = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
    raise TypeError(
        'group_by="predicted" expects a network that returns scores (examples, classes), got '
        f"{came}: give a function of (inputs, labels)"
    )


def _group(value: Any) -> Group:
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple)) or value != int(value):
        came = type(value).__name__ if isinstance(value, (list, tuple)) else value
        raise ValueError(f"expected a whole number or a word as each example's group, got {came}")
    return int(value)


@dataclass(frozen=True, eq=False)
class State:
    """How far a pass has come: the next batch, and the moments until there."""

    batches: Batches
    identity: dict[str, Any]
    next: int
    moments: dict[Group, tuple[Moments, ...]]

    @staticmethod
    def resumed(path: Path | None, loader: Iterable[Any], run: Questioner, shard: Shard) -> State:
        """Begin, or go on from a checkpoint of the same question."""
        identity = {**run.identity, "rank": shard.rank, "world": shard.world}
        if path is None or not path.exists():
            return State(Batches.of(loader, None, shard), identity, 0, {})
        header, tensors = read_tensors(path, "checkpoint")
        changed = [key for key in identity if header["identity"].get(key) != identity[key]]
        if changed:
            raise ValueError(
                f"the checkpoint {path} belongs to another question: {', '.join(changed)} differ; "
                "ask the same, or remove it"
            )
        batches = Batches.of(loader, header["order"], shard)
        return State(batches, identity, header["next"], unpacked(header["groups"], tensors))

    def save(self, path: Path) -> None:
        """Write a checkpoint."""
        groups, tensors = packed(self.moments)
        header = {"identity": self.identity, "order": self.batches.order, "next": self.next}
        write_tensors(path, "checkpoint", {**header, "groups": groups}, tensors)


def passed(
    run: Questioner, state: State, shard: Shard, path: Path | None, every: int, show: bool
) -> State:
    """Go through this process's batches from where the state is."""
    bar = tqdm(total=len(state.batches) or None, unit="batch", desc="profile", disable=not show)
    moments, unsaved = dict(state.moments), 0
    with bar:
        bar.update(state.next)
        for batch in state.batches.iterate(state.next, shard):
            for group, layers in run.moments(batch).items():
                before = moments.get(group)
                moments[group] = layers if before is None else _both(before, layers)
            state = State(state.batches, state.identity, batch.number + 1, moments)
            unsaved += 1
            if path is not None and unsaved >= every:
                state.save(path)
                unsaved = 0
            bar.update(shard.world)
    if path is not None and unsaved and shard.world > 1:  # the others may never come
        state.save(path)
    return state


def _both(a: tuple[Moments, ...], b: tuple[Moments, ...]) -> tuple[Moments, ...]:
    return tuple(x.merged(y) for x, y in zip(a, b, strict=True))


def merged(
    moments: Mapping[Group, tuple[Moments, ...]], shard: Shard
) -> dict[Group, tuple[Moments, ...]]:
    """Merge the processes' moments in order of rank, group by group."""
    parts = shard.gather(dict(moments))
    groups = sorted({group for part in parts for group in part}, key=_sorting)
    merged_ = {}
    for group in groups:
        columns = zip(*[part[group] for part in parts if group in part], strict=True)
        merged_[group] = tuple(Moments.merged_all(column) for column in columns)
    return merged_


def _sorting(group: Group) -> tuple[bool, Group]:
    return isinstance(group, str), group


def own_path(path: Path, shard: Shard) -> Path:
    """Return this process's own checkpoint."""
    return path if shard.world == 1 else path.with_name(f"{path.name}.{shard.rank}of{shard.world}")


def _word(choice: object) -> str:
    return str(getattr(choice, "__name__", choice))


def _names(influence: DistributionalInfluence) -> list[str]:
    layers = influence.layer if isinstance(influence.layer, (list, tuple)) else [influence.layer]
    forward = influence.forward_func
    known = {m: n for n, m in forward.named_modules()} if isinstance(forward, nn.Module) else {}
    cuts = [Cut.ensure(layer) for layer in layers]
    names = [c.module if isinstance(c.module, str) else known.get(c.module, str(c)) for c in cuts]
    return [name or "network" for name in names]


def packed(
    moments: Mapping[Group, tuple[Moments, ...]],
) -> tuple[list[dict[str, Any]], dict[str, Tensor]]:
    """Return groups as JSON and their moments as named tensors."""
    groups, tensors = [], {}
    for g, (group, layers) in enumerate(moments.items()):
        groups.append({"group": group, "count": layers[0].count, "layers": len(layers)})
        for i, layer in enumerate(layers):
            tensors[f"{g}.{i}.mean"], tensors[f"{g}.{i}.squares"] = layer.mean, layer.squares
    return groups, tensors


def unpacked(
    groups: Sequence[Mapping[str, Any]], tensors: Mapping[str, Tensor]
) -> dict[Group, tuple[Moments, ...]]:
    """Return what :func:`packed` packed."""
    return {
        about["group"]: tuple(
            Moments(about["count"], tensors[f"{g}.{i}.mean"], tensors[f"{g}.{i}.squares"])
            for i in range(about["layers"])
        )
        for g, about in enumerate(groups)
    }
