"""One pass through a network, watched: which modules project, where attention mixes, from what.

PyTorch calls every function of the pass through a mode. Nothing is known by the name of a class.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module, Parameter
from torch.overrides import TorchFunctionMode

from captum_influence.network.cuts import tensors_in
from captum_influence.network.passes.attention import heads_apart
from captum_influence.network.passes.holding import noted, plain

__all__ = ["Call", "Mixing", "Projection", "Watch", "watched"]

_SOFTMAX = frozenset(("softmax", "_softmax", "_safe_softmax"))
_PRODUCTS = frozenset(("matmul", "bmm", "__matmul__", "einsum", "baddbmm"))


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a module.

    Attributes:
        name: of the module.
        module: itself.
        given: the tensors that went in.
        returned: those that came out.
        single: whether it returned a tensor, not a structure of them.
        began, ended: its place among all functions of the pass.
    """

    name: str
    module: Module
    given: tuple[Tensor, ...]
    returned: tuple[Tensor, ...]
    single: bool
    began: int
    ended: int


@dataclass(frozen=True, eq=False)
class Projection:
    """A product of a tensor (..., features) with a module's own weight.

    Attributes:
        name: of the module.
        given: (..., features in).
        returned: (..., features out).
        parameter: the weight, as the module holds it.
        linear: whether that is (features out, features in).
        bias: (features out,), or None.
        at: its place among all functions of the pass.
    """

    name: str
    given: Tensor
    returned: Tensor
    parameter: Parameter
    linear: bool
    bias: Tensor | None
    at: int

    @property
    def weight(self) -> Tensor:
        """(features in, features out)."""
        return self.parameter.mT if self.linear else self.parameter


@dataclass(frozen=True, eq=False)
class Mixing:
    """Where attention mixes positions: ``mixed = pattern @ value``, per head.

    Attributes:
        name: of the innermost module that does it.
        query, key: what the pattern is made of, (..., heads, positions, size of a head); None where
            the network computes the pattern in another way.
        value: (..., heads, positions, size of a head).
        pattern: (..., heads, positions, positions); None where a fused function keeps it inside.
        mixed: (..., heads, positions, size of a head).
        at: its place among all functions of the pass.
    """

    name: str
    query: Tensor | None
    key: Tensor | None
    value: Tensor
    pattern: Tensor | None
    mixed: Tensor
    at: int


class Watch(TorchFunctionMode):
    """What was seen in a pass; tensors are kept until it is forgotten."""

    def __init__(self, model: Module) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self.projections: list[Projection] = []
        self.mixings: list[Mixing] = []
        self._owners = _owners(model)
        self._open: list[tuple[str, int, tuple[Tensor, ...]]] = []
        # From a tensor, by its identity, to those it was made of; all are kept, so none is reused.
        self._sources: dict[int, tuple[Tensor, ...]] = {}
        self._made: dict[int, str] = {}
        self._patterns: dict[int, Tensor] = {}  # from what a softmax became to what it was given
        self._kept: list[Any] = []
        self._count = 0

    def begin(self, name: str, module: Module, args: Any, kwargs: Any) -> None:
        """Note that a module begins."""
        self._open.append((name, self._count, tuple(tensors_in((args, kwargs)))))

    def end(self, name: str, module: Module, args: Any, kwargs: Any, output: Any) -> None:
        """Note that it has ended."""
        _, began, given = self._open.pop()
        single = isinstance(output, Tensor)
        returned = tuple(tensors_in(output))
        self.calls.append(Call(name, module, given, returned, single, began, self._count))

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        result = func(*args, **given)
        name = getattr(func, "__name__", "")
        name = getattr(func.__self__, "__name__", "") if name == "__get__" else name
        self._count += 1
        sources = tuple(tensors_in([*args, *given.values()]))
        self._kept.append((sources, result))
        for tensor in tensors_in(result):
            if not any(tensor is source for source in sources):
                self._sources[id(tensor)] = sources
                self._made[id(tensor)] = name
        if isinstance(result, Tensor | tuple) and sources and tensors_in(result):
            self._note(name, sources, args, given, tensors_in(result)[0])
        return result

    def _note(
        self,
        name: str,
        sources: Sequence[Tensor],
        args: tuple[Any, ...],
        given: Mapping[str, Any],
        result: Tensor,
    ) -> None:
        if name == "scaled_dot_product_attention":
            named = dict(zip(("query", "key", "value"), args, strict=False)) | dict(given)
            query, key, value = (named[n] for n in ("query", "key", "value"))
            self._mix(query, key, value, None, result)
        elif name == "multi_head_attention_forward":
            self._mix_known(args, result)
        elif name in _SOFTMAX and result.ndim > 2:
            self._patterns[id(result)] = sources[0]
        elif name in _PRODUCTS and id(sources[0]) in self._patterns and len(sources) > 1:
            scores = self._patterns[id(sources[0])]
            query, key = self._factors(scores)
            self._mix(query, key, sources[1], sources[0], result)
        elif id(sources[0]) in self._patterns and result.shape == sources[0].shape:
            self._patterns[id(result)] = self._patterns[id(sources[0])]  # a dropout, another type
        self._project(sources, result)

    def _mix(
        self,
        query: Tensor | None,
        key: Tensor | None,
        value: Tensor,
        pattern: Tensor | None,
        mixed: Tensor,
    ) -> None:
        where = self._open[-1][0] if self._open else ""
        self.mixings.append(Mixing(where, query, key, value, pattern, mixed, self._count))

    def _mix_known(self, args: tuple[Any, ...], merged: Tensor) -> None:
        """Note the attention of torch's own module, whose heads lie side by side (T, N, C)."""
        heads = args[4]
        mixed = torch.unflatten(merged, -1, (heads, -1)).permute(1, 2, 0, 3)
        self._mix(None, None, mixed, None, mixed)

    def _project(self, sources: Sequence[Tensor], result: Tensor) -> None:
        """Note a product with a module's own weight, as by linear or addmm."""
        weights = [t for t in sources if isinstance(t, Parameter) and t.ndim == 2]
        moved = [t for t in sources if not isinstance(t, Parameter) and t.is_floating_point()]
        added = [t for t in sources if t.ndim == 1]  # a bias, perhaps put together of others
        given = next((t for t in moved if t.ndim > 1), None)
        if len(weights) != 1 or given is None or id(weights[0]) not in self._owners:
            return
        linear = self._made.get(id(result)) == "linear"  # which holds its weight the other way
        name, bias = self._owners[id(weights[0])], added[0] if added else None
        seen = Projection(name, given, result, weights[0], linear, bias, self._count)
        if tuple(seen.weight.shape) == (given.shape[-1], result.shape[-1]):
            self.projections.append(seen)

    def _factors(self, scores: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Return what the scores of an attention are the product of."""
        ahead, seen = [scores], set[int]()
        while ahead:
            tensor = ahead.pop(0)
            sources = self._sources.get(id(tensor), ())
            if self._made.get(id(tensor)) in _PRODUCTS and len(sources) > 1:
                query, key = sources[-2:]
                return query, key
            if id(tensor) not in seen:
                seen.add(id(tensor))
                ahead += sources[:1] or sources
        return None, None

    def origins(self, tensor: Tensor) -> Iterator[tuple[Projection, Tensor]]:
        """Yield the nearest projections that a tensor was made of, and what was read of each.

        What was read is a view of the projection's result: some of its features, where a split
        follows.
        """
        ends = {id(p.returned): p for p in self.projections}
        ahead: list[tuple[Tensor, ...]] = [(tensor,)]
        seen = set[int]()
        while ahead:
            path = ahead.pop(0)
            if id(path[-1]) in ends:
                yield ends[id(path[-1])], _first_part(path)
            elif id(path[-1]) not in seen:
                ahead += [(*path, source) for source in self._sources.get(id(path[-1]), ())]
            seen.add(id(path[-1]))


def _first_part(path: Sequence[Tensor]) -> Tensor:
    """Return the view nearest to the end of a path that is less than all of it, or all."""
    whole = path[-1]
    memory = whole.untyped_storage().data_ptr()
    views = (t for t in reversed(path) if t.untyped_storage().data_ptr() == memory)
    return next((view for view in views if view.numel() < whole.numel()), whole)


def _owners(model: Module) -> dict[int, str]:
    return {
        id(parameter): name
        for name, module in model.named_modules()
        for parameter in module.parameters(recurse=False)
    }


@contextmanager
def watched(model: Module) -> Iterator[Watch]:
    """Within the block, watch the network; its hooks are gone when it ends."""
    watch, hooks = Watch(model), ExitStack()
    with plain(), heads_apart([model], tuple(model.modules())), noted(hooks.close):
        for name, module in model.named_modules():
            first, last = partial(watch.begin, name), partial(watch.end, name)
            hooks.callback(module.register_forward_pre_hook(first, with_kwargs=True).remove)
            hooks.callback(module.register_forward_hook(last, with_kwargs=True).remove)
        with watch, torch.no_grad():
            yield watch
