"""How writes may be treated: refused on a full server, repeated, or given a longer script."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headrace.cargo import MOVE_PREFIX
from headrace.write import (
    Depart,
    Extend,
    Put,
    Reclaim,
    Restore,
    Send,
    Settle,
    Write,
)


def accepts(writes: Sequence[Write[Any]]) -> bool:
    """Return whether writes take on new things, which a full server refuses.

    What a move remembers of itself is none: it makes room.
    """
    if any(isinstance(write, Restore) for write in writes):
        return True
    return bool(writes) and all(
        isinstance(write, Send)
        or (isinstance(write, Put) and not write.key.startswith(MOVE_PREFIX))
        for write in writes
    )


def moves(writes: Sequence[Write[Any]]) -> bool:
    """Return whether something leaves or arrives with writes."""
    return any(isinstance(write, Depart | Restore) for write in writes)


def repeatable(writes: Sequence[Write[Any]]) -> bool:
    """Return whether doing writes twice does no harm: a lease is good for one settlement."""
    return all(isinstance(write, Settle | Extend | Reclaim) for write in writes)
