"""Order: the first message to a spawned child of ours: what it is to be.

It goes through the channel and not into the arguments, which other users of the machine can see.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Serve(msgspec.Struct, frozen=True, tag="serve"):
    """Call functions for a worker: the child of a task with `process=True`.

    Attributes:
        target: where the App is: `module:attr` or `file.py`.
    """

    target: str


class Work(msgspec.Struct, frozen=True, kw_only=True, tag="work"):
    """Be a worker process: the child of a supervisor, or what a program starts by itself.

    Attributes:
        target: where the App is: `module:attr` or `file.py`. Without it there are no child
            processes, and so no tasks with `process=True`.
        holder: the name under which it claims jobs, never used before; "" lets it make one.
        queues: names of the queues it takes jobs from; none: those that its tasks name.
        settings: fields of `Config` that differ from the App's own.
        most_jobs: it ends after so many runs, and is replaced; None: never.
        most_mib: it ends when it has grown so large; None: never.
    """

    target: str | None = None
    holder: str = ""
    queues: tuple[str, ...] = ()
    settings: dict[str, Any] = {}
    most_jobs: int | None = None
    most_mib: int | None = None


ENTRY = "headrace.entry"
"""The module that every child runs, and that reads the order."""
STOP = b"stop"
"""What a supervisor says to a worker process that is to end in order."""
HURRY = b"hurry"
"""What it says to one that is to let nothing finish."""
RETIRING = b"retiring"
"""What a worker process says when it ends to be replaced, and still has runs to finish."""


def farewell(code: int) -> bytes:
    """Return the last word of a worker process that ends as it should, with this exit code.

    What runs in it can end it with any code, too: without this word, that is an accident.
    """
    return b"farewell %d" % code


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Serve | Work).decode
