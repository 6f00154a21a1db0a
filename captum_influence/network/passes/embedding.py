"""Where whole numbers, such as token ids, become floats: the first module that embeds them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from captum_influence.network.cuts import Cut, tensors_in
from captum_influence.network.passes.buffers import changed_by
from captum_influence.network.passes.holding import noted
from captum_influence.network.passes.probe import same_draws

__all__ = ["embedding_of"]


class _Found(Exception):
    """Ends the pass once it is known."""


class _Follower:
    """Watches for the module that is given the ids and is first to return floats for them."""

    def __init__(self, ids: Tensor) -> None:
        self._ids, self._thread = ids, threading.get_ident()
        self._calls: Counter[Module] = Counter()
        self.found: Cut | None = None

    def leave(self, module: Module, args: Any, kwargs: dict[str, Any], output: Any) -> None:
        if threading.get_ident() != self._thread:
            return
        call = self._calls[module]
        self._calls[module] += 1
        floats = any(tensor.is_floating_point() for tensor in tensors_in(output))
        if floats and any(self._same(x) for x in (*tensors_in(args), *tensors_in(kwargs))):
            self.found = Cut(module, call=call)
            raise _Found

    def _same(self, tensor: Tensor) -> bool:
        """Return whether it is the ids: by its memory, which views share, or by its values.

        By values only if they aren't 0, 1, 2, ..., which a network counts up as positions too.
        """
        if tensor.is_floating_point():
            return False
        if self._ids.ndim == 3 and tensor.data_ptr() == self._ids.data_ptr():
            return True  # the first field of a prompt
        if tensor.numel() != self._ids.numel():
            return False
        if tensor.untyped_storage().data_ptr() == self._ids.untyped_storage().data_ptr():
            return True
        given, came = self._ids.reshape(-1), tensor.reshape(-1).to(self._ids)
        counted = torch.arange(len(given), dtype=given.dtype, device=given.device)
        return torch.equal(given, came) and not torch.equal(given, counted)


def embedding_of(
    networks: Sequence[Module], ids: Tensor, run: Callable[[], Any], name: object
) -> Cut:
    """Return the output of the first module that is given the ids and returns floats.

    Args:
        networks: that ``run`` runs.
        ids: one example's, the very tensor that the network is given.
        run: runs the network.
        name: what the ids are called.

    Raises:
        ValueError: if there is none.
    """
    follower, hooks = _Follower(ids), ExitStack()
    with noted(hooks.close), changed_by(networks), same_draws(), torch.no_grad():
        for module in dict.fromkeys(m for network in networks for m in network.modules()):
            handle = module.register_forward_hook(follower.leave, with_kwargs=True)
            hooks.callback(handle.remove)
        with suppress(_Found):
            run()
    if follower.found is None:
        raise ValueError(
            f"expected a module that embeds the whole numbers of input {name!r}, got a network "
            "where none is given them and returns floats: say where the points live with "
            "sample_at=, or use Point()"
        )
    return follower.found
