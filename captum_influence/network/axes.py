"""Which dimension of a layer counts its channels: what the nearest module says that knows it.

PyTorch calls every function of a pass through a mode, which notes how the dimensions of what comes
out are those of what went in, and where convolutions, norms and linear layers have channels. From
a layer, the nearest of these is looked for, before it and behind it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from captum_influence.network.cuts import Cut, tensors_in
from captum_influence.network.dimensions import Dimensions, channels_by, followed
from captum_influence.network.passes.holding import noted
from captum_influence.network.reading import one_tensor
from captum_influence.network.slices import Slice

__all__ = ["Layouts", "channel_of", "laid_out"]

_COPYING = frozenset({"clone", "detach", "contiguous", "requires_grad_", "__deepcopy__"})
Found = tuple[int, Dimensions]
"""A tensor by its number, and for each dimension of another one which of its own that is."""


def channel_of(model: nn.Module, cut: Cut, inputs: Tensor) -> int | None:
    """Return which dimension at a cut counts channels, the examples' being 0; None: nobody knows.

    The network runs once, on the first example where it takes one alone.

    Raises:
        ValueError: if the nearest modules that know it disagree.
    """
    try:
        return _channel_of(model, cut, inputs[:1])
    except RuntimeError:
        if len(inputs) == 1:
            raise
    return _channel_of(model, cut, inputs)  # it takes batches of one size


def _channel_of(model: nn.Module, cut: Cut, inputs: Tensor) -> int | None:
    slice_, layouts = Slice(model, [cut]), Layouts()
    with slice_.opened():
        admitted = slice_.admitted(inputs)
        with layouts:
            reading = slice_.read((admitted,), (), cuts=slice_.cuts)
    found = one_tensor(reading.cuts[0], cut)
    return layouts.channel(found, str(cut)) if cut.basis is None else cut.basis.channel(found.ndim)


@contextmanager
def laid_out(model: nn.Module) -> Iterator[Layouts]:
    """Within the block, watch the first pass through a network: it may be asked as it goes on."""
    layouts, entered, thread = Layouts(), list[bool](), threading.get_ident()

    def begin(module: nn.Module, args: Any) -> None:
        if not entered and threading.get_ident() == thread:
            entered.append(True)
            layouts.__enter__()  # type: ignore[no-untyped-call]

    def end(module: nn.Module, args: Any, output: Any) -> None:
        if entered == [True] and threading.get_ident() == thread:
            entered.append(False)
            layouts.__exit__(None, None, None)  # type: ignore[no-untyped-call]

    handles = (
        model.register_forward_pre_hook(begin, prepend=True),
        model.register_forward_hook(end, always_call=True),
    )
    with noted(handles[0].remove), noted(handles[1].remove):
        yield layouts


class Layouts(TorchFunctionMode):
    """How tensors of a pass lie to one another, and what is known of their channels.

    Tensors are known by numbers, so that none is kept for longer than the pass does.
    """

    def __init__(self) -> None:
        super().__init__()
        self._numbers: Any = WeakTensorKeyDictionary()
        self._next = count()
        self._sources: dict[int, list[Found]] = {}
        self._results: dict[int, list[Found]] = {}
        # Where the function that made a tensor has channels, and where those that read it have.
        self._made: dict[int, set[int]] = {}
        self._read: dict[int, set[int]] = {}

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        sources = [t for t in tensors_in([*args, *given.values()]) if t.ndim > 1]
        # Before it runs: in place, it may leave them with another shape.
        shapes = [tuple(source.shape) for source in sources]
        result = func(*args, **given)
        name = getattr(func, "__name__", "")
        name = getattr(func.__self__, "__name__", "") if name == "__get__" else name
        for tensor in tensors_in(result) if sources or name == "embedding" else []:
            if tensor.ndim > 1 and tensor.is_floating_point():
                self._note(name, sources, shapes, tensor, args, given)
        return result

    def _note(
        self,
        name: str,
        sources: list[Tensor],
        shapes: list[tuple[int, ...]],
        result: Tensor,
        args: Any,
        given: Any,
    ) -> None:
        if name in _COPYING and sources:
            self._numbers[result] = self._number(sources[0])  # what reads one, reads the other
            return
        number, shape = self._number(result), tuple(result.shape)
        where = channels_by(name, args, given)
        if where is not None:
            self._made[number] = {where % len(shape)}
            if sources and sources[0] is not result:
                self._read.setdefault(self._number(sources[0]), set()).add(where % len(shapes[0]))
        for source, before in zip(sources, shapes, strict=True):
            if source is not result:
                there = followed(name, before, shape, args, given)
                if any(d is not None for d in there):
                    self._join(self._number(source), number, there, len(shape))

    def _join(self, source: int, result: int, there: Dimensions, size: int) -> None:
        back = tuple(there.index(d) if d in there else None for d in range(size))
        self._results.setdefault(source, []).append((result, there))
        self._sources.setdefault(result, []).append((source, back))

    def _number(self, tensor: Tensor) -> int:
        if tensor not in self._numbers:
            self._numbers[tensor] = next(self._next)  # not their count: some are gone
        return int(self._numbers[tensor])

    def channel(self, tensor: Tensor, place: str) -> int | None:
        """Return which dimension of a tensor of the pass counts channels; None: nobody knows.

        Who made it goes before who reads it: a linear layer that reads a transposed tensor mixes
        its tokens. A reader that takes it as it lies counts where it is as near as its maker.

        Raises:
            ValueError: if those who are equally near disagree, naming ``place``.
        """
        if tensor not in self._numbers:
            return None
        start, shape = (self._numbers[tensor], _as_it_lies(tensor.ndim)), tuple(tensor.shape)
        made, steps = self._nearest(start, self._sources, self._made)
        read, further = self._nearest(start, self._results, self._read)
        if not made:
            return _agreed(read, place, shape) if read else None
        straight, further = self._nearest(start, self._results, self._read, straight=True)
        if straight and further < steps:  # a reader is one step further than it seems
            return _agreed(made & straight or made | straight, place, shape)
        return _agreed(made, place, shape)

    def _nearest(
        self,
        start: Found,
        edges: Mapping[int, list[Found]],
        known: Mapping[int, set[int]],
        *,
        straight: bool = False,
    ) -> tuple[set[int], int]:
        """Return what the nearest who know say, and how many functions away they are.

        Args:
            start: whose channels are asked for.
            edges: from each tensor to its neighbours.
            known: where they have channels.
            straight: go only where all dimensions stay as they are.
        """
        here, seen, steps = [start], {start[0]}, 0
        while here:
            said = {
                lies.index(d) for number, lies in here for d in known.get(number, ()) if d in lies
            }
            if said - {0}:
                return said - {0}, steps
            here, steps = list(_beside(here, edges, seen, straight)), steps + 1
        return set(), steps


def _as_it_lies(size: int) -> Dimensions:
    return tuple(range(size))


def _beside(
    here: list[Found], edges: Mapping[int, list[Found]], seen: set[int], straight: bool
) -> Iterator[Found]:
    """Yield the tensors that are one function away from these."""
    for number, lies in here:
        for other, there in edges.get(number, ()):
            moved = tuple(None if d is None else there[d] for d in lies)
            if other not in seen and not (straight and moved != _as_it_lies(len(lies))):
                seen.add(other)
                yield other, moved


def _agreed(said: set[int], place: str, shape: tuple[int, ...]) -> int:
    listed = sorted(said)
    if len(listed) == 1:
        return listed[0]
    inner = ", ".join(map(str, shape[1:]))
    raise ValueError(
        f"expected to find where the channels of the {place} are, of shape (examples, {inner}), "
        f"but the modules nearest to it have them along dimensions {listed}: say it, as by "
        f"axis={listed[0]} or axis={listed[-1]}"
    )
