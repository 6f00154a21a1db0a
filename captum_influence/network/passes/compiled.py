"""Compiled regions: the largest parts of a network that hold no cut, compiled as they are."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch.nn import Module

__all__ = ["compiled_regions", "regions"]

_log = logging.getLogger(__name__)


def regions(root: Module, cuts: Sequence[Module]) -> list[Module]:
    """Return the largest modules that neither are nor hold one of the cut modules.

    Lists and dictionaries of modules, which never run themselves, are looked into.

    Example:
        >>> net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU(), torch.nn.Linear(2, 1))
        >>> [type(region).__name__ for region in regions(net, [net[1]])]
        ['Linear', 'Linear']
    """
    held = set(cuts)
    containers = (torch.nn.ModuleList, torch.nn.ModuleDict)
    if not held & set(root.modules()) and not isinstance(root, containers):
        return [root]
    if root in held and not any(held & set(child.modules()) for child in root.children()):
        return [root]  # a cut at its border doesn't disturb what is inside
    return [region for child in root.children() for region in regions(child, cuts)]


@contextmanager
def compiled_regions(
    root: Callable[..., Any],
    cuts: Sequence[Module],
    mode: str | None,
    known: dict[Module, Callable[..., Any]],
) -> Iterator[None]:
    """Run the regions compiled meanwhile, if there is a mode to compile a network's in.

    ``known`` keeps what has been compiled before.
    """
    if mode is None or not isinstance(root, Module):
        yield
        return
    if mode != "default" and torch.cuda.is_available():
        # What the last block left may be overwritten.
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
    with ExitStack() as stack:
        stack.enter_context(_stance("default"))
        for region in dict.fromkeys(regions(root, cuts)):
            if region not in known:
                known[region] = _compiled(region, mode)
            stack.enter_context(_forward_set(region, known[region]))
        yield


def _compiled(region: Module, mode: str) -> Callable[..., Any]:
    """Return the module's forward, compiled; as it is, from the first call that can't be compiled.

    With ``mode="reduce-overhead"`` that is also where CUDA graphs are recorded and replayed.
    """
    eager = region.forward
    forward: Callable[..., Any] = torch.compile(eager, mode=mode)

    def run(*args: Any, **kwargs: Any) -> Any:
        nonlocal forward
        try:
            return forward(*args, **kwargs)
        except torch.cuda.OutOfMemoryError:
            raise
        except RuntimeError as error:  # the compiler's own errors are RuntimeErrors
            if forward is eager:
                raise
            found = eager(*args, **kwargs)
            forward = eager
            reason = str(error).strip().split("\n", 1)[0]
            _log.warning("%s runs uncompiled: %s", type(region).__name__, reason)
            return found

    return run


@contextmanager
def _stance(stance: str) -> Iterator[None]:
    set_stance = getattr(torch.compiler, "set_stance", None)  # from torch 2.6 on
    if set_stance is None:
        yield
        return
    with set_stance(stance):
        yield


@contextmanager
def _forward_set(module: Module, forward: Callable[..., Any]) -> Iterator[None]:
    own = module.__dict__.get("forward")
    module.forward = forward
    try:
        yield
    finally:
        if own is None:
            del module.forward
        else:
            module.forward = own
