"""Crew: worker processes that finish given jobs, one of them killed half-way if so wished."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.app import App
from headrace.errors import ConfigError
from headrace.order import Work
from headrace.record import Filter, State
from headrace.supervisor import Supervisor

_LOOK_SECONDS = 0.05
_HELD_LIMIT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Accident:
    """How a worker process was killed.

    Attributes:
        pid: the process.
        holder: its name as a holder of leases.
        finished: how many jobs were finished at that moment.
        held: ids of the jobs that it held, which went back to the queue.
    """

    pid: int
    holder: str
    finished: int
    held: tuple[str, ...]


class Crew:
    """Runs worker processes under a supervisor until jobs are finished.

    Args:
        app: whose engine has the jobs.
        work: what the processes do.
        processes: how many there are.
        ids: the jobs, all submitted.
    """

    def __init__(self, app: App, work: Work, processes: int, ids: Sequence[str]) -> None:
        self._app = app
        self._queues = work.queues
        self._ids = ids
        self._supervisor = Supervisor(app, work, processes)
        self._interrupted = threading.Event()
        self._pids: dict[str, int] = {}
        self._returned: dict[str, tuple[str, ...]] = {}
        self._struck: tuple[str, int] | None = None
        self._complete = False
        self._error: BaseException | None = None

    def run(self, step: Callable[[int], None], *, kill: bool) -> Accident | None:
        """Work until every job is finished; it has to be called from the main thread.

        Args:
            step: is told how many more jobs are finished.
            kill: whether one process is killed (SIGKILL) when half of them are.

        Returns:
            What happened to the process that was killed.

        Raises:
            KeyboardInterrupt: Ctrl-C or SIGTERM came first; the processes have ended all the same.
        """
        unsubscribe = self._app.telemetry.subscribe(self._listen)
        conductor = threading.Thread(target=self._conduct, args=(step, kill), daemon=True)
        conductor.start()
        try:
            code = self._supervisor.run()
        finally:
            self._interrupted.set()
            conductor.join()
            unsubscribe()
        if self._error is not None:
            raise self._error
        if not self._complete:
            raise ConfigError("the worker processes could not start") if code else KeyboardInterrupt
        return self._accident()

    def _listen(self, name: str, fields: Mapping[str, Any]) -> None:
        if name == "process.started":
            self._pids[fields["holder"]] = fields["pid"]
        elif name == "leases.reclaimed":
            self._returned[fields["holder"]] = tuple(fields["jobs"])

    def _conduct(self, step: Callable[[int], None], kill: bool) -> None:  # noqa: FBT001 - of `run`
        """Watch the jobs from beside the supervisor, which has the main thread."""
        finished = 0
        try:
            while finished < len(self._ids) and not self._interrupted.wait(_LOOK_SECONDS):
                states = self._ask_states()
                now = sum(state.terminal for state in states.values())
                step(now - finished)
                finished = now
                if kill and self._struck is None and 2 * finished >= len(self._ids) > finished:
                    self._strike(finished)
            self._complete = finished == len(self._ids)
        except BaseException as error:  # noqa: BLE001 - it is raised again in the main thread
            self._error = error
        finally:
            self._supervisor.stop()

    def _ask_states(self) -> dict[str, State]:
        return self._app.engine.states(self._ids).wait(self._app.config.deadline)

    def _strike(self, finished: int) -> None:
        """Kill the process that holds most jobs; never one that is not of this crew."""
        where = Filter(states=(State.RUNNING,), queues=self._queues)
        page = self._app.engine.find(where, limit=_HELD_LIMIT).wait(self._app.config.deadline)
        held = Counter(r.holder for r in page.records if self._is_ours(r.holder))
        if held:
            holder = held.most_common(1)[0][0]
            os.kill(self._pids[holder], signal.SIGKILL)
            self._struck = holder, finished

    def _is_ours(self, holder: str) -> bool:
        return self._pids.get(holder) in self._supervisor.pids

    def _accident(self) -> Accident | None:
        if self._struck is None:
            return None
        holder, finished = self._struck
        return Accident(
            pid=self._pids[holder],
            holder=holder,
            finished=finished,
            held=self._returned.get(holder, ()),
        )
