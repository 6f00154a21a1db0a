"""What was found out about a network once, for as long as the network lives."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from functools import partial
from types import FunctionType
from typing import Any, Generic, TypeVar

from torch.nn import Module

from captum_influence.network.cuts import Forward

__all__ = ["Known"]

T = TypeVar("T")


class Known(Generic[T]):
    """Findings about networks, by what they hold for; a network is not kept alive by them."""

    def __init__(self) -> None:
        self._found: weakref.WeakKeyDictionary[Any, dict[Hashable, T]] = weakref.WeakKeyDictionary()

    def get(self, network: Forward, key: Hashable, find: Callable[[], T]) -> T:
        """Return the finding of this key; the first time, find it."""
        if not isinstance(network, Module | FunctionType | partial):
            return find()  # a bound method is another object each time that it is named
        known = self._found.setdefault(network, {})
        if key not in known:
            known[key] = find()
        return known[key]
