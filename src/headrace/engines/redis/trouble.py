"""What the server's errors mean to callers."""

from __future__ import annotations

from typing import NamedTuple

from redis.exceptions import RedisError

from headrace.errors import EngineBusy, EngineError, HeadraceError, StorageFull

_PASSING = ("LOADING", "READONLY", "MASTERDOWN", "NOREPLICAS", "CLUSTERDOWN", "BUSY", "TRYAGAIN")
_FULL = ("OutOfMemory", "OOM ", "allow-oom", "MISCONF")


class Trouble(NamedTuple):
    """An error for callers, and whether the same may well succeed a little later."""

    error: HeadraceError
    passing: bool


def trouble(error: RedisError) -> Trouble:
    """Return what a refused call means; nothing of it was done."""
    text = f"{type(error).__name__}: {error}"
    if any(words in text for words in _FULL):
        full = StorageFull(
            "Redis has no room, in its memory or on its disk: no new work is accepted until there"
            f" is; let workers go on, purge finished jobs, or give it more ({error})"
        )
        return Trouble(full, passing=False)
    if any(words in _code(error) for words in _PASSING):
        return Trouble(
            EngineBusy(f"Redis cannot do this now ({error}): nothing was written"), passing=True
        )
    return Trouble(EngineError(f"Redis refused ({text}): nothing was written"), passing=False)


def _code(error: RedisError) -> str:
    """Return the word that the server's message begins with; redis-py makes a class of some."""
    return f"{type(error).__name__} {str(error).partition(' ')[0]}".upper()
