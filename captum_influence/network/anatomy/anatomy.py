"""What a transformer is made of, found by one pass and not by names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn import Module

from captum_influence.network.anatomy.made_up import made_up_inputs
from captum_influence.network.anatomy.parts import Attention, Block, Neurons, Stream
from captum_influence.network.anatomy.reader import Reader
from captum_influence.network.anatomy.watching import watched
from captum_influence.network.cuts import Cut, unwrapped
from captum_influence.network.modes import without_graph
from captum_influence.network.passes.holding import held
from captum_influence.network.recording import quiet

__all__ = ["Anatomy", "Inputs", "arguments_of"]

Inputs = Tensor | tuple[Any, ...] | Mapping[str, Any] | None


@dataclass(frozen=True, eq=False)
class Anatomy:
    """The embedding, blocks, attentions and neurons of a transformer, by the names of its modules.

    They are found by what happens in one pass: where a softmax mixes positions, what projects the
    result, what it was made of. The pass proves them: the heads' slices, each times its part of the
    projection, add up to what the attention returns.

    Attributes:
        streams: the blocks, by the residual stream they lie on: encoder and decoder, text and
            pictures.

    Example:
        >>> from torch import nn
        >>> layer = nn.TransformerEncoderLayer(8, nhead=2, dim_feedforward=16, batch_first=True)
        >>> anatomy = Anatomy.of(nn.TransformerEncoder(layer, 2))
        >>> print(anatomy)
        layers, from its input
          layers.0: 2 heads of 4 at layers.0.self_attn.out_proj, 16 neurons at layers.0.linear2
          layers.1: 2 heads of 4 at layers.1.self_attn.out_proj, 16 neurons at layers.1.linear2
    """

    streams: tuple[Stream, ...]

    @staticmethod
    def of(model: Module, inputs: Inputs = None) -> Anatomy:
        """Find the parts of a network.

        Args:
            model: the network; nothing of it changes.
            inputs: an input that it takes: a tensor, a tuple, or a mapping for its keywords; None:
                one is made up of what its first modules take.

        Raises:
            ValueError: if there is no attention, one can't be read, or modules run several times.
        """
        network = unwrapped(model)
        if not isinstance(network, Module):
            raise TypeError(f"expected a torch.nn.Module, got {type(network).__name__}")
        with held(tuple(network.modules())), quiet(network):
            given, keywords = arguments_of(made_up_inputs(network) if inputs is None else inputs)
            with watched(network) as watch:
                network(*given, **keywords)
            with without_graph():
                return Anatomy(Reader(watch).streams())

    @property
    def embedding(self) -> Cut:
        """What enters the first block."""
        return self.streams[0].embedding

    @property
    def blocks(self) -> tuple[Block, ...]:
        """All blocks, in the order in which they run."""
        return tuple(block for stream in self.streams for block in stream.blocks)

    @property
    def attentions(self) -> tuple[Attention, ...]:
        """All attentions."""
        return tuple(attention for block in self.blocks for attention in block.attentions)

    @property
    def neurons(self) -> tuple[Neurons, ...]:
        """The hidden layers of all perceptrons."""
        return tuple(block.neurons for block in self.blocks if block.neurons is not None)

    @property
    def writers(self) -> tuple[Cut, ...]:
        """What is added to the residual streams, in order."""
        return tuple(cut for stream in self.streams for cut in stream.writers())

    @property
    def readers(self) -> tuple[Cut, ...]:
        """Where the residual streams are read, each as a branch."""
        return tuple(cut for stream in self.streams for cut in stream.readers())

    def __str__(self) -> str:
        """Say it in lines, a block each."""
        lines = []
        for stream in self.streams:
            entry = stream.embedding
            begin = "its input" if entry.side == "input" else str(entry.module)
            lines.append(f"{stream.name or 'the network'}, from {begin}")
            lines += [f"  {block.name}: {', '.join(_in_words(block))}" for block in stream.blocks]
        return "\n".join(lines)


def _in_words(block: Block) -> list[str]:
    words = []
    for one in block.attentions:
        shared = "" if one.key_heads == one.heads else f", {one.key_heads} of keys,"
        within = "" if one.windows == 1 else f" in {one.windows} windows"
        words.append(f"{one.heads} heads of {one.size}{shared}{within} at {one.output}")
    if block.neurons is not None:
        words.append(f"{block.neurons.count} neurons at {block.neurons.output}")
    return words


def arguments_of(inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return an input as what is given by position and by keyword."""
    if isinstance(inputs, Mapping):
        return (), dict(inputs)
    return (tuple(inputs) if isinstance(inputs, tuple) else (inputs,)), {}
