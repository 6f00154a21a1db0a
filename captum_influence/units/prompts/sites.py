"""Where the units of a prompt are: tokens at the embedding, heads and neurons of every block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from captum_influence.network.anatomy.anatomy import Anatomy
from captum_influence.network.anatomy.parts import Stream
from captum_influence.network.cuts import Cut
from captum_influence.units.axes import Axis

__all__ = ["Kind", "Site", "Sites"]

Kind = Literal["token", "head", "neuron"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Site:
    """A place in the network and its units.

    Attributes:
        kind: what a unit there is.
        layer: the name of the block, or ``"embedding"``.
        cut: where, (examples, positions, features).
        axis: what tells the units apart.
        output: the module that writes them to the stream; None: they are in it.
    """

    kind: Kind
    layer: str
    cut: Cut
    axis: Axis
    output: str | None = None

    @property
    def count(self) -> int:
        """How many units there are."""
        return self.axis.sizes[0]

    def pooled(self, values: Tensor) -> Tensor:
        """Return what each unit has of (1, positions, features): (units,)."""
        return self.axis.pool(values)[0]

    def position(self, values: Tensor, unit: int) -> int:
        """Return where a unit has most, with either sign, of (1, positions, features)."""
        own = torch.zeros(1, self.count, dtype=torch.bool)
        own[0, unit] = True
        entries = torch.where(self.axis.spread(own).to(values.device), values, 0)[0]
        return int(entries.sum(dim=-1).abs().argmax())


@dataclass(frozen=True, eq=False, kw_only=True)
class Sites:
    """All sites of a network for a prompt.

    Attributes:
        stream: the embedding and every block's output, whose units are tokens.
        heads: those of every attention.
        neurons: those of every perceptron.
    """

    stream: tuple[Site, ...]
    heads: tuple[Site, ...]
    neurons: tuple[Site, ...]

    @staticmethod
    def of(network: nn.Module, given: object, positions: int) -> Sites:
        """Find them.

        Raises:
            ValueError: if there is no attention, or several residual streams.
        """
        anatomy = Anatomy.of(network, given)  # type: ignore[arg-type]  # a mapping or a tensor
        if len(anatomy.streams) != 1:
            raise ValueError(
                "expected a network of one residual stream, as GPT-2, Llama or BERT, got "
                f"{len(anatomy.streams)} (encoder and decoder, text and pictures): explain its "
                "parts by Anatomy.of(model, inputs) and DistributionalInfluence"
            )
        return _of_stream(anatomy.streams[0], positions)

    @property
    def all(self) -> tuple[Site, ...]:
        """Every site, the stream's first."""
        return (*self.stream, *self.heads, *self.neurons)

    def of_kind(self, kind: Kind) -> Sequence[Site]:
        """Return the sites whose units are shown: tokens at the embedding only."""
        return {"token": self.stream[:1], "head": self.heads, "neuron": self.neurons}[kind]


def _of_stream(stream: Stream, positions: int) -> Sites:
    named = [("embedding", stream.embedding), *((b.name, b.cut) for b in stream.blocks)]
    width = stream.blocks[0].width
    tokens = Axis("token", (positions, width), (0,))
    heads, neurons = [], []
    for block in stream.blocks:
        for one in block.attentions:
            axis = Axis.ensure("head", (positions, one.heads * one.size), one.heads)
            site = Site(kind="head", layer=block.name, cut=one.cut, axis=axis, output=one.output)
            heads.append(site)
        if (own := block.neurons) is not None:
            axis = Axis("neuron", (positions, own.count), (1,))
            site = Site(kind="neuron", layer=block.name, cut=own.cut, axis=axis, output=own.output)
            neurons.append(site)
    return Sites(
        stream=tuple(Site(kind="token", layer=n, cut=c, axis=tokens) for n, c in named),
        heads=tuple(heads),
        neurons=tuple(neurons),
    )
