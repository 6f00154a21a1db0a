"""The parts of a transformer, each by the names of the modules that it is made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from captum_influence.network.cuts import Cut

__all__ = ["Attention", "Block", "Columns", "Neurons", "Stream"]


@dataclass(frozen=True)
class Columns:
    """Some of the features that a module returns: ``output[..., start:stop]``.

    Attributes:
        module: its name.
        start, stop: which.
        windows: how many rows each example has there.
    """

    module: str
    start: int
    stop: int
    windows: int = 1

    @property
    def cut(self) -> Cut:
        """Where the module's output passes, all of its features."""
        return Cut(self.module, windows=self.windows)


@dataclass(frozen=True)
class Attention:
    """An attention: what each head gives goes through one projection, and these add up.

    Attributes:
        name: of the module that mixes positions.
        heads: how many; they lie side by side in what the projection reads.
        key_heads: how many heads of keys and values there are, each of which several may share.
        size: features of a head.
        output: the projection, a module.
        query, key, value: where they come from; None where no module's output is just them.
        windows: within how many windows of each example it mixes positions, as Swin does; the
            count is that of the size of input that was watched.
    """

    name: str
    heads: int
    key_heads: int
    size: int
    output: str
    query: Columns | None
    key: Columns | None
    value: Columns | None
    windows: int = 1

    @property
    def cut(self) -> Cut:
        """What the heads give, before the projection: (examples, positions, heads · size).

        Of several windows it is (examples, windows, positions of a window, heads · size).
        """
        return Cut(self.output, "input", windows=self.windows)

    @property
    def written(self) -> Cut:
        """What the projection returns, which is added to the stream."""
        return Cut(self.output, windows=self.windows)

    @property
    def read(self) -> tuple[Cut, ...]:
        """Where the stream is read for it, each as a branch."""
        found = [c for c in (self.query, self.key, self.value) if c is not None]
        if not found:
            return (Cut(self.name, "input", windows=self.windows),)
        names = {columns.module: columns.windows for columns in found}
        return tuple(Cut(name, "input", windows=windows) for name, windows in names.items())


@dataclass(frozen=True)
class Neurons:
    """The hidden layer of a block's perceptron.

    Attributes:
        count: how many neurons.
        output: the module that reads them.
        inputs: the modules that they are computed from, several where one gates another.
    """

    count: int
    output: str
    inputs: tuple[str, ...]

    @property
    def cut(self) -> Cut:
        """Their activations: (examples, positions, count)."""
        return Cut(self.output, "input")


@dataclass(frozen=True)
class Block:
    """A block: one or more attentions and a perceptron.

    Attributes:
        name: of the module.
        attentions: in the order in which they run: of a decoder, to itself and to the encoder.
        neurons: of its perceptron; None if it has none.
        width: features of a position.
        single: whether it returns a tensor, not a tuple that begins with it.
    """

    name: str
    attentions: tuple[Attention, ...]
    neurons: Neurons | None
    width: int
    single: bool = True

    @property
    def cut(self) -> Cut:
        """What it hands on: (examples, positions, width)."""
        return Cut(self.name) if self.single else Cut(self.name, select=0)


@dataclass(frozen=True, eq=False)
class Stream:
    """Blocks that follow one another on one residual stream.

    Attributes:
        name: of what holds the blocks.
        embedding: what enters the first of them.
        blocks: in the order in which they run.
    """

    name: str
    embedding: Cut
    blocks: tuple[Block, ...]

    def writers(self) -> Iterator[Cut]:
        """Yield what is added to the stream, in order: the embedding, attentions, perceptrons."""
        yield self.embedding
        for block in self.blocks:
            yield from (attention.written for attention in block.attentions)
            if block.neurons is not None:
                yield Cut(block.neurons.output)

    def readers(self) -> Iterator[Cut]:
        """Yield where it is read, in order, each as a branch: others go on with what was there."""
        for block in self.blocks:
            for attention in block.attentions:
                yield from attention.read
            if block.neurons is not None:
                yield from (Cut(name, "input") for name in block.neurons.inputs)
