"""Slices: a network cut open; the only place that hooks into it.

Everything that changes a user's model or the state of autograd (hooks, grad mode, frozen
parameters) happens here, inside a ``with`` block, and is undone when the block ends.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge
from torch.nn import Module

from captum_influence.network.compiled import compiled_regions
from captum_influence.network.cuts import Cut, Forward, Tensors, tensors_in, unwrapped
from captum_influence.network.hooks import Fill, Mark, Measured, Overwrite, Read, Root, Visit
from captum_influence.network.replay import Prefix, Recorder

__all__ = ["Reading", "Sizes", "Slice", "Trace", "plain"]


@dataclass(frozen=True, eq=False)
class Reading:
    """What a plain pass saw: the tensors at each cut and the output at ``measure_at``."""

    cuts: tuple[Tensors, ...]
    output: Any


@dataclass(frozen=True, eq=False)
class Trace:
    """What a pass with a graph saw: an edge per tensor per cut, and the output to differentiate."""

    edges: tuple[tuple[GradientEdge, ...], ...]
    like: tuple[Tensors, ...]
    output: Any


@dataclass(frozen=True)
class Sizes:
    """Bytes that modules return for one row.

    Attributes:
        anywhere: the largest tensor.
        behind_cuts: the largest behind the first cut.
        kept: all behind the first cut, which the graph may keep.
    """

    anywhere: int
    behind_cuts: int
    kept: int


class Slice:
    """A network cut at the attributed layers, and where points enter and the quantity is read.

    Args:
        forward_func: the network, or a function that runs it.
        cuts: where it is attributed.
        sample_at: where points enter; None: at the inputs.
        measure_at: what the quantity reads; None: what ``forward_func`` returns.
        differentiable: keep the graph from the inputs to the result, for ``create_graph``.
        compile_mode: of ``torch.compile``, for the regions that hold no cut; None: don't.
        compiled: keeps what has been compiled before.
    """

    def __init__(
        self,
        forward_func: Forward,
        cuts: Sequence[Cut],
        *,
        sample_at: Cut | None = None,
        measure_at: Cut | None = None,
        differentiable: bool = False,
        compile_mode: str | None = None,
        compiled: dict[Module, Callable[..., Any]] | None = None,
    ) -> None:
        self._compile_mode = compile_mode
        self._compiled = {} if compiled is None else compiled
        self._forward = unwrapped(forward_func)
        self.cuts = tuple(cut.within(self._forward) for cut in cuts)
        self.sample_at = None if sample_at is None else sample_at.within(self._forward)
        self.measure_at = None if measure_at is None else measure_at.within(self._forward)
        self.differentiable = differentiable
        self._verified = False
        self._prefixes: list[Prefix] = []
        self._count = 0
        self._hidden: Counter[Module] = Counter()
        _check_batch_independent(self._forward)

    def admitted(self, x: Tensor) -> Tensor:
        """Return an input without a history, unless the result shall be differentiable."""
        x = x.clone() if x.is_inference() else x
        return x if self.differentiable else x.detach()

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Hold the network for this thread, its parameters frozen and compiled parts eager."""
        with ExitStack() as stack:
            stack.enter_context(_held(self._forward))
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(plain())
            if not self.differentiable:
                stack.enter_context(_frozen(self._forward))
            yield

    def read(
        self,
        inputs: Tensors,
        extra: tuple[Any, ...],
        *,
        cuts: Sequence[Cut] = (),
        overwrite: Mapping[Cut, Tensors] | None = None,
        examples: Tensor | None = None,
        cuts_only: bool = False,
    ) -> Reading:
        """Run without a graph and return copies of what passes the cuts, and the output.

        ``examples`` tells which of the recorded examples the rows belong to, so that what runs
        before the points enter is replayed. ``cuts_only``: the output isn't needed.
        """
        overwriters = [Overwrite(cut, new) for cut, new in (overwrite or {}).items()]
        readers = [Read(cut, stop=cuts_only and len(cuts) == 1) for cut in cuts]
        with torch.set_grad_enabled(self.differentiable), self._replayed(examples):
            output = self._run(inputs, extra, [*overwriters, *readers], stop=False)
        return Reading(tuple(reader.found for reader in readers), output)

    def record(
        self, inputs: Tensors, extra: tuple[Any, ...], *, cuts: Sequence[Cut] = ()
    ) -> Reading:
        """Read ``sample_at`` and the cuts, and remember what ran before the points enter.

        Consecutive calls record consecutive examples. Nothing is remembered where a replay isn't
        possible or, tried once, didn't lead to the same output.
        """
        sample_at = cast(Cut, self.sample_at)
        if not self._can_replay():
            return self.read(inputs, extra, cuts=[sample_at, *cuts])
        recorder = Recorder(cast(Module, self._forward))
        mark = Mark(sample_at, recorder.stop)
        readers = [Read(cut) for cut in (sample_at, *cuts)]
        with torch.no_grad(), recorder.following():
            output = self._run(inputs, extra, [mark, *readers], stop=False)
        reading = Reading(tuple(reader.found for reader in readers), output)
        self._remember(Prefix.of(recorder), reading, inputs, extra)
        return reading

    def trace(
        self, inputs: Tensors, extra: tuple[Any, ...], points: Tensors, examples: Tensor
    ) -> Trace:
        """Run with the points in place, and a graph that starts at the first cut they meet."""
        overwriters = [] if self.sample_at is None else [Overwrite(self.sample_at, points)]
        roots = [Root(cut) for cut in self.cuts]
        # Nothing requires grad before the first cut, unless parameters couldn't be frozen.
        grad = self.differentiable or isinstance(self._forward, Module)
        with (
            torch.set_grad_enabled(grad),
            self._regions(),
            self._replayed(examples),
        ):
            output = self._run(inputs, extra, [*overwriters, *roots], stop=self._verified)
        self._verified = True
        return Trace(
            tuple(root.edges for root in roots), tuple(root.found for root in roots), output
        )

    def sizes(self, inputs: Tensors, extra: tuple[Any, ...]) -> Sizes:
        """Measure what modules return for the inputs of the first example; once for its shape."""
        places = (*self.cuts, self.sample_at, self.measure_at)
        key = (
            tuple((x.shape, x.dtype, x.device) for x in inputs),
            tuple(None if c is None else (id(c.module), c.side, c.call) for c in places),
            bool(self._prefixes),
        )
        if not isinstance(self._forward, Module):
            return self._measured(inputs, extra)
        known = _known_sizes.setdefault(self._forward, {})
        if key not in known:
            known[key] = self._measured(inputs, extra)
        return known[key]

    def _measured(self, inputs: Tensors, extra: tuple[Any, ...]) -> Sizes:
        before, behind, begun = [max(x.nbytes for x in inputs)], [0], threading.Event()

        def measure(module: Module, args: Any, output: Any) -> None:
            for tensor in tensors_in(output):
                size = 0 if 0 in tensor.stride() else tensor.nbytes
                (behind if begun.is_set() else before).append(size)

        marks = [Mark(cut, begun.set) for cut in self.cuts]
        enter = [] if self.sample_at is None else [Fill(self.sample_at)]
        modules = self._forward.modules() if isinstance(self._forward, Module) else ()
        first = torch.zeros(1, dtype=torch.long)
        with torch.no_grad(), self._replayed(first), ExitStack() as hooks:
            for module in modules:
                if not isinstance(module, torch.jit.ScriptModule):  # they take no hooks
                    hooks.callback(module.register_forward_hook(measure).remove)
            self._run(inputs, extra, [*enter, *marks], stop=False)
        return Sizes(max(*before, *behind), max(behind), sum(behind))

    def _can_replay(self) -> bool:
        return (
            self.sample_at is not None
            and isinstance(self._forward, Module)
            and not self.differentiable
            and not any(isinstance(m, torch.jit.ScriptModule) for m in self._forward.modules())
            and (not self._count or bool(self._prefixes))
        )

    def _remember(
        self, found: Prefix, reading: Reading, inputs: Tensors, extra: tuple[Any, ...]
    ) -> None:
        """Keep a prefix if a replay of it leads to the same output; the first one decides."""
        candidates = [found, found.all_needed()]
        if self._prefixes:
            candidates = [replace(found, needed=self._prefixes[0].needed)]
        first = not self._prefixes
        self._count += len(inputs[0])
        for candidate in candidates:
            self._prefixes.append(candidate.slimmed())
            if not first or self._same(reading, inputs, extra):
                return
            self._prefixes.clear()

    def _same(self, reading: Reading, inputs: Tensors, extra: tuple[Any, ...]) -> bool:
        """Return whether a replay of the recorded examples ends as their plain run did."""
        overwrite = {cast(Cut, self.sample_at): reading.cuts[0]}
        examples = torch.arange(len(inputs[0]))
        try:
            again = self.read(inputs, extra, overwrite=overwrite, examples=examples)
        except (RuntimeError, ValueError, TypeError):
            return False
        pairs = zip(tensors_in(reading.output), tensors_in(again.output), strict=True)
        return all(torch.allclose(a, b, rtol=1e-3, atol=1e-6) for a, b in pairs)

    @contextmanager
    def _regions(self) -> Iterator[None]:
        """Run what holds no cut compiled, if that was asked for."""
        if self._compile_mode is None or not isinstance(self._forward, Module):
            yield
            return
        cuts = [*self.cuts, self.sample_at, self.measure_at]
        modules = [cast(Module, cut.module) for cut in cuts if cut is not None]
        with compiled_regions(self._forward, modules, self._compile_mode, self._compiled):
            yield

    @contextmanager
    def _replayed(self, examples: Tensor | None) -> Iterator[None]:
        if examples is None or not self._prefixes:
            yield
            return
        if len(self._prefixes) > 1:
            self._prefixes = [Prefix.joined(self._prefixes)]
        prefix, self._hidden = self._prefixes[0], self._prefixes[0].hidden
        try:
            with prefix.replayed(examples, self._count):
                yield
        finally:
            self._hidden = Counter()

    def _run(
        self, inputs: Tensors, extra: tuple[Any, ...], visits: list[Visit], *, stop: bool
    ) -> Any:
        measure = None
        if self.measure_at is not None:
            measure = Read(self.measure_at, stop=stop, after=visits)
        visits = visits if measure is None else [*visits, measure]
        with ExitStack() as hooks:
            for visit in visits:
                hooks.enter_context(visit.hooked(self._hidden))
            try:
                # Copies: the network may begin with an in-place module.
                output = self._forward(*(x.clone() for x in inputs), *extra)
            except Measured:
                output = None
        for visit in visits:
            visit.check()
        return output if measure is None else measure.value


def _check_batch_independent(forward_func: Forward) -> None:
    modules = forward_func.named_modules() if isinstance(forward_func, Module) else ()
    for name, module in modules:
        if not isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            continue
        if module.training or module.running_mean is None:
            raise RuntimeError(
                f"{name or 'the network'}, a {type(module).__name__}, normalises over the batch, "
                "so examples and points would change one another: call model.eval() (and keep "
                "track_running_stats=True)"
            )


_known_sizes: weakref.WeakKeyDictionary[Any, dict[Any, Sizes]] = weakref.WeakKeyDictionary()
_locks: weakref.WeakKeyDictionary[Any, threading.RLock] = weakref.WeakKeyDictionary()
_locks_lock = threading.Lock()


@contextmanager
def _held(forward_func: Forward) -> Iterator[None]:
    """Let one thread at a time explain a network."""
    if not isinstance(forward_func, Module):
        yield
        return
    with _locks_lock:
        lock = _locks.setdefault(forward_func, threading.RLock())
    with lock:
        yield


@contextmanager
def _frozen(forward_func: Forward) -> Iterator[None]:
    """Let no parameter require a gradient, so that none is computed and no input kept for it."""
    parameters = list(forward_func.parameters()) if isinstance(forward_func, Module) else []
    trainable = [parameter for parameter in parameters if parameter.requires_grad]
    try:
        for parameter in trainable:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)


_plainly: list[ExitStack] = []  # one entry for each thread that needs it
_plainly_lock = threading.Lock()


@contextmanager
def plain() -> Iterator[None]:
    """Run compiled and fused modules module by module: the hooks are set later, and inside.

    Both switches belong to the process: the first thread that needs them sets them, the last one
    sets them back.
    """
    with _plainly_lock:
        switches = _plainly[0] if _plainly else _switched()
        _plainly.append(switches)
    try:
        yield
    finally:
        with _plainly_lock:
            _plainly.pop()
            if not _plainly:
                switches.close()


def _switched() -> ExitStack:
    """Turn off compiled graphs, and the fused transformer layers that take nested tensors."""
    switches = ExitStack()
    fused = torch.backends.mha.get_fastpath_enabled()
    switches.callback(torch.backends.mha.set_fastpath_enabled, fused)
    torch.backends.mha.set_fastpath_enabled(False)
    if "torch._dynamo" in sys.modules and hasattr(torch.compiler, "set_stance"):  # from 2.6 on
        switches.enter_context(torch.compiler.set_stance("force_eager"))
    return switches
