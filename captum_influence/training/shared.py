"""Parameters that several layers share: each once, with the gradients of all of its uses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import Module, Parameter

from captum_influence.network.recording import Record
from captum_influence.training.gradients import LayerGradient

__all__ = ["SharedGradient", "SharedRecord", "gathered", "modules_of", "spare_modules_of"]


@dataclass(frozen=True, eq=False)
class SharedRecord(Record):
    """What the layers that share a parameter saw; None: one that didn't run.

    Attributes:
        parts: their records, the layer's own first.
    """

    parts: tuple[Record | None, ...]

    def split(self, rows: int) -> Iterator[Record]:
        pieces = [None if part is None else list(part.split(rows)) for part in self.parts]
        for place, own in enumerate(Record(self.inputs, self.gradients).split(rows)):
            parts = tuple(None if piece is None else piece[place] for piece in pieces)
            yield SharedRecord(own.inputs, own.gradients, parts)


@dataclass(frozen=True, eq=False)
class SharedGradient(LayerGradient):
    """A layer with parameters that others use too: Σ over all uses.

    Attributes:
        uses: the layers that use its parameters, itself first.
        covered: those of its own parameters that belong to it, and to no layer before it.
    """

    uses: tuple[LayerGradient, ...]
    covered: Mapping[str, Parameter]

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        return self.covered

    def flat(self, record: Record) -> Tensor:
        found: dict[int, Tensor] = {}
        parts = record.parts if isinstance(record, SharedRecord) else (record,)
        for use, part in zip(self.uses, parts, strict=True):
            if part is None:
                continue
            own = dict(use.module.named_parameters(recurse=False))
            for name, gradient in use.unflatten(use.flat(part)).items():
                known = found.get(id(own[name]))
                found[id(own[name])] = gradient if known is None else known + gradient
        return torch.cat([found[id(p)].flatten(1) for p in self.covered.values()], 1)

    def unflatten(self, flat: Tensor) -> dict[str, Tensor]:
        pieces = torch.split(flat, [p.numel() for p in self.covered.values()], 1)
        return {
            name: piece.reshape(len(flat), *p.shape)
            for (name, p), piece in zip(self.covered.items(), pieces, strict=True)
        }

    def numbers_per_example(self, record: Record) -> int:
        parts = record.parts if isinstance(record, SharedRecord) else (record,)
        pairs = zip(self.uses, parts, strict=True)
        return sum(use.numbers_per_example(part) for use, part in pairs if part is not None)


def modules_of(layers: Sequence[LayerGradient]) -> dict[str, Module]:
    """Return what has to be recorded: the layers, and all that use their parameters."""
    return {use.name: use.module for layer in layers for use in _uses(layer)}


def spare_modules_of(layers: Sequence[LayerGradient]) -> frozenset[str]:
    """Return the names of those that are recorded for others' sake, and need not run."""
    return frozenset(modules_of(layers)) - {layer.name for layer in layers}


def gathered(layers: Sequence[LayerGradient], records: Mapping[str, Record]) -> dict[str, Record]:
    """Return the record of each layer, with those of the layers that share its parameters."""
    found = {}
    for layer in layers:
        own = records[layer.name]
        parts = tuple(records.get(use.name) for use in _uses(layer))
        shared = isinstance(layer, SharedGradient)
        found[layer.name] = SharedRecord(own.inputs, own.gradients, parts) if shared else own
    return found


def _uses(layer: LayerGradient) -> tuple[LayerGradient, ...]:
    return layer.uses if isinstance(layer, SharedGradient) else (layer,)
