"""Worker: takes jobs from queues and runs them. Its start list is its architecture.

    engine ──▶ Fetcher ──▶ pools ──▶ Execution ──▶ Settler ──▶ engine
               claims      threads,  calls the     writes what
               jobs        tasks,    function      became of
               in batches  children                them, in batches

Beside this road stand Leases (what is held, from claim to settlement), Heartbeat (renews it),
Watchdog (timeouts), Reports (progress) and Maintenance (reaps what others have lost).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from headrace.context import Workplace
from headrace.intake import Intake
from headrace.logs import LastLines
from headrace.middleware import Middleware
from headrace.registry import Registry
from headrace.worker.decision import released
from headrace.worker.execution import Execution
from headrace.worker.exits import Exit
from headrace.worker.fetcher import Fetcher
from headrace.worker.heartbeat import Heartbeat
from headrace.worker.leases import Leases
from headrace.worker.maintenance import Maintenance
from headrace.worker.recipes import Pools, Recipes
from headrace.worker.reports import Reports
from headrace.worker.run import Run
from headrace.worker.settler import Settler
from headrace.worker.site import Site
from headrace.worker.watchdog import Watchdog

_log = logging.getLogger("headrace")

_INTERRUPTED_SECONDS = 2.0
"""How long runs that were interrupted at a stop have to notice it."""
_WRITE_SECONDS = 10.0
"""How long a stop waits for the last outcomes to be written."""


class Worker:
    """Takes jobs from queues and runs them, until it is stopped.

    Args:
        registry: the tasks it can run.
        intake: accepts what tasks submit, to the same engine.
        pools: where jobs run. The worker starts and stops them.
        site: the engine, open until the worker has stopped, and what else its parts share.
        middleware: what is wrapped around every call.

    Raises:
        ConfigError: a task needs a child process, and none can be spawned here.
    """

    def __init__(
        self,
        registry: Registry,
        intake: Intake,
        pools: Pools,
        site: Site,
        middleware: Sequence[Middleware] = (),
    ) -> None:
        self._site = site
        self._pools = pools
        self._hurried = False
        self._lines = LastLines()
        self._leases = Leases()
        self._settler = Settler(site, self._leases)
        self._reports = Reports(site)
        self._watchdog = Watchdog(site, self._stuck)
        self._heartbeat = Heartbeat(site, self._leases)
        self._maintenance = Maintenance(site)
        self._fetcher = Fetcher(
            site,
            Recipes(registry, pools, middleware, site.terms.max_result),
            pools,
            heartbeat=self._heartbeat,
            leases=self._leases,
            settler=self._settler,
        )
        self._execution = Execution(
            site,
            settler=self._settler,
            leases=self._leases,
            watchdog=self._watchdog,
            workplace=Workplace(
                intake=intake,
                clock=site.clock,
                deadline=site.terms.deadline,
                max_result=site.terms.max_result,
                report=self._reports.take,
            ),
        )

    @property
    def settled(self) -> int:
        """How many outcomes it has written, those of runs that it has handed back among them."""
        return self._settler.settled

    @property
    def held(self) -> list[str]:
        """The ids of the jobs it holds: running, or claimed ahead."""
        return [run.job_id for run in self._leases.held()]

    def start(self) -> None:
        """Begin to take jobs."""
        self._lines.start()
        for pool in self._pools.all():
            pool.start(self._execution, self._fetcher.wake)
        self._settler.start()
        self._reports.start()
        self._watchdog.start()
        self._heartbeat.start()
        self._maintenance.start()
        self._fetcher.start()
        self._site.telemetry.event("worker.started", holder=self._site.terms.holder)

    def stop(self, *, exiting: bool = False) -> bool:
        """Take nothing new, let runs end within the grace, and hand the rest back uncounted.

        A coroutine that goes on is cancelled then, and a child process killed. A thread cannot be
        stopped: its job is handed back if the process ends right after this, and with it the
        thread. Otherwise its lease expires, since another worker must not run the job beside it.

        Args:
            exiting: whether the process ends right after this.

        Returns:
            Whether every run has ended.
        """
        self._fetcher.stop()
        self._wait_for_runs(self._site.terms.grace)
        self._interrupt_runs()
        everything_ended = all(run.ended for run in self._leases.held())
        self._maintenance.stop()
        self._watchdog.stop()
        for pool in self._pools.all():
            everything_ended &= pool.stop()
        if self._wait_for_writes() and exiting:
            # Last of all: until the process ends they go on, perhaps beside their successors.
            self._hand_back_threads()
            self._wait_for_writes()
        for part in (self._heartbeat, self._settler, self._reports, self._lines):
            part.stop()
        self._site.telemetry.event("worker.stopped", holder=self._site.terms.holder)
        return everything_ended

    def hurry(self) -> None:
        """Let a stop that is under way, or a coming one, not wait for runs to end."""
        self._hurried = True
        self._leases.drop([])  # wakes who waits

    def _wait_for_runs(self, seconds: float) -> None:
        self._leases.wait_until(lambda held: self._hurried or self._nothing_goes_on(held), seconds)

    def _interrupt_runs(self) -> None:
        for run in self._leases.held():
            run.stop("stopping")
        self._leases.wait_until(self._nothing_goes_on, _INTERRUPTED_SECONDS)

    def _nothing_goes_on(self, held: Iterable[Run]) -> bool:
        """Whether there is nothing to wait for: no run that may end, no outcome to be written."""
        return all(run.stuck or (run.ended and self._settler.broken) for run in held)

    def _wait_for_writes(self) -> bool:
        """What has ended by now must be written; a full disk may well prevent it."""
        return self._leases.wait_until(
            lambda held: self._settler.broken or not any(run.ended for run in held), _WRITE_SECONDS
        )

    def _hand_back_threads(self) -> None:
        for run in self._leases.held():
            # One that outlived its timeout is never declared finished: its lease is lost.
            if not run.ended and run.stopped == "stopping":
                run.ended = True
                self._settler.put(run, released(run.lease))

    def _stuck(self, run: Run) -> None:
        _log.error(
            "job %s (%s) goes on %g s after its timeout and cannot be stopped, so this worker ends",
            run.job_id,
            run.lease.message.task,
            self._site.terms.grace,
        )
        self._site.ended(Exit.STUCK)
