"""Supervisor: keeps worker processes running, and gives back what a dead one held, at once."""

from __future__ import annotations

import contextlib
import logging
import threading

from msgspec.structs import replace

from headrace.app import App
from headrace.child import Child
from headrace.errors import HeadraceError
from headrace.inbox import Inbox
from headrace.order import ENTRY, HURRY, RETIRING, STOP, Work, encode, farewell
from headrace.record import Cause, Failure
from headrace.signals import STOP_SIGNALS
from headrace.worker import Exit
from headrace.write import Reclaim

_log = logging.getLogger("headrace")

_STOP, _OVER = object(), object()
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
_HEALTHY_SECONDS = 60.0
_KILL_SECONDS = 20.0
"""How much longer than the grace children may take to end before they are killed."""
_RECLAIM_TRIES = 5
_RECLAIM_PAUSE = 1.0


class Supervisor:
    """Keeps a number of worker processes running until it is told to stop.

    A child that dies is replaced: at once when it retired as it should, else after a pause that
    doubles with every failure and is forgotten after a healthy minute.

    Args:
        app: whose engine the leases of dead children are given back to.
        work: what every child is to do; its `target` is what they import.
        processes: how many there are.
    """

    def __init__(self, app: App, work: Work, processes: int) -> None:
        self._app = app
        self._work = work
        self._processes = processes
        self._lock = threading.Lock()  # guards the children and the number of their keepers
        self._children: set[Child] = set()
        self._keepers = 0
        self._stopping = threading.Event()
        self._inbox = Inbox()
        self._code = int(Exit.CLEAN)

    @property
    def pids(self) -> list[int]:
        """The process ids of the children."""
        with self._lock:
            return sorted(child.pid for child in self._children)

    def run(self) -> int:
        """Work until SIGTERM or SIGINT (Ctrl-C), which the children are told of.

        They end within their grace then; a second signal hurries them. It has to be called from the
        main thread, where Python handles signals.

        Returns:
            The exit code: 0, or 2 if the children say that they cannot work like this.
        """
        with self._inbox.signals(*STOP_SIGNALS):
            self._app.open()
            for _ in range(self._processes):
                self._hire()
            while self._inbox.get() is not _OVER:
                self._end()
        return self._code

    # Ending ---------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Let the children end, and then `run`; called again, it hurries them."""
        self._inbox.put(_STOP)

    def _end(self) -> None:
        message = HURRY if self._stopping.is_set() else STOP
        if message is STOP:
            self._stopping.set()
            grace = self._work.settings.get("grace", self._app.config.grace)
            killer = threading.Timer(grace + _KILL_SECONDS, self._kill)
            killer.daemon = True
            killer.start()
        for child in self._living():
            _say(child, message)

    def _kill(self) -> None:
        for child in self._living():
            _log.error("worker process %d did not end in time and is killed", child.pid)
            child.kill()

    def _living(self) -> list[Child]:
        with self._lock:
            return list(self._children)

    # Keeping one child running, in a thread of its own --------------------------------------------

    def _hire(self) -> None:
        """Begin to keep one more child running."""
        with self._lock:
            self._keepers += 1
        threading.Thread(target=self._keep, name="headrace-keeper", daemon=True).start()

    def _keep(self) -> None:
        pause = 0.0
        try:
            while not self._stopping.wait(pause):
                begun = self._app.clock.monotonic()
                if self._tend(replace(self._work, holder=self._app.ids.nonce())):
                    return  # a replacement has its keeper already
                healthy = self._app.clock.monotonic() - begun >= _HEALTHY_SECONDS
                pause = _FIRST_PAUSE if healthy else min(_LONGEST_PAUSE, pause * 2 or _FIRST_PAUSE)
        except HeadraceError as error:
            _log.error("worker processes cannot be started here: %s", error)
            self._code = int(Exit.USAGE)
            self.stop()
        finally:
            with self._lock:
                self._keepers -= 1
                last = self._keepers == 0
            if last:
                self._inbox.put(_OVER)

    def _tend(self, work: Work) -> bool:
        """Start a child and stay with it to its end; tell whether it was replaced meanwhile."""
        try:
            child = Child(ENTRY)
        except OSError as error:  # no memory, or too many processes: perhaps not for long
            _log.error("no worker process could be started: %s", error)
            return False
        with self._lock:
            self._children.add(child)
        self._app.telemetry.event("process.started", pid=child.pid, holder=work.holder)
        replaced, last_word = False, b""
        try:
            child.channel.send(encode(work))
            if self._stopping.is_set():  # since before it could be told
                _say(child, STOP)
            while (message := child.channel.receive()) is not None:
                last_word = message
                if message == RETIRING and not replaced and not self._stopping.is_set():
                    replaced = True
                    self._hire()
        except OSError:
            pass  # it died before it could read: its end tells why
        finally:
            self._bury(child, work.holder, last_word)
        return replaced

    def _bury(self, child: Child, holder: str, last_word: bytes) -> None:
        """See to what a child that ends has left behind."""
        code = child.wait()
        if code is not None and last_word != farewell(code):
            code = None  # it did not mean to end: any run can end its process, with any code
        with self._lock:
            self._children.discard(child)
        death = child.evidence()
        child.close()
        self._app.telemetry.event("process.ended", pid=child.pid, holder=holder, end=death.end)
        if code in (Exit.CLEAN, Exit.RECYCLED):
            return
        if code == Exit.USAGE and not self._stopping.is_set():
            self._code = int(Exit.USAGE)
            self.stop()
        _log.warning("worker process %d ended: %s", child.pid, death.end)
        message = f"the worker process {child.pid} ended: {death.end}"
        evidence = Failure(cause=Cause.LEASE_LOST, message=message, logs=death.logs, holder=holder)
        # An engine that failed says nothing about the jobs: none of them is to be suspected.
        self._reclaim(Reclaim(holder, evidence, counted=code != Exit.ENGINE))

    def _reclaim(self, write: Reclaim) -> None:
        for _ in range(_RECLAIM_TRIES):
            try:
                self._app.open()
                reclaimed = self._app.engine.apply(write).wait(self._app.config.deadline)
            except HeadraceError as error:
                _log.warning("its leases could not be given back yet: %s", error)
                self._stopping.wait(_RECLAIM_PAUSE)
            else:
                self._app.telemetry.event(
                    "leases.reclaimed", holder=write.holder, jobs=reclaimed.returned
                )
                return
        _log.error("the leases of %s were not given back; they expire", write.holder)


def _say(child: Child, message: bytes) -> None:
    with contextlib.suppress(OSError):  # it has just ended
        child.channel.send(message)
