"""Every pass through a network run within a mode that sees its functions."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.nn import Module
from torch.overrides import TorchFunctionMode

from captum_influence.network.passes.holding import noted

__all__ = ["passes_within"]


@contextmanager
def passes_within(network: Module, mode: TorchFunctionMode) -> Iterator[None]:
    """Within the block, run this thread's passes through a network, and nothing else, in a mode.

    Hooks are set, and taken away when the block ends; a pass that fails leaves the mode as well.
    """
    thread = threading.get_ident()

    def enter(module: Module, args: Any) -> None:
        if threading.get_ident() == thread:
            mode.__enter__()  # type: ignore[no-untyped-call]

    def leave(module: Module, args: Any, output: Any) -> None:
        if threading.get_ident() == thread:
            mode.__exit__(None, None, None)  # type: ignore[no-untyped-call]

    first = network.register_forward_pre_hook(enter, prepend=True)
    last = network.register_forward_hook(leave, always_call=True)
    with noted(first.remove), noted(last.remove):
        yield
