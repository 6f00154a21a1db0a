"""What disks, networks and editors do to files: hundreds of ways, each the same every time."""

from __future__ import annotations

import random

COUNT = 400


def damaged(content: bytes, number: int) -> bytes:
    """Return a file with one damage: a bit, a byte, a block, its end, or what is between."""
    draw = random.Random(number)
    found, place = bytearray(content), draw.randrange(len(content))
    end = min(len(content), place + draw.choice([1, 8, 64]))
    kind = number % 6
    if kind == 0:
        found[place] ^= 1 << draw.randrange(8)
    elif kind == 1:
        found[place] = draw.randrange(256)
    elif kind == 2:
        found[place:end] = bytes(end - place)
    elif kind == 3:
        del found[place:end]
    elif kind == 4:
        found[place:place] = found[place:end]
    else:
        del found[place:]
    return bytes(found)
