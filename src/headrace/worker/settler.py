"""Settler: writes what became of runs, many at a time.

Whoever performed a run puts its settlement here, from any thread, and goes on at once. While a
batch is being written the next one gathers, so that batches are as large as the load is high, and a
lonely settlement is written immediately.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import Any

from headrace.errors import (
    EngineBusy,
    EngineClosed,
    OutcomeUnknown,
    StorageCorrupt,
    StorageFull,
    StorageUnfit,
)
from headrace.reply import Reply
from headrace.service import Service
from headrace.worker.decision import refused
from headrace.worker.leases import Leases
from headrace.worker.run import Run
from headrace.worker.site import Site
from headrace.write import Settle, Settled, Settlement

_log = logging.getLogger("headrace")

_BATCHES_UNDER_WAY = 2
_FULL_BATCH = 250
"""A second batch goes out beside the first when it has so many."""
_LARGEST_BATCH = 2_000
_BATCH_BYTES = 16 * 1024 * 1024
"""A batch ends with the result that reaches it: results may be large, and memory is not."""
_RETRY_SECONDS = 0.5

_FINAL = (EngineClosed, OutcomeUnknown, StorageCorrupt, StorageUnfit)
"""What the engine itself died of. Whatever else it says is said of what it was to write."""

_Pair = tuple[Run, Settlement]


class Settler:
    """Writes settlements in batches and forgets their leases.

    When there is no room on the disk, or no write lock to be had, everything is kept and tried
    again until it succeeds: an outcome is never lost while this process lives. One that the engine
    refuses to write keeps no other from being written: its job ends as dead, and says why.

    Attributes:
        stuck: nothing can be written for now.
        broken: nothing can be written any more by this process.
        settled: how many settlements were written.

    Args:
        site: what it shares with the other parts of the worker.
        leases: what is held; settled runs are dropped from it.
    """

    def __init__(self, site: Site, leases: Leases) -> None:
        self._engine = site.engine
        self._telemetry = site.telemetry
        self._now = site.clock.monotonic
        self._failed = site.engine_failed
        self._leases = leases
        self._gathered: deque[_Pair] = deque()
        self._doubtful: deque[list[_Pair]] = deque()
        self._lock = threading.Lock()  # guards what is counted
        self._under_way = 0
        self._retry = Service(
            "headrace-settler", self._try_again, _RETRY_SECONDS, site.ids.fraction
        )
        self.stuck = False
        self.broken = False
        self.settled = 0

    @property
    def backlog(self) -> int:
        """How many settlements wait to be written."""
        return len(self._gathered)

    def start(self) -> None:
        """Begin to try again what failed."""
        self._retry.start()

    def stop(self) -> None:
        """Try no more. What is left is lost to us: the leases expire, and the jobs run again."""
        self._retry.stop()

    def put(self, run: Run, settlement: Settlement) -> None:
        """Accept a settlement; it is written soon."""
        self._gathered.append((run, settlement))
        # Appended first, looked at second: whoever is being answered now either sees it there,
        # or has counted down already.
        under_way = self._under_way
        if not under_way or (under_way < _BATCHES_UNDER_WAY and len(self._gathered) >= _FULL_BATCH):
            self._send()

    def _send(self, *, probe: bool = False) -> None:
        if self.stuck and not probe:
            return
        with self._lock:
            if self._under_way >= _BATCHES_UNDER_WAY or not (self._doubtful or self._gathered):
                return
            batch = self._take()
            self._under_way += 1
        settlements = tuple(settlement for _, settlement in batch)
        reply = self._engine.apply(Settle(settlements))
        began = self._now()
        reply.listen(lambda answered: self._answered(batch, answered, began))

    def _take(self) -> list[_Pair]:
        if self._doubtful:
            return self._doubtful.popleft()
        batch: list[_Pair] = []
        room = _BATCH_BYTES
        while self._gathered and len(batch) < _LARGEST_BATCH and room > 0:
            pair = self._gathered.popleft()
            room -= len(pair[1].result or b"")
            batch.append(pair)
        return batch

    def _answered(self, batch: list[_Pair], reply: Reply[Any], began: float) -> None:
        if reply.error is None:
            self._written(batch, reply.wait(), self._now() - began)
        elif isinstance(reply.error, StorageFull | EngineBusy):
            self._keep(batch, reply.error)
        elif isinstance(reply.error, _FINAL) or all(run.refused for run, _ in batch):
            self.broken = True
            self._leases.drop([])  # wakes whoever waits for outcomes to be written
            self._failed(reply.error)
        else:
            self._doubt(batch, reply.error)
        with self._lock:
            self._under_way -= 1
        if self._doubtful or self._gathered:
            self._send()

    def _written(self, batch: list[_Pair], settled: Settled, seconds: float) -> None:
        self.stuck = False
        with self._lock:
            self.settled += len(batch)
        self._leases.drop([run for run, _ in batch])
        if self._telemetry.heard:
            leases = tuple([settlement.lease for _, settlement in batch])
            self._telemetry.event("jobs.settled", leases=leases, lost=settled.lost, seconds=seconds)
        if settled.lost:
            lost = ", ".join(sorted(settled.lost))
            _log.warning(
                "lost the lease before the outcome was written, which counts not: %s", lost
            )

    def _keep(self, batch: list[_Pair], error: BaseException) -> None:
        if not self.stuck:
            _log.warning("keeping outcomes in memory until they can be written: %s", error)
        self.stuck = True
        self._gathered.extendleft(reversed(batch))

    def _doubt(self, batch: list[_Pair], error: BaseException) -> None:
        """Find the settlement that cannot be written, by halves, and let its job end as dead."""
        if len(batch) > 1:
            middle = len(batch) // 2
            self._doubtful += batch[:middle], batch[middle:]
            return
        run, settlement = batch[0]
        _log.error(
            "what became of job %s cannot be written, so it is to die: %s", run.job_id, error
        )
        run.refused = True
        self._doubtful.append([(run, refused(settlement.lease, error))])

    def _try_again(self) -> None:
        if self.stuck:
            self._send(probe=True)
