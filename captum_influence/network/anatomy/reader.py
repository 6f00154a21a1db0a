"""From what was seen in a pass to the parts of a transformer, and the proof that they are that."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from captum_influence.network.anatomy.parts import Attention, Block, Columns, Neurons, Stream
from captum_influence.network.anatomy.watching import Call, Mixing, Projection, Watch
from captum_influence.network.cuts import Cut

__all__ = ["Reader"]

_TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-6}  # of the norm; else that of half precision


@dataclass(frozen=True, eq=False)
class _Seen:
    """An attention, and when it ran."""

    attention: Attention
    at: int
    width: int


@dataclass(frozen=True, eq=False)
class Reader:
    """Reads the parts off a watched pass."""

    watch: Watch

    def streams(self) -> tuple[Stream, ...]:
        """Return the blocks, in the order in which they run, by what holds them.

        Raises:
            ValueError: if there is no attention, or one that can't be read.
        """
        if not self.watch.mixings:
            raise ValueError(
                "expected a transformer, got a network in whose pass no attention was seen (a "
                "softmax over positions, and a product with the values): name its layers yourself, "
                "as by Cut(layer)"
            )
        seen = [self._attention(mixing) for mixing in self.watch.mixings]
        self._check_once(seen)
        blocks = self._blocks(seen)
        held = groupby(blocks, lambda block: block.name.rpartition(".")[0])
        return tuple(self._stream(name, tuple(group)) for name, group in held)

    def _attention(self, mixing: Mixing) -> _Seen:
        """Return an attention whose heads add up to what its projection returns.

        Raises:
            ValueError: if nothing projects what they give, or they don't add up.
        """
        merged = mixing.mixed.transpose(-3, -2).flatten(-2)
        found = [p for p in self.watch.projections if p.at > mixing.at and _same(p.given, merged)]
        if not found:
            raise ValueError(
                f"expected that a projection reads what the heads of {mixing.name!r} give, side by "
                "side; there is none (a gate between? a product without a module?): name its "
                "layers yourself, as by Cut(layer)"
            )
        output, (heads, size) = found[0], (mixing.mixed.shape[-3], mixing.mixed.shape[-1])
        _check_sum(output, heads)
        windows = self._windows(mixing)
        sources = [self._columns(t, windows) for t in (mixing.query, mixing.key, mixing.value)]
        key = sources[1]
        attention = Attention(
            name=mixing.name,
            heads=heads,
            key_heads=heads if key is None else (key.stop - key.start) // size,
            size=size,
            output=output.name,
            query=sources[0],
            key=key,
            value=sources[2],
            windows=self._windows_at(output, windows),
        )
        return _Seen(attention, output.at, output.returned.shape[-1])

    def _windows(self, mixing: Mixing) -> int:
        """Return within how many windows of each example positions are mixed."""
        examples = len(self.watch.calls[-1].given[0])  # the network itself is the last to end
        rows = math.prod(mixing.mixed.shape[:-3])
        return rows // examples if rows % examples == 0 else 1

    def _windows_at(self, projection: Projection, windows: int) -> int:
        """Return how many rows each example has where a projection reads them."""
        call, examples = self._call(projection.name), len(self.watch.calls[-1].given[0])
        # A module may lay positions of all examples in one dimension; a function is given all.
        given = call.given[0] if call is not None and call.given else projection.given
        return windows if len(given) == windows * examples else 1

    def _columns(self, tensor: Tensor | None, windows: int) -> Columns | None:
        """Return which features of which module a tensor was made of; None if it isn't just one."""
        found = [] if tensor is None else list(self.watch.origins(tensor))
        if len(found) != 1:
            return None
        projection, part = found[0]
        every = projection.returned
        width = part.numel() * every.shape[-1] // every.numel()
        start = int(part.storage_offset() - every.storage_offset()) % every.shape[-1]
        columns = every[..., start : start + width]
        if not _equal_sorted(columns, part):
            return None  # they lie between others, as where each head has its own three
        rows = self._windows_at(projection, windows)
        return Columns(projection.name, start, start + width, rows)

    def _check_once(self, seen: Sequence[_Seen]) -> None:
        names = [one.attention.output for one in seen]
        often = sorted({name for name in names if names.count(name) > 1})
        if often:
            raise ValueError(
                f"expected blocks of their own modules, got {', '.join(often)} run several times: "
                "say which call is meant, as by Cut(layer, call=0)"
            )

    def _blocks(self, seen: Sequence[_Seen]) -> list[Block]:
        taken = {one.attention.output for one in seen}
        taken |= {
            columns.module
            for one in seen
            for columns in (one.attention.query, one.attention.key, one.attention.value)
            if columns is not None
        }
        held: dict[str, list[_Seen]] = {}
        for one in seen:
            held.setdefault(self._block_of(one, seen, taken), []).append(one)
        return [self._block(name, attentions, taken) for name, attentions in held.items()]

    def _block(self, name: str, seen: Sequence[_Seen], taken: set[str]) -> Block:
        neurons = self._neurons(name, seen[0].width, taken)
        call = self._call(name)
        attentions = tuple(one.attention for one in seen)
        return Block(name, attentions, neurons, seen[0].width, call is None or call.single)

    def _block_of(self, one: _Seen, seen: Sequence[_Seen], taken: set[str]) -> str:
        """Return the smallest module that holds an attention and a perceptron, and is no model."""
        holders = [one.attention.output]
        while "." in holders[-1]:
            holders.append(holders[-1].rpartition(".")[0])
        for name in holders[1:]:
            if self._call(name) is not None and self._neurons(name, one.width, taken) is not None:
                return name
        others = [s.attention.output for s in seen if s is not one]
        alone = [n for n in holders if not any(o.startswith(f"{n}.") for o in others)]
        called = [n for n in alone if self._call(n) is not None]
        return called[-1]  # no perceptron: the largest module with no other attention

    def _neurons(self, name: str, width: int, taken: set[str]) -> Neurons | None:
        """Return the perceptron inside a module: the last projection that writes to the stream."""
        inside = [
            p
            for p in self.watch.projections
            if p.name.startswith(f"{name}.") and p.name not in taken
        ]
        for last in reversed(inside):
            sources = [p.name for p, _ in self.watch.origins(last.given)]
            known = {p.name for p in inside} - {last.name}
            if last.returned.shape[-1] == width and sources and set(sources) <= known:
                inputs = tuple(dict.fromkeys(sources))
                return Neurons(last.given.shape[-1], last.name, inputs)
        return None

    def _stream(self, name: str, blocks: tuple[Block, ...]) -> Stream:
        return Stream(name, self._entering(blocks[0]), blocks)

    def _entering(self, block: Block) -> Cut:
        """Return the module whose output enters a block, or the block's own input."""
        call = self._call(block.name)
        if call is None:
            return Cut(block.name, "input")
        for other in reversed(self.watch.calls):
            ended = other.ended <= call.began and other.name != block.name
            if ended and other.single and other.returned[0] is call.given[0]:
                return Cut(other.name)
        return Cut(block.name, "input", select=0)

    def _call(self, name: str) -> Call | None:
        return next((call for call in self.watch.calls if call.name == name), None)


def _same(given: Tensor, merged: Tensor) -> bool:
    if given.shape[-1] != merged.shape[-1] or given.numel() != merged.numel():
        return False
    return torch.equal(given.reshape(-1), merged.reshape(-1))


def _equal_sorted(one: Tensor, other: Tensor) -> bool:
    return torch.equal(one.flatten().sort().values, other.flatten().sort().values)


def _check_sum(output: Projection, heads: int) -> None:
    """Prove that each head's slice times its rows of the weight add up to the projection."""
    given = torch.unflatten(output.given.double(), -1, (heads, -1))
    weight = torch.unflatten(output.weight.double(), 0, (heads, -1))
    parts = torch.einsum("...hd,hdc->...hc", given, weight)
    total = parts.sum(-2) + (0 if output.bias is None else output.bias.double())
    returned = output.returned.double()
    gap, size = float((total - returned).norm()), float(returned.norm())
    if gap > _TOLERANCE.get(output.returned.dtype, 1e-2) * size:
        raise ValueError(
            f"expected the heads before {output.name!r} to add up to what it returns, got a gap of "
            f"{gap / size:.1e} of its norm: name its layers yourself, as by Cut(layer)"
        )
