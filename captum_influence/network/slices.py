"""Slices: a network cut open, read, overwritten, and run with a graph from its cuts on.

Whatever that changes of a user's model or of autograd is done inside a ``with`` block, and undone
when the block ends.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import Module

from captum_influence.network.cuts import Cut, Forward, Tensors, refuse_shared, unwrapped
from captum_influence.network.passes.arguments import Arguments, Bound
from captum_influence.network.passes.attention import heads_apart
from captum_influence.network.passes.buffers import Stand
from captum_influence.network.passes.checkpointing import without_checkpointing
from captum_influence.network.passes.compiled import compiled_regions
from captum_influence.network.passes.holding import frozen, held, modules_of, noted, plain
from captum_influence.network.passes.hooks import (
    Fill,
    Mark,
    Measured,
    Overwrite,
    Read,
    Root,
    Visit,
    handed_on,
)
from captum_influence.network.passes.known import Known
from captum_influence.network.passes.probe import (
    Passed,
    Probe,
    Prober,
    check_modes,
    narrowed,
    same_draws,
    settle,
)
from captum_influence.network.passes.replay import Prefix, Recorder, Replays
from captum_influence.network.passes.rows import AsManyRows, Layout
from captum_influence.network.passes.seen import Reading, Trace
from captum_influence.network.passes.sizes import Sizes, deeper_than_hooks, measured

__all__ = ["Slice"]


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
        self._networks = modules_of(self._forward)
        self._inside: tuple[Module, ...] = ()  # all of their modules, while open
        self._shared = any(cut.shared for cut in self.cuts)
        self._verified = False
        self._replays = Replays()
        self._probe: Probe | None = None
        self._stand: Stand | None = None
        for cut in (self.sample_at, self.measure_at):
            refuse_shared(cut)

    def admitted(self, x: Tensor) -> Tensor:
        """Return an input without a history, unless the result shall be differentiable."""
        x = x.clone() if x.is_inference() else x
        return x if self.differentiable else x.detach()

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Hold the network for this thread, its parameters frozen and compiled parts eager."""
        with ExitStack() as stack:
            self._inside = tuple(dict.fromkeys(m for n in self._networks for m in n.modules()))
            stack.enter_context(held(self._inside))
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(plain())
            stack.enter_context(heads_apart(self._networks, self._modules_cut()))
            stack.enter_context(without_checkpointing())
            if not self.differentiable:
                stack.enter_context(frozen(self._networks))
            stack.enter_context(noted(self._end))
            yield

    def _modules_cut(self) -> list[Module]:
        cuts = (*self.cuts, self.sample_at, self.measure_at)
        return [cast(Module, cut.module) for cut in cuts if cut is not None]

    def _end(self) -> None:
        if self._stand is not None:
            self._stand.end()
        self._stand = None

    def probe(self, inputs: Tensors, arguments: Arguments, rows: int | None = None) -> Probe:
        """Find out how rows lie in this network, and that they don't see one another.

        Once per network, cuts and shapes; the passes see the first example and two made-up rows.

        Args:
            inputs: those of the explained instances.
            arguments: the network's further arguments.
            rows: how many rows will run at once, if that is known. With one, they can't meet.

        Raises:
            RuntimeError: if what a row gets depends on the rows beside it.
            ValueError: if a cut has no examples in its first dimension, or the network takes
                batches of one size only.
        """

        def find() -> Probe:
            check_modes(self._networks, alone=rows == 1)
            return Prober(self._passed, self._networks, self.cuts).probe(inputs, arguments, rows)

        key = (self._key(inputs, arguments), rows == 1)
        self._probe = _probes.get(self._forward, key, find)
        if any(self._probe.picks):
            self.cuts = narrowed(self.cuts, self._probe.picks)
            return self.probe(inputs, arguments, rows)
        if self._probe.buffers and self._stand is None:
            self._stand = Stand(self._probe.buffers)
        if self._probe.size not in (None, rows):
            raise ValueError(
                f"expected internal_batch_size={self._probe.size}, the only size of a batch that "
                f"the network was seen to take, got {rows}: pass that"
            )
        return self._probe

    @property
    def layout(self) -> Layout:
        """How rows lie in what the quantity reads, as the probe found it."""
        return AsManyRows() if self._probe is None else self._probe.output

    def settled(self, inputs: Tensors, arguments: Arguments) -> Arguments:
        """Return the arguments, knowing which are the examples' own.

        Raises:
            ValueError: if a length leaves it open, and it makes a difference.
        """
        if not arguments.asked:
            return arguments
        key = (self._key(inputs, arguments), arguments.examples, arguments.own)
        find = partial(settle, self._passed, inputs, arguments)
        return arguments.shared(*_owners.get(self._forward, key, find))

    def _key(self, inputs: Tensors, arguments: Arguments) -> Hashable:
        """Return what a probe's findings hold for."""
        places = (*self.cuts, self.sample_at, self.measure_at)
        return (
            tuple((x.shape[1:], x.dtype, x.device) for x in inputs),
            arguments.shapes(),
            tuple(None if cut is None else cut.place for cut in places),
            tuple(m.training for m in self._inside),
            self.differentiable,
        )

    def _passed(self, inputs: Tensors, bound: Bound) -> Passed:
        """Run once for a probe."""
        readers = [Read(cut) for cut in self.cuts]
        recorder, marks = None, list[Visit]()
        if self._can_replay():
            recorder = Recorder(cast(Module, self._forward))
            marks = [Mark(cast(Cut, self.sample_at), recorder.stop)]
        with torch.no_grad(), recorder.following() if recorder else nullcontext():
            output = self._run(inputs, bound, [*marks, *readers], stop=False)
        calls = () if recorder is None else recorder.calls
        return Passed(
            tuple(reader.found for reader in readers),
            output,
            tuple((call.module, call.returned) for call in calls),
        )

    def read(
        self,
        inputs: Tensors,
        bound: Bound | tuple[Any, ...] = (),
        *,
        cuts: Sequence[Cut] = (),
        overwrite: Mapping[Cut, Tensors] | None = None,
        examples: Tensor | None = None,
        cuts_only: bool = False,
        graph: bool = False,
    ) -> Reading:
        """Run and return copies of what passes the cuts, and the output; with or without a graph.

        ``examples`` tells which of the recorded examples the rows belong to, so that what runs
        before the points enter is replayed. ``cuts_only``: the output isn't needed.
        """
        visits: list[Visit] = [Overwrite(cut, new) for cut, new in (overwrite or {}).items()]
        stop = cuts_only and len(cuts) > 0
        readers = [Read(cut, stop=stop, after=visits) for cut in cuts]
        visits += readers  # the last of all to be come to ends the pass
        with torch.set_grad_enabled(graph or self.differentiable), self._replays.replayed(examples):
            # A pass that ends at a cut doesn't come to what the quantity reads.
            output = self._run(inputs, bound, visits, stop=False, measured=not stop)
        return Reading(self._with_rows(readers, len(inputs[0])), output)

    def _with_rows(self, readers: Sequence[Read], rows: int) -> tuple[Tensors, ...]:
        """Return what was read at cuts, with the dimension of a single row that is squeezed."""
        if self._probe is None:
            return tuple(reader.found for reader in readers)
        known = {id(cut): found for cut, found in zip(self.cuts, self._probe.cuts, strict=False)}
        found = [known.get(id(reader.cut), AsManyRows()) for reader in readers]
        return tuple(f.fixed(r.found, rows) for f, r in zip(found, readers, strict=True))

    def record(
        self, inputs: Tensors, arguments: Arguments | None = None, *, cuts: Sequence[Cut] = ()
    ) -> Reading:
        """Read ``sample_at`` and the cuts, and remember what ran before the points enter.

        Consecutive calls record consecutive examples. Nothing is remembered where a replay isn't
        possible or, tried once, didn't lead to the same output.
        """
        sample_at, rows = cast(Cut, self.sample_at), len(inputs[0])
        arguments = Arguments(examples=rows) if arguments is None else arguments
        probe = self._probe or self.probe(inputs, arguments)
        bound = arguments.rows(torch.arange(rows))
        if not self._can_replay() or probe.calls is None:
            return self.read(inputs, bound, cuts=[sample_at, *cuts])
        recorder = Recorder(cast(Module, self._forward))
        mark = Mark(sample_at, recorder.stop)
        readers = [Read(cut) for cut in (sample_at, *cuts)]
        with torch.no_grad(), recorder.following():
            output = self._run(inputs, bound, [mark, *readers], stop=False)
        reading = Reading(tuple(reader.found for reader in readers), output)
        if [call.module for call in recorder.calls] == [module for module, _ in probe.calls]:
            layouts = [found for _, found in probe.calls]
            same = partial(self._same, reading, inputs, arguments)
            # In a basis the points overwrite codes: what they don't hold is needed.
            whole = sample_at.basis is None
            self._replays.remember(Prefix.of(recorder, layouts, rows, whole=whole), rows, same)
        return reading

    def trace(self, inputs: Tensors, bound: Bound, points: Tensors, examples: Tensor) -> Trace:
        """Run with the points in place, and a graph that starts at the first cut they meet.

        At a shared cut all readers of a tensor count, also those before it: there the graph
        starts with the points.
        """
        overwriters = []
        if self.sample_at is not None:
            overwriters = [Overwrite(self.sample_at, points, rooted=self._shared)]
        roots = [Root(cut) for cut in self.cuts]
        # Nothing requires grad before the first cut, unless parameters couldn't be frozen.
        grad = self.differentiable or isinstance(self._forward, Module)
        mode, cut = self._compile_mode, self._modules_cut()
        with (
            torch.set_grad_enabled(grad),
            compiled_regions(self._forward, cut, mode, self._compiled),
            self._replays.replayed(examples),
        ):
            output = self._run(
                inputs, bound, [*overwriters, *roots], stop=self._verified, rooted=self._shared
            )
        self._verified = True
        like = [root.found for root in roots]
        if self._probe is not None and self._probe.cuts:
            pairs = zip(self._probe.cuts, like, strict=True)
            like = [found.fixed(tensors, len(examples)) for found, tensors in pairs]
        return Trace(tuple(root.edges for root in roots), tuple(like), output)

    def sizes(self, inputs: Tensors, bound: Bound) -> Sizes:
        """Measure what modules return for the inputs of the first example; once for its shape."""
        if self._probe is not None and self._probe.size is not None:
            return Sizes(0, 0, 0)  # it takes no single row
        places = (*self.cuts, self.sample_at, self.measure_at)
        key = (
            tuple((x.shape, x.dtype, x.device) for x in inputs),
            tuple(None if cut is None else cut.place for cut in places),
            self._replays.any,
        )
        return _sizes.get(self._forward, key, partial(self._measured, inputs, bound))

    def _measured(self, inputs: Tensors, bound: Bound) -> Sizes:
        enter = [] if self.sample_at is None else [Fill(self.sample_at)]

        def run(marks: Sequence[Visit]) -> None:
            with self._replays.replayed(torch.zeros(1, dtype=torch.long)):
                self._run(inputs, bound, [*enter, *marks], stop=False)

        return measured(run, self._forward, inputs, self.cuts)

    def _can_replay(self) -> bool:
        return (
            self.sample_at is not None
            and isinstance(self._forward, Module)
            and not self.differentiable
            and not any(isinstance(m, torch.jit.ScriptModule) for m in self._forward.modules())
            and not deeper_than_hooks(self._forward)
            and self._replays.open
        )

    def _same(self, reading: Reading, inputs: Tensors, arguments: Arguments) -> bool:
        """Return whether a replay ends as the plain run did: in reverse, the last one twice."""
        last = len(inputs[0]) - 1
        examples = torch.tensor([last, *range(last, -1, -1)])
        rows = tuple(x[examples.to(x.device)] for x in inputs)
        points = tuple(z[examples.to(z.device)] for z in reading.cuts[0])
        bound, overwrite = arguments.rows(examples), {cast(Cut, self.sample_at): points}
        try:
            again = self.read(rows, bound, overwrite=overwrite, examples=examples)
            found = cast(Probe, self._probe).output
            expected = found.own(found.taken(reading.output, examples))
            pairs = zip(expected, found.own(again.output), strict=True)
            return all(torch.allclose(a, b, rtol=1e-3, atol=1e-6) for a, b in pairs)
        except (RuntimeError, ValueError, TypeError):  # also where a detector returns more or fewer
            return False

    def _run(
        self,
        inputs: Tensors,
        bound: Bound | tuple[Any, ...],
        visits: list[Visit],
        *,
        stop: bool,
        measured: bool = True,
        rooted: bool = False,
    ) -> Any:
        """Run the network once and return what the quantity reads, with its rows first.

        Args:
            inputs: of the rows.
            bound: the further arguments of the rows.
            visits: what is done at which cuts.
            stop: end the pass once all is known.
            measured: whether ``measure_at`` will be reached.
            rooted: start a graph at the inputs.
        """
        bound = bound if isinstance(bound, Bound) else Bound(tuple(bound))
        measure = None
        if self.measure_at is not None and measured:
            measure = Read(self.measure_at, stop=stop, after=visits)
        visits = visits if measure is None else [*visits, measure]
        with ExitStack() as hooks:
            for visit in visits:
                hooks.enter_context(visit.hooked(self._replays.hidden))
            hooks.enter_context(self._repeatable())
            # Copies: the network may begin with an in-place module.
            given = tuple(x.clone() for x in inputs)
            if rooted and self.sample_at is None:
                given = tuple(handed_on(x) if x.is_floating_point() else x for x in given)
            try:
                output = bound.called(self._forward, given)
            except Measured:
                output = None
        for visit in visits:
            visit.check()
        output = output if measure is None else measure.value
        if output is None or self._probe is None:
            return output
        return self._probe.output.fixed(output, len(inputs[0]))

    @contextmanager
    def _repeatable(self) -> Iterator[None]:
        """Let every pass draw the same, if it draws, and begin with the same buffers."""
        if self._stand is not None:
            self._stand.begin()
        draws = self._probe is not None and self._probe.draws
        with same_draws() if draws else nullcontext():
            yield


_probes: Known[Probe] = Known()
_owners: Known[frozenset[int]] = Known()
_sizes: Known[Sizes] = Known()
