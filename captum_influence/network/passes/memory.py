"""Memory that is freed by one block and taken by the next, without the operating system between."""

from __future__ import annotations

import ctypes
import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

__all__ = ["freed_memory_kept"]

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -2, -3, -4  # as <malloc.h> has them
# Room at the top: an aligned tensor does not fit where one of its size has just been freed.
_KEEP = {_MMAP_MAX: 0, _TRIM_THRESHOLD: 2**31 - 1, _TOP_PAD: 64 * 2**20}
# What the defaults come to in a process that has once freed a tensor of 32 MB.
_USUAL = {
    _MMAP_MAX: 65536,
    _MMAP_THRESHOLD: 32 * 2**20,
    _TRIM_THRESHOLD: 64 * 2**20,
    _TOP_PAD: 128 * 2**10,
}

_WORTH_RETURNING = 256 * 2**20  # bytes; returning less would only make the next call fault again

_lock = threading.Lock()
_users = 0
_start = 0  # the end of the heap when the first user came


@contextmanager
def freed_memory_kept(wanted: bool = True) -> Iterator[None]:
    """Let the C library keep what is freed, and hand it back to the system at the end.

    glibc maps each large tensor anew, so that each first touch of its pages costs a fault and
    zeros. This is the whole process's allocator, hence a choice. Other C libraries aren't touched.
    What the heap has grown by goes back as a whole, unless it is little.
    """
    library = _glibc() if wanted else None
    if library is None:
        yield
        return
    _enter(library)
    try:
        yield
    finally:
        _leave(library)


def _enter(library: ctypes.CDLL) -> None:
    global _users, _start
    with _lock:
        if _users == 0:
            _set(library, _KEEP)
            _start = _end_of_heap(library)
        _users += 1


def _leave(library: ctypes.CDLL) -> None:
    global _users
    with _lock:
        _users -= 1
        if _users == 0:
            _set(library, _USUAL)
            if _end_of_heap(library) - _start > _WORTH_RETURNING:
                library.malloc_trim(0)


def _set(library: ctypes.CDLL, values: dict[int, int]) -> None:
    for name, value in values.items():
        library.mallopt(name, value)


def _end_of_heap(library: ctypes.CDLL) -> int:
    return int(library.sbrk(0))


@cache
def _glibc() -> ctypes.CDLL | None:
    if platform.libc_ver()[0] != "glibc":
        return None
    library = ctypes.CDLL(None)
    library.sbrk.argtypes, library.sbrk.restype = [ctypes.c_ssize_t], ctypes.c_void_p
    return library
