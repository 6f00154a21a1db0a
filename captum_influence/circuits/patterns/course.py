"""The nodes that a route may pass: in each block a head at a position, or the skip connection."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from captum_influence.network.anatomy.anatomy import Anatomy, arguments_of
from captum_influence.network.cuts import Cut
from captum_influence.network.interventions import intervene
from captum_influence.network.modes import with_graph, without_graph

__all__ = ["Course", "Level", "Passed"]

Change = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Level:
    """A block, as a route passes it.

    Attributes:
        name: of its module.
        heads: what its heads give, side by side, before they are projected.
        count: how many heads.
        end: what it hands on.
    """

    name: str
    heads: Cut
    count: int
    end: Cut

    def apart(self, heads: Tensor) -> Tensor:
        """Return what heads give, (..., heads, size of a head)."""
        return torch.unflatten(heads, -1, (self.count, -1))


@dataclass(frozen=True, eq=False)
class Passed:
    """What passed in a pass: activations, or slopes at them.

    Attributes:
        entry: (rows, positions, width) what entered the first block.
        heads: of each block, (rows, positions, heads · size of a head), side by side.
        ends: what each block handed on, (rows, positions, width).
        output: what the network answered.
    """

    entry: Tensor
    heads: tuple[Tensor, ...]
    ends: tuple[Tensor, ...]
    output: Any = None

    @staticmethod
    def of(tensors: Sequence[Tensor], output: Any = None) -> Passed:
        """Return what passed, in the order in which it did."""
        return Passed(tensors[0], tuple(tensors[1::2]), tuple(tensors[2::2]), output)

    @property
    def tensors(self) -> list[Tensor]:
        """All of it, in the order in which it passed."""
        pairs = zip(self.heads, self.ends, strict=True)
        return [self.entry, *(tensor for pair in pairs for tensor in pair)]


@dataclass(frozen=True, eq=False)
class Course:
    """A transformer, and where routes enter and pass it.

    Attributes:
        network: itself; nothing of it changes.
        entry: what the first block reads.
        levels: its blocks.
    """

    network: Module
    entry: Cut
    levels: tuple[Level, ...]

    @staticmethod
    def of(network: Module, inputs: Any) -> Course:
        """Find the blocks of a network.

        Raises:
            ValueError: if it has several streams, or blocks of several attentions.
        """
        streams = Anatomy.of(network, inputs).streams
        attentions = [len(block.attentions) for stream in streams for block in stream.blocks]
        if len(streams) != 1 or set(attentions) != {1}:
            raise ValueError(
                "expected one residual stream, and blocks of one attention each, got "
                f"{len(streams)} and up to {max(attentions)}: routes through an encoder with a "
                "decoder, or through towers, aren't told apart; name layers yourself, as by "
                "DistributionalInfluence(model, layer, through=[...])"
            )
        blocks = streams[0].blocks
        levels = (Level(b.name, b.attentions[0].cut, b.attentions[0].heads, b.cut) for b in blocks)
        return Course(network, Cut(blocks[0].name, "input", select=0), tuple(levels))

    def run(self, inputs: Any, changes: Mapping[Cut, Change], *, graph: bool = False) -> Any:
        """Return what the network answers as activations at cuts are changed."""
        given, keywords = arguments_of(inputs)
        with ExitStack() as stack:
            for cut, change in changes.items():
                stack.enter_context(intervene(self.network, cut, change))
            stack.enter_context(with_graph() if graph else without_graph())
            return self.network(*given, **keywords)

    def passed(self, inputs: Any, entry: Tensor | None = None, *, graph: bool = False) -> Passed:
        """Run once and return what passed.

        Args:
            inputs: of the network.
            entry: what the first block reads in place of what it is given.
            graph: whether slopes by what passed can be asked for.
        """
        read: dict[Cut, Tensor] = {}

        def keep(cut: Cut, z: Tensor) -> Tensor:
            read[cut] = entry if entry is not None and cut is self.entry else z
            return read[cut]

        cuts = [self.entry, *(cut for level in self.levels for cut in (level.heads, level.end))]
        output = self.run(inputs, {cut: partial(keep, cut) for cut in cuts}, graph=graph)
        return Passed.of([read[cut] for cut in cuts], output)
