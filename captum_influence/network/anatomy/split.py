"""A transformer whose readers of the residual stream stand apart: one for each head and purpose.

A copy is changed, which shares all parameters with the network; the network itself isn't touched.
What blocks write is added to the stream, so what a reader gets is a sum over those who wrote before
it, and any term of the sum can be another for this reader alone.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import Module, Parameter

from captum_influence.network.anatomy.anatomy import Inputs, arguments_of
from captum_influence.network.anatomy.board import Apart, Board, Weight
from captum_influence.network.anatomy.parts import Attention, Block, Columns, Stream
from captum_influence.network.anatomy.reader import Reader
from captum_influence.network.anatomy.watching import Call, Watch, watched
from captum_influence.network.cuts import Cut, unwrapped
from captum_influence.network.modes import without_graph
from captum_influence.network.passes.holding import held
from captum_influence.network.recording import quiet

__all__ = ["ReaderOf", "Split"]

_PURPOSES = ("q", "k", "v")


@dataclass(frozen=True, eq=False)
class ReaderOf:
    """Who reads the stream.

    Attributes:
        name: ``"a1.h0<q>"``, ``"m1"`` or ``"logits"``.
        cut: where, in the copy: the input side of its own branch.
        before: how many writers have written until then.
    """

    name: str
    cut: Cut
    before: int


@dataclass(frozen=True, eq=False)
class Split:
    """The copy, its writers and its readers.

    Attributes:
        network: the copy; it takes and returns what the network does.
        stream: the blocks.
        writers: ``"input"``, ``"a0.h0"``, ..., ``"m0"``, ...: in the order in which they write.
        readers: likewise; ``"logits"`` last.
        board: what the copy's modules share.
    """

    network: Module
    stream: Stream
    writers: tuple[str, ...]
    readers: tuple[ReaderOf, ...]
    board: Board

    @staticmethod
    def of(model: Module, inputs: Inputs) -> Split:
        """Return the copy of a network.

        Args:
            model: the network; nothing of it changes.
            inputs: an input that it takes.

        Raises:
            ValueError: if it has several streams, or what is written doesn't add up to what is
                read: norms or scales between (as in BERT), windows.
        """
        network = cast(Module, unwrapped(model))
        given, keywords = arguments_of(inputs)
        with held(tuple(network.modules())), quiet(network), watched(network) as watch:
            network(*given, **keywords)
        with without_graph():
            return _Splitter.of(network, watch).split()

    @property
    def before(self) -> Tensor:
        """Which writers each reader can hear: bool (readers, writers)."""
        places = torch.arange(len(self.writers))
        return torch.stack([places < reader.before for reader in self.readers])

    def written(self, inputs: Inputs) -> Tensor:
        """Return what each writer adds, (writers, examples, positions, width)."""
        with self._running(noting=True):
            self.run(inputs)
            return torch.stack(self.board.kept)

    def run(self, inputs: Inputs) -> Any:
        """Return what the copy answers."""
        given, keywords = arguments_of(inputs)
        with torch.no_grad():
            return self.network(*given, **keywords)

    @contextmanager
    def without(self, absent: Tensor, others: Tensor) -> Iterator[None]:
        """Let readers hear others in the place of some writers.

        Args:
            absent: bool (readers, writers), whom each reader doesn't hear; or (examples, readers,
                writers), for each example by itself.
            others: (writers, examples, positions, width), what it hears in their place.
        """
        with self._running(absent=absent, others=others):
            yield

    @contextmanager
    def _running(self, **changed: Any) -> Iterator[None]:
        before = {name: getattr(self.board, name) for name in changed}
        vars(self.board).update(changed)
        try:
            yield
        finally:
            vars(self.board).update(before)
            self.board.begin()


class _Splitter:
    """Changes a copy, block after block, and checks that it reads what has been written."""

    def __init__(self, network: Module, watch: Watch, stream: Stream) -> None:
        shared = [*network.parameters(), *network.buffers()]
        self.network = copy.deepcopy(network, {id(tensor): tensor for tensor in shared})
        self.modules = dict(self.network.named_modules())
        self.watch, self.stream, self.board = watch, stream, Board()
        self.writers: list[str] = []
        self.readers: list[tuple[str, Module, int]] = []  # its name, its module in the copy, before
        self.sums: list[Tensor] = []  # the stream, when so many have written
        self.projections = {p.name: p for p in watch.projections}

    @staticmethod
    def of(network: Module, watch: Watch) -> _Splitter:
        """Return what splits the one stream of a network."""
        streams = Reader(watch).streams()
        if len(streams) != 1:
            names = [stream.name for stream in streams]
            raise ValueError(
                f"expected one residual stream, got {len(streams)} ({', '.join(names)}): circuits "
                "of an encoder with a decoder, of towers or of stages aren't read"
            )
        return _Splitter(network, watch, streams[0])

    def split(self) -> Split:
        """Change the copy."""
        first = self._call(self.stream.blocks[0].name)
        self.writers, self.sums = ["input"], [first.given[0]]
        self.modules[first.name].register_forward_pre_hook(self._begin, with_kwargs=True)
        for number, block in enumerate(self.stream.blocks):
            self._block(number, block)
        self._end()
        readers = [ReaderOf(name, Cut(m, "input"), before) for name, m, before in self.readers]
        return Split(self.network, self.stream, tuple(self.writers), tuple(readers), self.board)

    def _block(self, number: int, block: Block) -> None:
        for attention in block.attentions:
            self._attention(number, attention)
        if block.neurons is not None:
            entry, stream = self._entering(list(block.neurons.inputs))
            self._reader(f"m{number}", entry, stream)
            self._note(block.neurons.output)
            self._wrote([f"m{number}"], block.neurons.output)

    def _attention(self, number: int, attention: Attention) -> None:
        sources = [attention.query, attention.key, attention.value]
        if any(source is None for source in sources):
            raise ValueError(
                f"expected modules that compute queries, keys and values of {attention.name!r}, "
                "got none for some of them (torch's own attention, interleaved heads): its heads "
                "can't be told apart as readers"
            )
        columns = cast(list[Columns], sources)
        groups = [
            (f"a{number}.h{head}<{purpose}>", source.module, start, start + attention.size)
            for purpose, source in zip(_PURPOSES, columns, strict=True)
            for head, start in enumerate(range(source.start, source.stop, attention.size))
        ]
        for name in dict.fromkeys(source.module for source in columns):
            own = [(n, slice(a, b)) for n, module, a, b in groups if module == name]
            self._apart(name, own)
        self._heads(attention)
        heads = [f"a{number}.h{head}" for head in range(attention.heads)]
        self._wrote(heads, attention.output)

    def _apart(self, name: str, groups: list[tuple[str, slice]]) -> None:
        """Put readers in the place of a projection."""
        seen = self.projections[name]
        entry, stream = self._entering([name])
        before = self._before(stream, groups[0][0])
        covered = [i for _, columns in groups for i in range(columns.start, columns.stop)]
        all_of_it = covered == list(range(seen.returned.shape[-1]))
        bias = seen.bias
        if not all_of_it or not isinstance(bias, Parameter | None):
            raise ValueError(f"expected {name!r} to compute queries, keys and values and no more")
        norm = None if entry == name else self.modules[entry]
        if norm is not None:
            norm.register_forward_pre_hook(self._enter(entry))
        apart = Apart(
            self.modules[name],
            self.board,
            Weight(seen.parameter, bias, seen.linear),
            norm,
            entry,
            [columns for _, columns in groups],
            len(self.readers),
            before,
        )
        self._put(name, apart)
        names = [reader for reader, _ in groups]
        pairs = zip(names, apart.readings, strict=True)
        self.readers += [(reader, reading, before) for reader, reading in pairs]

    def _reader(self, name: str, entry: str, stream: Tensor) -> None:
        """Let a module read the stream as a reader of its own."""
        number, before = len(self.readers), self._before(stream, name)

        def shift(module: Module, args: tuple[Any, ...]) -> Any:
            shifts = self.board.shifts(slice(number, number + 1), before)
            return None if shifts is None else (args[0] + shifts[0], *args[1:])

        self.modules[entry].register_forward_pre_hook(shift)
        self.readers.append((name, self.modules[entry], before))

    def _end(self) -> None:
        """Find what reads the whole stream behind the blocks."""
        ended = self._call(self.stream.blocks[-1].name).ended
        behind = [c for c in self.watch.calls if c.began >= ended and c.given]
        for call in sorted(behind, key=lambda call: (call.began, call.ended)):
            if _close(call.given[0], self.sums[-1]):
                self._reader("logits", call.name, call.given[0])
                return
        raise ValueError(
            "expected a module behind the last block that reads the whole stream, as a norm does, "
            "got none"
        )

    def _entering(self, names: list[str]) -> tuple[str, Tensor]:
        """Return the module through which projections read the stream, and the stream."""
        given = self._call(names[0]).given[0]
        if len(names) == 1 and any(_close(total, given) for total in self.sums):
            return names[0], given  # the stream itself, which a block may have returned
        norms = [c for c in self.watch.calls if c.single and c.returned[0] is given and c.given]
        if not norms or any(self._call(name).given[0] is not given for name in names):
            raise ValueError(
                f"expected one norm before {', '.join(names)}, got none: say which layers are "
                "meant, as by Cut(layer)"
            )
        return norms[0].name, norms[0].given[0]

    def _before(self, stream: Tensor, reader: str) -> int:
        """Return how many have written to a stream.

        Raises:
            ValueError: if it isn't the sum of what has been written.
        """
        for count in range(len(self.sums), 0, -1):
            if self.sums[count - 1] is not None and _close(self.sums[count - 1], stream):
                return count
        raise ValueError(
            f"expected {reader} to read the sum of what has been written before, got another "
            "tensor: norms or scales between, as in BERT, aren't read"
        )

    def _wrote(self, names: list[str], output: str) -> None:
        self.writers += names
        # GPT-2 projects examples and positions in one dimension.
        total = self.sums[-1] + self.projections[output].returned.view_as(self.sums[-1])
        self.sums += [total] * len(names)

    # What the copy does

    def _begin(self, module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.board.begin()
        if self.board.asks:
            self.board.kept.append(args[0] if args else next(iter(kwargs.values())))

    def _enter(self, name: str) -> Any:
        # What the network itself gives the norm comes first; readers call it again, for themselves.
        def enter(module: Module, args: tuple[Any, ...]) -> None:
            self.board.streams.setdefault(name, args[0])

        return enter

    def _note(self, name: str) -> None:
        def note(module: Module, args: Any, output: Tensor) -> None:
            if self.board.asks:
                self.board.kept.append(output)

        self.modules[name].register_forward_hook(note)

    def _heads(self, attention: Attention) -> None:
        seen = self.projections[attention.output]

        def note(module: Module, args: tuple[Tensor, ...]) -> None:
            if self.board.asks:
                given = torch.unflatten(args[0], -1, (attention.heads, -1))
                weight = torch.unflatten(seen.weight, 0, (attention.heads, -1))
                self.board.kept += list(torch.einsum("...hd,hdc->h...c", given, weight))

        self.modules[attention.output].register_forward_pre_hook(note)

    def _put(self, name: str, module: Module) -> None:
        holder, _, own = name.rpartition(".")
        setattr(self.modules[holder], own, module)

    def _call(self, name: str) -> Call:
        return next(call for call in self.watch.calls if call.name == name)


def _close(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape:
        return False
    return float((one - other).norm()) <= 1e-4 * float(one.norm())
