"""One pass over a data set: a question put to batch after batch, sharded and resumable."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from captum_influence.attr.distributions import Distribution
from captum_influence.attr.influence import DistributionalInfluence
from captum_influence.attr.inputs import Inputs
from captum_influence.attr.paths import LinearPath
from captum_influence.attr.profile.moments import Moments
from captum_influence.attr.profile.next_tokens import NextTokens, real_places
from captum_influence.attr.quantities import Quantity
from captum_influence.data.batch import Batch
from captum_influence.data.batches import Batches
from captum_influence.data.identity import told
from captum_influence.data.items import Accepts, by_name
from captum_influence.data.orders import Order
from captum_influence.data.resume import Resume
from captum_influence.data.samples import Trail
from captum_influence.data.sharding import Shard
from captum_influence.data.workers import workers_watched
from captum_influence.network.cuts import Cut
from captum_influence.network.devices import device_of
from captum_influence.network.inputs import network_of
from captum_influence.network.modes import without_graph

__all__ = ["Aggregate", "Group", "GroupBy", "Questioner", "State", "merged", "passed"]

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
        self._next_token = NextTokens(influence.forward_func)
        self._many = isinstance(influence.layer, (list, tuple))
        quantity: Any = influence.quantity
        self._several = isinstance(quantity, (list, tuple))
        self.layers = tuple(_names(influence))
        self.quantities = len(quantity) if self._several else 1

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return device_of(self._influence.forward_func)

    @property
    def accepts(self) -> Accepts:
        """What the network takes."""
        forward = self._influence.forward_func
        return Accepts.of(network_of(forward) if isinstance(forward, nn.Module) else forward)

    @property
    def identity(self) -> dict[str, Any]:
        """All that tells this question from another, as JSON can hold it."""
        influence = self._influence
        layers = influence.layer if self._many else [influence.layer]
        return {
            "layers": [_place(influence, layer) for layer in layers],
            "quantities": self.quantities,
            "aggregate": told(self._aggregate),
            "axis": self._axis,
            "group_by": told(self._group_by),
            "multiply_by_inputs": influence.multiplies_by_inputs,
            "quantity": told(influence.quantity),
            "distribution": told(influence.distribution),
            "sample_at": _place(influence, influence.sample_at),
            "measure_at": _place(influence, influence.measure_at),
            "reference": told(influence.reference),
            "displacement": told(influence.displacement),
            "through": [(_place(influence, s.cut), told(s.units)) for s in influence.through],
            **self._network,
        }

    @property
    def _network(self) -> dict[str, Any]:
        forward = self._influence.forward_func
        if not isinstance(forward, nn.Module):
            return {"network": told(forward)}
        structure, weights = told(forward)
        return {"network": structure, "weights": weights}

    @property
    def facts(self) -> dict[str, Any]:
        """What was asked, in words."""
        distribution: Distribution = self._influence.distribution or LinearPath()
        return {
            "measure": "contribution" if self._influence.multiplies_by_inputs else "influence",
            "quantities": self._quantities_in_words(),
            "distribution": distribution.in_words(),
            "counts_from": self._counts_from(distribution),
            "aggregate": _word(self._aggregate),
            "group_by": _word(self._group_by),
        }

    def _counts_from(self, distribution: Distribution) -> str:
        """Return what activations are compared with for contributions, in words."""
        if self._influence.displacement == "end":
            return "its activation where the path starts, 0 without one"
        said = self._influence.displacement
        if isinstance(said, str):
            return "its activation at each point of the path, as the next one moves it"
        starts = said if isinstance(said, list | tuple) else [said]
        words = (one.in_words() if hasattr(one, "in_words") else "what is given" for one in starts)
        return ", ".join(dict.fromkeys(words))

    def _quantities_in_words(self) -> tuple[str, ...]:
        quantity: Any = self._influence.quantity
        if quantity is None:
            return ("the score of its label",)
        several = quantity if self._several else [quantity]
        return tuple(Quantity.ensure(one).in_words() for one in several)

    def moments(self, batch: Batch) -> dict[Group, tuple[Moments, ...]]:
        """Return the moments of one batch's influences, by group and layer."""
        batch = batch.to(self.device)
        groups = self._groups(batch)
        found = [self._units(layer, batch) for layer in self._influences(batch)]
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
            numbered = influence.distribution.numbered(numbers)
            influence.distribution = numbered.located(partial(_own, batch))
        influence.reference = _own(batch, influence.reference)
        target = batch.target if influence.quantity is None else None
        if target is not None and (asked := self._next_token.of(batch)) is not None:
            influence.quantity, target = asked, None
        found = influence.attribute(
            batch.named or batch.inputs,
            target=target,
            additional_forward_args=batch.further or None,
            internal_batch_size=self._rows,
        )
        layers = found if self._many else [found]
        if any(isinstance(layer, tuple) for layer in layers):
            raise TypeError("a layer returns several tensors: pick one with Cut(layer, select=...)")
        return [layer if self._several else layer.unsqueeze(0) for layer in layers]

    def _units(self, layer: Tensor, batch: Batch) -> Tensor:
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
        real = real_places(tuple(layer.shape[2:]), self._axis, batch)
        if real is None or self._aggregate == "sum":  # what pads do is zero
            return self._pooled(layer)
        places = [d + 2 for d in real.dimensions]
        kept = (_narrowed(layer[:, i : i + 1], places, tokens) for i, tokens in real.of_each())
        return torch.cat([self._pooled(one) for one in kept], dim=1)

    def _pooled(self, layer: Tensor) -> Tensor:
        """Return (quantities, examples, units) with all places summed up."""
        flat = layer.movedim(self._axis + 1, 2).flatten(3)
        if callable(self._aggregate):
            return self._aggregate(flat)
        reduced: Tensor = getattr(flat, "amax" if self._aggregate == "max" else self._aggregate)(3)
        return reduced

    def _groups(self, batch: Batch) -> list[Group]:
        if self._group_by is None:
            return ["all"] * len(batch)
        if callable(self._group_by):
            chosen: list[Any] = list(self._group_by(batch.inputs, batch.target))
        elif self._group_by == "predicted":
            with without_graph():
                given = () if batch.named else batch.arguments
                answer = self._influence.forward_func(*given, **batch.named)
                chosen = _answers(self._next_token.scores(answer, batch))
        elif batch.target is None:
            raise ValueError('group_by="label" needs a loader that yields (inputs, labels)')
        else:
            chosen = batch.target if isinstance(batch.target, list) else batch.target.tolist()
        if len(chosen) != len(batch):
            raise ValueError(
                f"expected a group for each of {len(batch)} examples, got {len(chosen)}"
            )
        return [_group(g) for g in chosen]


def _own(batch: Batch, start: Any, *, is_set: bool = False) -> Any:
    """Return the batch's own of inputs that are named for each example of the data set."""
    return start.rows(batch.places) if isinstance(start, Inputs) and not is_set else start


def _narrowed(layer: Tensor, dimensions: Sequence[int], tokens: Tensor) -> Tensor:
    for d in dimensions:
        layer = layer.index_select(d, tokens.to(layer.device))
    return layer


def _answers(scores: Tensor) -> list[int]:
    if scores.ndim == 2:
        return list(scores.argmax(dim=1).tolist())
    came = tuple(scores.shape)
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
    """How far a pass has come.

    Attributes:
        next: the number of the next batch.
        moments: those until there.
        order: the examples of each batch, where the loader knows them.
        trail: a digest of the batches until there, where it doesn't.
    """

    next: int
    moments: Mapping[Group, tuple[Moments, ...]]
    order: Order | None
    trail: str = ""


def passed(
    questioner: Questioner, loader: Iterable[Any], resume: Resume[State], *, show_progress: bool
) -> Mapping[Group, tuple[Moments, ...]]:
    """Go through this process's batches, from where a killed run was; return their moments.

    Raises:
        ValueError: if the loader is empty, or what to resume belongs to another question.
    """
    shard, before = resume.shard, None
    batches = Batches.shared(loader, shard, by_name, questioner.accepts)
    if resume.path is not None:
        resume = replace(resume, identity=questioner.identity | batches.identity)
        before = resume.read()
        batches = batches.taken_up(None if before is None else before.order, shard)
    state = State(0, {}, batches.order) if before is None else before
    bar = "profile" if show_progress else None
    trail = None if resume.path is None else Trail(state.trail, state.next)
    with workers_watched(loader):
        for batch in batches.iterate(shard, state.next, bar=bar, trail=trail):
            state = _advanced(state, batch.number + 1, questioner.moments(batch))
            if trail is not None:
                state = replace(state, trail=trail.digest)
            if resume.is_due(batch.number):
                resume.write(state)
    if shard.world > 1:  # the others may never come
        resume.write(state)
    return state.moments


def _advanced(state: State, number: int, found: Mapping[Group, tuple[Moments, ...]]) -> State:
    moments = dict(state.moments)
    for group, layers in found.items():
        before = moments.get(group)
        moments[group] = layers if before is None else _both(before, layers)
    return replace(state, next=number, moments=moments)


def _both(a: tuple[Moments, ...], b: tuple[Moments, ...]) -> tuple[Moments, ...]:
    for x, y in zip(a, b, strict=True):
        if x.mean.shape != y.mean.shape:
            raise ValueError(
                f"expected as many units in each batch, got {x.mean.shape[-1]} and "
                f"{y.mean.shape[-1]}: prompts of other lengths have other positions, so profile "
                "their features, axis=2, or batches of one length"
            )
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


def _word(choice: object) -> str:
    return str(getattr(choice, "__name__", choice))


def _names(influence: DistributionalInfluence) -> list[str]:
    layers = influence.layer if isinstance(influence.layer, (list, tuple)) else [influence.layer]
    return [_module_name(influence, Cut.ensure(layer)) for layer in layers]


def _module_name(influence: DistributionalInfluence, cut: Cut) -> str:
    forward = influence.forward_func
    known = {m: n for n, m in forward.named_modules()} if isinstance(forward, nn.Module) else {}
    name = cut.module if isinstance(cut.module, str) else known.get(cut.module, str(cut))
    return name or "network"


def _place(influence: DistributionalInfluence, layer: Any) -> Any:
    """Tell a cut by its layer's name and all that it says beside it, as JSON."""
    if layer is None:
        return None
    cut = Cut.ensure(layer)
    said = [told(getattr(cut, f.name)) for f in fields(cut) if f.name != "module"]
    return [_module_name(influence, cut), *said]
