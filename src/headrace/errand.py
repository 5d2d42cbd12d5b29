"""Errand: what a child process is asked to do, and how it answers.

Child and parent are the same version of this package, so these shapes may change freely.
"""

from __future__ import annotations

import msgspec

from headrace.ending import Ending
from headrace.job import Progress
from headrace.write import Lease

READY = b"r"
"""What a child says once it has imported the program, and waits for its first errand."""
NOTE = b"n"
"""How a child's message begins that is not the answer yet: the run's progress."""
ANSWER = b"a"
"""How the answer begins."""


class Errand(msgspec.Struct, frozen=True):
    """A run that a child process is to perform.

    Attributes:
        lease: the right to run it, with the task's name and its arguments.
        seconds: how long it may take before the child is killed; None: for ever.
    """

    lease: Lease
    seconds: float | None = None


class Answer(msgspec.Struct, frozen=True):
    """What it came to.

    Attributes:
        ending: the outcome, as data.
        settled: whether a transaction of the run has written its completion already.
    """

    ending: Ending
    settled: bool = False


encode = msgspec.json.Encoder().encode
decode_errand = msgspec.json.Decoder(Errand).decode
decode_answer = msgspec.json.Decoder(Answer).decode
decode_note = msgspec.json.Decoder(Progress).decode
