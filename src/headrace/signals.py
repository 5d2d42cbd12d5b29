"""Signals that end a process in order: held back until it can heed them."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
"""What service managers and Ctrl-C send."""

Handler = Callable[[int, FrameType | None], object]

_MASKS = hasattr(signal, "pthread_sigmask")  # it is POSIX's


def hold() -> None:
    """Hold stop signals back in this thread from now on: each comes when somebody heeds it."""
    if _MASKS:
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)


def release() -> None:
    """Let stop signals do what they do, beginning with those that were held back."""
    if _MASKS:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)


@contextmanager
def held() -> Iterator[None]:
    """Hold stop signals back for a block. A process that is started in it is born like that."""
    with _mask_restored():
        hold()
        yield


@contextmanager
def heeded(handler: Handler, numbers: Iterable[signal.Signals] = STOP_SIGNALS) -> Iterator[None]:
    """Handle stop signals for a block, those that were held back first; then all is as before.

    Args:
        handler: what is called with each, as `signal.signal` has it; in the main thread only.
        numbers: which signals.
    """
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        with _mask_restored():
            release()
            yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def interrupting() -> AbstractContextManager[None]:
    """Let stop signals raise KeyboardInterrupt for a block: where there is nothing to end yet."""
    return heeded(signal.default_int_handler)


@contextmanager
def _mask_restored() -> Iterator[None]:
    if not _MASKS:
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
