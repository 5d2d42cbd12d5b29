"""Exit: how a worker process ends, as its exit code. The supervisor acts on it."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of a worker process.

    Attributes:
        CLEAN: asked to stop, and everything was handed back.
        USAGE: it cannot work like this: the program or the command must change.
        ENGINE: the engine failed; only a new process can know what was written. What it held
            is given back uncounted: no job is to blame.
        STUCK: a run outlived its timeout and cannot be stopped; only the process's end ends it.
            The rest was handed back before, so this run alone counts a lost lease.
        RECYCLED: it ran as many jobs, or grew as large, as it should.
    """

    CLEAN = 0
    USAGE = 2
    ENGINE = 75
    STUCK = 76
    RECYCLED = 77
