"""The contract of a pool: a place where runs happen, some at a time, while the rest waits its turn.

A pool knows nothing of jobs. What a run is and how it is performed is told by a `Performer`; each
pool uses the one of its methods that fits.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Protocol, TypeVar

RunT = TypeVar("RunT", bound=Hashable)
RunT_contra = TypeVar("RunT_contra", bound=Hashable, contravariant=True)


class Callee(Protocol):
    """A child process that calls functions for us, one at a time."""

    def ready(self) -> None:
        """Wait until there is a child that can be called: to start one may take long.

        Raises:
            ChildDied: the child ended instead, such as when the program cannot be imported.
        """
        ...

    def call(self, request: bytes, note: Callable[[bytes], None]) -> bytes:
        """Send a request to a child that is ready, and wait for its answer.

        Args:
            request: what to do; the child understands it.
            note: called with everything else that the child says meanwhile.

        Raises:
            ChildDied: the child ended instead of answering.
        """
        ...


class Performer(Protocol[RunT_contra]):
    """Performs runs. Its methods contain every exception: a pool need not expect any."""

    def perform(self, run: RunT_contra) -> None:
        """Perform a run in this thread."""
        ...

    async def perform_async(self, run: RunT_contra) -> None:
        """Perform a run in this asyncio task."""
        ...

    def perform_in(self, run: RunT_contra, callee: Callee) -> None:
        """Perform a run in a child process, and wait for it in this thread."""
        ...


class Pool(Protocol[RunT]):
    """A place where runs happen."""

    @property
    def slots(self) -> int:
        """How many runs happen at a time, at most."""
        ...

    @property
    def waiting(self) -> int:
        """How many runs wait for a slot."""
        ...

    @property
    def running(self) -> int:
        """How many runs have begun and not ended."""
        ...

    def start(self, performer: Performer[RunT], hungry: Callable[[], None]) -> None:
        """Begin to accept runs.

        Args:
            performer: performs the runs.
            hungry: called from any thread when half of what the last `submit` left waiting has
                begun, and whenever runs end and none waits. It must return at once.
        """
        ...

    def submit(self, runs: Sequence[RunT]) -> None:
        """Accept runs; they begin in this order."""
        ...

    def withdraw(self) -> list[RunT]:
        """Take back the runs that have not begun."""
        ...

    def interrupt(self, run: RunT) -> None:
        """Make a run end early where that is possible; harmless when it has ended.

        A coroutine is cancelled and a child process killed. A thread cannot be stopped from
        outside: the run must notice by itself.
        """
        ...

    def stop(self) -> bool:
        """End the pool, waiting a moment for what still runs.

        Returns:
            Whether nothing is left behind. A thread that does not end is left behind.
        """
        ...
