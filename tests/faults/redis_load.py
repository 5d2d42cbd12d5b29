"""Load on a Redis engine, and a history of it that is kept outside: what was promised by whom."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from headrace.engine import Engine
from headrace.errors import EngineError
from headrace.ids import Ids
from headrace.record import State
from headrace.testing.steps import message
from headrace.write import Lease, Send, Settle, Settlement

PATIENCE = 30.0


class Load:
    """Submits, claims and settles until it is stopped, and notes every answer.

    Args:
        engine: what is under load.

    Attributes:
        accepted: ids of the jobs that were answered as accepted, in order.
        moments: when that was, by the monotonic clock.
        leases: what was claimed, by job.
        settled: ids of the jobs that were answered as settled.
        errors: what else was answered.
    """

    def __init__(self, engine: Engine) -> None:
        self.accepted: list[str] = []
        self.moments: dict[str, float] = {}
        self.leases: dict[str, list[Lease]] = defaultdict(list)
        self.settled: set[str] = set()
        self.errors: list[EngineError] = []
        self._engine = engine
        self._ids = Ids()
        self._stop = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Keep it up in a `with` block; wait for the last answers at its end."""
        calls = [self._submit, self._submit, self._work, self._work]
        threads = [threading.Thread(target=self._repeat, args=(call,)) for call in calls]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def work_off(self) -> None:
        """Claim and settle what is there, until there is nothing."""
        while self._work(limit=200):
            pass

    def _repeat(self, call: Callable[[], object]) -> None:
        while not self._stop.is_set():
            try:
                call()
            except EngineError as error:
                self.errors.append(error)

    def _submit(self) -> None:
        ids = self._ids.job_ids(5)
        plain = message("x")
        messages = tuple(type(plain)(v=1, id=i, task="noop", body=plain.body) for i in ids)
        self._engine.apply(Send(messages)).wait(PATIENCE)
        self.moments |= dict.fromkeys(ids, time.monotonic())
        self.accepted += ids

    def _work(self, limit: int = 4) -> bool:
        reply = self._engine.lease(["default"], limit=limit, seconds=60, holder=self._ids.nonce())
        leases = reply.wait(PATIENCE)
        for lease in leases:
            self.leases[lease.job_id].append(lease)
        settlements = tuple(Settlement(lease=lease, to=State.SUCCEEDED) for lease in leases)
        lost = self._engine.apply(Settle(settlements)).wait(PATIENCE).lost
        self.settled |= {lease.job_id for lease in leases} - lost
        return bool(leases)


def lost(engine: Engine, load: Load) -> list[str]:
    """Return the accepted jobs that the engine no longer knows, in the order of acceptance."""
    states = engine.states(load.accepted).wait(PATIENCE)
    return [job_id for job_id in load.accepted if job_id not in states]


def repeated_tokens(load: Load) -> list[str]:
    """Return the jobs of which a later claim had no greater token."""
    found = []
    for job_id, leases in load.leases.items():
        tokens = [lease.token for lease in leases]
        if tokens != sorted(set(tokens)):
            found.append(job_id)
    return found
