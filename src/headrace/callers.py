"""Callers are of two kinds, blocking and awaiting; both get the same `Reply` from an engine."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

from headrace.errors import BlockingCall, EngineBusy
from headrace.reply import Reply

T = TypeVar("T")


def refuse_on_loop(method: str, twin: str) -> None:
    """Refuse to block a running event loop; a notebook has one as well.

    Args:
        method: the blocking method, as its caller wrote it.
        twin: what to write instead.

    Raises:
        BlockingCall: an event loop runs in this thread.
    """
    # Importing asyncio takes as long as all the rest; whoever runs a loop has imported it.
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None and asyncio._get_running_loop() is not None:  # noqa: SLF001 - raises not
        raise BlockingCall(f"{method} would block the running event loop; write `{twin}` instead")


async def answer(reply: Reply[T], timeout: float | None) -> T:  # noqa: ASYNC109 - as Reply.wait
    """Await a reply for at most `timeout` seconds; None awaits it for ever.

    Raises:
        EngineBusy: it was not there in time; it may still come.
    """
    if reply.done:
        return await reply
    import asyncio  # noqa: PLC0415 - as above

    try:
        async with asyncio.timeout(timeout):
            return await reply
    except TimeoutError:
        if reply.done:  # the reply's own error is a TimeoutError as well
            raise
        message = f"no answer from the engine within {timeout} s; it may still come"
        raise EngineBusy(message) from None


async def pause(seconds: float) -> None:
    """Let some time pass."""
    import asyncio  # noqa: PLC0415 - as above

    await asyncio.sleep(seconds)


async def in_thread(function: Callable[[], object]) -> None:
    """Call what blocks for a moment, in a thread."""
    import asyncio  # noqa: PLC0415 - as above

    await asyncio.to_thread(function)
