"""Service: a thread that does one small thing again and again, started and stopped with care."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

_log = logging.getLogger("headrace")

_JITTER = 0.25


class Service:
    """Calls `tick` in a thread of its own: at once when started, then whenever it is time.

    `start` and `stop` may be called in any order and more than once. An exception in `tick` is
    logged, and the next tick comes all the same.

    Args:
        name: the thread's name.
        tick: does the work, and may return the seconds until the next tick.
        interval: seconds between ticks when `tick` returns None, spread by ± a quarter so that
            many processes do not come at the same moment.
        fraction: gives random numbers in [0, 1), for that spread.
    """

    def __init__(
        self,
        name: str,
        tick: Callable[[], float | None],
        interval: float,
        fraction: Callable[[], float],
    ) -> None:
        self._name = name
        self._tick = tick
        self._interval = interval
        self._fraction = fraction
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._awake = threading.Event()

    @property
    def running(self) -> bool:
        """Whether its thread runs; it does not in a forked child."""
        thread = self._thread
        return thread is not None and thread.is_alive()

    @property
    def inside(self) -> bool:
        """Whether the caller is the service's own thread."""
        return threading.current_thread() is self._thread

    def start(self) -> None:
        """Begin to tick; harmless while it runs."""
        with self._lock:
            if self.running and not self._stopping.is_set():
                return
            # Events of its own for each thread: a predecessor that still ends keeps its own.
            self._stopping, self._awake = threading.Event(), threading.Event()
            self._thread = threading.Thread(
                target=self._run, args=(self._stopping, self._awake), name=self._name, daemon=True
            )
            self._thread.start()

    def wake(self) -> None:
        """Tick at once, or right after the tick that is under way."""
        self._awake.set()

    def stop(self, timeout: float | None = 5.0) -> bool:
        """Let no further tick begin, and wait for the last one, unless called from it.

        Args:
            timeout: seconds to wait at most; None waits for ever.

        Returns:
            Whether the thread has ended.
        """
        with self._lock:
            thread = self._thread
            self._stopping.set()
            self._awake.set()
        if thread is None or self.inside:
            return thread is None
        thread.join(timeout)
        return not thread.is_alive()

    def _run(self, stopping: threading.Event, awake: threading.Event) -> None:
        while True:
            # Cleared before looking: a stop or a wake from here on ends the wait below.
            awake.clear()
            if stopping.is_set():
                return
            awake.wait(self._tick_once())

    def _tick_once(self) -> float:
        pause: float | None = None
        try:
            pause = self._tick()
        except Exception:  # noqa: BLE001 - it is logged; a service outlives its bad days
            _log.exception("%s: a tick failed; the next one comes all the same", self._name)
        if pause is not None:
            return pause
        return self._interval * (1 + _JITTER * (2 * self._fraction() - 1))
