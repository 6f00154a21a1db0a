"""What is found out about a network once: how rows lie in it, and that they don't see one another.

A row is run alone, and among two others, twice. What it gets must be the same. The shapes of one
row and of three tell which tensors have a row for each example.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from captum_influence.network.cuts import Among, Cut, Tensors, tensors_in
from captum_influence.network.passes.arguments import Arguments, Bound
from captum_influence.network.passes.buffers import Place, changed_by
from captum_influence.network.passes.rows import AsManyRows, Layout, layout, rows_each

__all__ = ["Passed", "Probe", "Prober", "check_modes", "narrowed", "same_draws", "settle"]

COMPANY = 3  # rows of a probe's larger passes; the row that is looked at is the middle one
_TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3}  # of the norm; else that of half precision


@dataclass(frozen=True, eq=False)
class Passed:
    """What one pass of a probe saw: at each cut, at the output, and of the calls before points."""

    cuts: tuple[Tensors, ...]
    output: Any
    calls: tuple[tuple[Module, Any], ...] = ()


@dataclass(frozen=True, eq=False)
class Probe:
    """What holds for a network, cut so, on inputs of a shape.

    Attributes:
        output: how rows lie in what the quantity reads.
        cuts: and in what passes each cut; empty if that isn't known.
        calls: the modules that are done before the points enter, and how rows lie in what they
            return; None if they can't be replayed.
        draws: whether it draws at random.
        buffers: which buffers a pass changes.
        size: of the only batches that it takes; None: of any size.
        picks: of each cut where some of several tensors have no rows, those that do: then nothing
            else is known, until the cuts mean only these.
    """

    output: Layout
    cuts: tuple[Layout, ...] = ()
    calls: tuple[tuple[Module, Layout], ...] | None = None
    draws: bool = False
    buffers: tuple[Place, ...] = ()
    size: int | None = None
    picks: tuple[Among | None, ...] = ()


@dataclass(frozen=True, eq=False)
class Prober:
    """Runs the passes of a probe.

    Attributes:
        run: one pass for some rows.
        modules: the networks that it runs.
        cuts: where gradients are wanted.
    """

    run: Callable[[Tensors, Bound], Passed]
    modules: Sequence[Module]
    cuts: Sequence[Cut]

    def probe(self, inputs: Tensors, arguments: Arguments, rows: int | None) -> Probe:
        """Return what is found out; see :meth:`Slice.probe`."""
        one = tuple(x[:1] for x in inputs)
        with changed_by(self.modules) as buffers, _random_kept() as drawn:
            alone = self._alone(one, inputs, arguments, rows)
            among = [] if alone is None else self._among(one, arguments, rows)
        draws = bool(drawn)
        if alone is None or not among:  # batches of one size only: nothing can be compared
            return Probe(AsManyRows(), (), None, draws, tuple(buffers), rows)
        picks = tuple(map(_with_rows, self.cuts, alone.cuts, among[0].cuts))
        if any(picks):
            return Probe(AsManyRows(), picks=picks)
        output = self._output(alone, among[0])
        cuts = [
            rows_layout(a, b, f"the {cut}", cut.windows)
            for cut, a, b in zip(self.cuts, alone.cuts, among[0].cuts, strict=True)
        ]
        for cut, found in zip(self.cuts, cuts, strict=True):
            _check_all_have_rows(cut, found, alone)
        if rows != 1 and not draws:
            for other in among:
                self._compare(alone, other, output, cuts)
        calls = _calls(alone, among[0])
        return Probe(output, tuple(cuts), calls, draws, tuple(buffers))

    def _alone(
        self, one: Tensors, inputs: Tensors, arguments: Arguments, rows: int | None
    ) -> Passed | None:
        """Run one row by itself; None if the network takes batches of another size only."""
        first = torch.zeros(1, dtype=torch.long)
        try:
            return self.run(one, arguments.rows(first))
        except Exception as error:
            size = len(inputs[0]) if rows is None else rows
            everyone = torch.arange(size) % len(inputs[0])
            batch = tuple(x[everyone.to(x.device)] for x in inputs)
            if size == 1 or not self._fails_again(one, arguments.rows(first)):
                raise
            self._run_or_raise(batch, arguments.rows(everyone), error)
            if rows is None:
                raise ValueError(
                    f"expected a network that takes batches of any size, got one that runs on "
                    f"{size} rows and not on one ({type(error).__name__}: {error}): pass "
                    "internal_batch_size= with the size that it takes"
                ) from error
            return None

    def _fails_again(self, one: Tensors, bound: Bound) -> bool:
        try:
            self.run(one, bound)
        except Exception:
            return True
        return False

    def _run_or_raise(self, batch: Tensors, bound: Bound, error: Exception) -> None:
        """Run a batch; if that fails too, the first error is the one to tell."""
        try:
            self.run(batch, bound)
        except Exception:
            raise error from None

    def _among(self, one: Tensors, arguments: Arguments, rows: int | None) -> list[Passed]:
        """Run the row between others, twice; none if the network takes one row only."""
        rows_of_one = torch.zeros(COMPANY, dtype=torch.long)
        found = []
        try:
            for sign in (1.0, -1.0):
                among = tuple(company(x, sign) for x in one)
                # Bound anew each time: a pass may change what it is given, such as a cache.
                found.append(self.run(among, arguments.rows(rows_of_one)))
        except Exception as error:
            if self._fails_again(one, arguments.rows(rows_of_one[:1])):
                raise  # not for want of a row
            # Perhaps the others were too odd for it: try the row beside itself.
            try:
                beside = tuple(torch.cat([x] * COMPANY) for x in one)
                return [self.run(beside, arguments.rows(rows_of_one))]
            except Exception:
                if rows == 1:
                    return []
                raise ValueError(
                    f"expected a network that takes batches of any size, got one that runs on one "
                    f"row and not on {COMPANY} ({type(error).__name__}: {error}): pass "
                    "internal_batch_size=1"
                ) from error
        return found

    def _output(self, alone: Passed, among: Passed) -> Layout:
        """Return how rows lie in the output; what has none is for the quantity to refuse."""
        try:
            return layout(alone.output, among.output, COMPANY, lenient=True)
        except ValueError:
            return AsManyRows()

    def _compare(
        self, alone: Passed, among: Passed, output: Layout, cuts: Sequence[Layout]
    ) -> None:
        for cut, found, a, b in zip(self.cuts, cuts, alone.cuts, among.cuts, strict=True):
            if not compared(a, b, found):
                raise refused(f"the {cut}")
        if output.has_rows and not compared(alone.output, among.output, output):
            raise refused("what the quantity reads")


def company(x: Tensor, sign: float) -> Tensor:
    """Return three rows for a batch of one, the middle one its own, with very different others."""
    if x.is_floating_point() or x.is_complex():
        # Large, and once of each sign: a branch on a sum over the batch then goes both ways.
        size = x.abs().flip(-1) if x.ndim > 1 else x.abs()
        other = sign * (30 * size + 10)
        return torch.cat([other, x, 2 * other]).to(x.dtype)
    # Token ids in another order are token ids.
    other = x.flip(-1) if x.ndim > 1 else x
    return torch.cat([other, x, other.roll(1, -1) if x.ndim > 1 else x])


def settle(
    run: Callable[[Tensors, Bound], Passed], inputs: Tensors, arguments: Arguments
) -> frozenset[int]:
    """Return which tensors, with as many rows as there are examples, all of them share.

    A tensor that the network takes only in one of the two ways is that. Where it takes both, they
    must come to the same.

    Raises:
        ValueError: if they don't.
    """
    shared = set[int]()
    for place, name in arguments.asked:
        for example in (0, arguments.examples - 1):
            row = torch.tensor([example])
            one = tuple(x[row.to(x.device)] for x in inputs)
            own = _attempt(run, one, arguments.shared(*shared).rows(row))
            whole = _attempt(run, one, arguments.shared(*shared, place).rows(row))
            if own is None and whole is not None:
                shared.add(place)
                break
            if own is not None and whole is not None and not _alike(own.output, whole.output):
                raise ValueError(
                    f"expected to know whether a tensor of {name} has a row for each of the "
                    f"{arguments.examples} examples, or is the same for all: it has as many rows, "
                    "and both work, with different results. Pass Shared(value), or "
                    "PerExample(value), of captum_influence"
                )
    return frozenset(shared)


def _attempt(run: Callable[[Tensors, Bound], Passed], one: Tensors, bound: Bound) -> Passed | None:
    try:
        return run(one, bound)
    except Exception:
        return None


def _alike(own: Any, whole: Any) -> bool:
    """Return whether two outputs agree; one of more rows than went in isn't an answer."""
    a, b = tensors_in(own), tensors_in(whole)
    if [t.shape for t in a] != [t.shape for t in b]:
        return True
    return all(_close(x, y) for x, y in zip(a, b, strict=True) if x.is_floating_point())


def rows_layout(one: Any, several: Any, what: str, windows: int = 1) -> Layout:
    """Return how rows lie in a value, of which an example is said to have so many windows.

    Raises:
        ValueError: if its shapes tell that examples aren't in its first dimension.
    """
    try:
        found = layout(one, several, COMPANY)
    except ValueError as error:
        each, cure = rows_each(one, several, COMPANY) * windows, "use batch_first=True"
        if each > windows:
            cure = f"if these are windows of each, say so, as by Cut(layer, windows={each})"
        raise ValueError(
            f"expected examples in the first dimension of {what}, got {error}: {cure}, or a layer "
            "that keeps the batch apart"
        ) from None
    return found


def compared(alone: Any, among: Any, found: Layout) -> bool:
    """Return whether the one row of a value is the middle one of the other."""
    middle = torch.tensor([COMPANY // 2])
    pairs = zip(
        found.own(found.fixed(alone, 1)), found.own(found.taken(among, middle)), strict=True
    )
    return all(_close(a, b) for a, b in pairs if a.is_floating_point())


def _close(a: Tensor, b: Tensor) -> bool:
    a, b = a.detach(), b.detach()
    known = a.isfinite() & b.isfinite()
    if not bool((a.isfinite() == b.isfinite()).all()):
        return False
    gap = float(torch.where(known, a - b, 0).double().norm())
    size = float(torch.where(known, a, 0).double().norm())
    return gap <= _TOLERANCE.get(a.dtype, 3e-2) * size + 1e-12


def check_modes(modules: Sequence[Module], alone: bool) -> None:
    """Refuse modules that can be seen to let rows see one another, or to draw at random.

    Raises:
        RuntimeError: naming them.
    """
    for name, module in _named(modules):
        whole_batch = isinstance(module, _BatchNorm) and (
            module.training or module.running_mean is None
        )
        if whole_batch and not alone:
            raise RuntimeError(
                f"{name}, a {type(module).__name__}, normalises over the batch, so examples and "
                "points would change one another: call model.eval() (and keep "
                "track_running_stats=True)"
            )
        if isinstance(module, _DropoutNd) and module.training and module.p > 0:
            raise RuntimeError(
                f"{name}, a {type(module).__name__}, is in training mode and draws anew in every "
                "pass, so no two answers would agree: call model.eval()"
            )


def _named(modules: Sequence[Module]) -> Iterator[tuple[str, Module]]:
    for network in modules:
        for name, module in network.named_modules():
            yield name or "the network", module


def refused(place: str) -> RuntimeError:
    """Return the error that tells that rows see one another."""
    return RuntimeError(
        f"what a row gets at {place} depends on the rows beside it in the batch (statistics over "
        "the batch, a softmax over its dimension, a branch on its values, nodes of one graph), so "
        "examples and points would change one another: make the network treat rows apart "
        "(model.eval()?), or pass internal_batch_size=1, which runs one row at a time (the "
        "measure; explain and counterfactual of one input)"
    )


def _with_rows(cut: Cut, alone: Tensors, among: Tensors) -> Among | None:
    """Return which of several tensors have a row for each example, if others don't."""
    if len(alone) < 2 or cut.select is not None or len(alone) != len(among):
        return None
    has = [
        a.ndim > 0 and (a.shape[0], b.shape) == (1, (COMPANY, *a.shape[1:]))
        for a, b in zip(alone, among, strict=True)
    ]
    return None if all(has) or not any(has) else Among(tuple(i for i, h in enumerate(has) if h))


def narrowed(cuts: Sequence[Cut], picks: Sequence[Among | None]) -> tuple[Cut, ...]:
    """Return cuts that mean those of their tensors that are picked."""
    pairs = zip(cuts, picks, strict=True)
    return tuple(cut if among is None else replace(cut, select=among) for cut, among in pairs)


def _check_all_have_rows(cut: Cut, found: Layout, alone: Passed) -> None:
    if not found.all_rows:
        shapes = [tuple(t.shape) for c in alone.cuts for t in c]
        raise ValueError(
            f"expected examples in the first dimension of the {cut}, got a tensor without "
            f"(shapes for one row: {shapes}): use batch_first=True, or a layer that keeps the "
            "batch apart"
        )


def _calls(alone: Passed, among: Passed) -> tuple[tuple[Module, Layout], ...] | None:
    """Return how rows lie in what the modules before the points return, if that can be told."""
    if [m for m, _ in alone.calls] != [m for m, _ in among.calls]:
        return None
    try:
        return tuple(
            (module, layout(a, b, COMPANY))
            for (module, a), (_, b) in zip(alone.calls, among.calls, strict=True)
        )
    except ValueError:
        return None


def _random_state() -> list[Tensor]:
    states = [torch.get_rng_state()]
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        states += torch.cuda.get_rng_state_all()
    return states


@contextmanager
def _random_kept() -> Iterator[list[bool]]:
    """Put the global random state back when the block ends, and tell then whether it was used."""
    before, used = _random_state(), list[bool]()
    try:
        yield used
    finally:
        now = _random_state()
        used += [True for a, b in zip(before, now, strict=True) if not torch.equal(a, b)]
        _put_random_state(before)


def _put_random_state(states: Sequence[Tensor]) -> None:
    torch.set_rng_state(states[0])
    if len(states) > 1:
        torch.cuda.set_rng_state_all(list(states[1:]))


@contextmanager
def same_draws() -> Iterator[None]:
    """Let a pass draw what the generator's seed gives first, and leave the global state alone."""
    states = _random_state()
    torch.manual_seed(torch.initial_seed())
    try:
        yield
    finally:
        _put_random_state(states)
