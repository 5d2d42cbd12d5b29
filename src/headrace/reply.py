"""Reply: what an engine call returns at once, and a caller waits for or awaits later.

It lets one implementation serve both kinds of callers: a blocking caller says `reply.wait()`, an
async one `await reply`. An engine resolves replies in batches, so that waking two hundred
coroutines costs their loop one wake-up.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Coroutine, Generator, Iterable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from headrace.errors import BlockingCall, EngineBusy

if TYPE_CHECKING:  # at run time it is imported where it is used: many programs have no loop
    import asyncio

_log = logging.getLogger("headrace")

T = TypeVar("T")
U = TypeVar("U")

Listener = Callable[["Reply[Any]"], None]


class Unanswered(EngineBusy):
    """The engine said nothing in time; what was asked of it may have happened, or still may."""

    def __init__(self, seconds: float | None) -> None:
        super().__init__(f"no answer from the engine within {seconds} s; it may still come")


class Reply(Generic[T]):
    """A value that is there now or will be. Resolved once, from any thread."""

    __slots__ = ("_done", "_error", "_futures", "_listeners", "_lock", "_value")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._done = False
        self._value: T | None = None
        self._error: BaseException | None = None
        # Tuples: most replies have one waiter, and empty ones cost nothing.
        self._listeners: tuple[Listener, ...] = ()
        self._futures: tuple[asyncio.Future[None], ...] = ()

    @classmethod
    def of(cls, value: T) -> Reply[T]:
        """Return a reply that is already resolved with `value`."""
        reply = cls()
        reply._done, reply._value = True, value
        return reply

    @classmethod
    def failed(cls, error: BaseException) -> Reply[T]:
        """Return a reply that already failed with `error`."""
        reply = cls()
        reply._done, reply._error = True, error
        return reply

    @property
    def done(self) -> bool:
        """Whether the value or the error is there."""
        return self._done

    @property
    def error(self) -> BaseException | None:
        """The error it failed with, or None."""
        return self._error

    def resolve(self, value: T) -> None:
        """Give the value and wake whoever waits. A second call changes nothing."""
        resolve_all([(self, value, None)])

    def fail(self, error: BaseException) -> None:
        """Give an error and wake whoever waits. A second call changes nothing."""
        resolve_all([(self, None, error)])

    def listen(self, listener: Listener) -> None:
        """Call `listener(reply)` once it is done: now, or in the thread that resolves it.

        What it raises is logged.
        """
        with self._lock:
            if not self._done:
                self._listeners += (listener,)
                return
        _tell(listener, self)

    def map(self, change: Callable[[T], U]) -> Reply[U]:
        """Return a reply with `change(value)`; an error passes through."""
        mapped: Reply[U] = Reply()

        def pass_on(_: Reply[Any]) -> None:
            try:
                mapped.resolve(change(self._result()))
            except BaseException as error:  # noqa: BLE001 - it is handed to whoever waits
                mapped.fail(error)

        self.listen(pass_on)
        return mapped

    def wait(self, timeout: float | None = None) -> T:
        """Block until it is there.

        Args:
            timeout: seconds to wait at most; None waits for ever.

        Returns:
            The value.

        Raises:
            Unanswered: it was not there in time; it may still come.
        """
        if not self._done:
            arrived = threading.Event()
            self.listen(lambda _: arrived.set())
            if not arrived.wait(timeout) and not self._done:
                raise Unanswered(timeout)
        return self._result()

    def __await__(self) -> Generator[Any, None, T]:
        if not self._done:
            import asyncio  # noqa: PLC0415 - whoever awaits has imported it

            future = asyncio.get_running_loop().create_future()
            with self._lock:
                pending = not self._done
                if pending:
                    self._futures += (future,)
            if pending:
                yield from future
        return self._result()

    def _result(self) -> T:
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value] # resolved: it is a T

    def _settle(self, value: Any, error: BaseException | None) -> bool:
        with self._lock:
            if self._done:
                return False
            self._value, self._error, self._done = value, error, True
            return True


class Errand(Reply[T]):
    """A reply whose work is done where it is awaited: in that very task, by nobody else.

    So what belongs to the caller is touched on the caller's loop alone. The work is not given up
    halfway: no time limit of whoever awaits it holds.

    Args:
        work: does it.
        blocked: what somebody is told who would block instead of awaiting it.
    """

    __slots__ = ("_blocked", "_work")

    def __init__(self, work: Callable[[], Coroutine[Any, Any, T]], blocked: str) -> None:
        super().__init__()
        self._work = work
        self._blocked = blocked

    def map(self, change: Callable[[T], U]) -> Reply[U]:
        """Return an errand with `change(value)`."""

        async def work() -> U:
            return change(await self)

        return Errand(work, self._blocked)

    def wait(self, timeout: float | None = None) -> T:
        """Refuse to block.

        Raises:
            BlockingCall: always, unless it is done.
        """
        if not self.done:
            raise BlockingCall(self._blocked)
        return super().wait(timeout)

    def __await__(self) -> Generator[Any, None, T]:
        if not self.done:
            try:
                value = yield from self._work().__await__()
            except Exception as error:  # noqa: BLE001 - it is raised below
                self.fail(error)
            else:
                self.resolve(value)
        return self._result()


def resolve_all(outcomes: Iterable[tuple[Reply[Any], Any, BaseException | None]]) -> None:
    """Resolve many replies `(reply, value, error)`, waking every event loop only once."""
    futures: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = defaultdict(list)
    for reply, value, error in outcomes:
        if not reply._settle(value, error):  # noqa: SLF001 - the same word
            continue
        for future in reply._futures:  # noqa: SLF001 - the same word
            futures[future.get_loop()].append(future)
        for listener in reply._listeners:  # noqa: SLF001 - the same word
            _tell(listener, reply)
    for loop, woken in futures.items():
        # A loop that is closed, or is being closed right now, has nobody left to wake.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_wake, woken)


def _tell(listener: Listener, reply: Reply[Any]) -> None:
    try:
        listener(reply)
    except Exception:  # noqa: BLE001 - or the rest of the batch would not get its answers
        _log.exception("a listener of a reply failed")


def _wake(futures: list[asyncio.Future[None]]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)
