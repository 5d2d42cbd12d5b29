"""Fetcher: claims jobs and hands them to the pools."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

from headrace.errors import EngineBusy, StorageFull
from headrace.pool import Pool
from headrace.reply import Reply
from headrace.service import Service
from headrace.worker.appetite import Appetite
from headrace.worker.decision import put_off, released
from headrace.worker.exits import Exit
from headrace.worker.heartbeat import Heartbeat, lease_until
from headrace.worker.leases import Leases
from headrace.worker.lifespan import Lifespan
from headrace.worker.recipes import Pools, Recipes
from headrace.worker.run import Run
from headrace.worker.settler import Settler
from headrace.worker.site import Site
from headrace.write import Lease, Settlement

_log = logging.getLogger("headrace")

_RETRY_SECONDS = 0.5
_LOOK_SECONDS = 0.1
_BACKLOG_LIMIT = 10_000
_FEW = 16
_STOP_SECONDS = 10.0
_IDLE_LOOKS = 10
"""How often a process that has other runs looks whether it is alone with a suspect, each time."""
_BUSY_SECONDS = 5.0
"""How long a process that did not become idle does not hold up others for a suspect again."""
_PUT_OFF_SECONDS = 2.0
_WAIT_SHARE = 0.1
"""A claim waits at most for this share of a lease: our own deadline counts from before the wait."""


def make_run(lease: Lease, recipes: Recipes, sent: float, seconds: float) -> Run:
    """Return the run of a job that was claimed.

    Args:
        lease: the right to run it.
        recipes: what runs need.
        sent: when the claim was sent, by the monotonic clock.
        seconds: how long it lasts, unless the message says otherwise.
    """
    message = lease.message
    recipe = recipes.of(message.task)
    timeout = recipe.timeout if message.timeout is None else message.timeout or None
    until = lease_until(sent, message.lease or seconds)
    return Run(lease, recipe, until, timeout, claimed=sent)


def _are_few(leases: Sequence[Lease]) -> bool:
    return 0 < len(leases) <= _FEW and not leases[0].lost


class Fetcher:
    """Claims jobs as the appetite asks for them; the next ones while the last ones run.

    Args:
        site: what it shares with the other parts of the worker.
        recipes: what the runs need.
        pools: where they run.
        heartbeat: keeps their leases.
        leases: what is held.
        settler: writes what became of them; nothing is claimed while it cannot.
    """

    def __init__(
        self,
        site: Site,
        recipes: Recipes,
        pools: Pools,
        *,
        heartbeat: Heartbeat,
        leases: Leases,
        settler: Settler,
    ) -> None:
        self._site = site
        self._recipes = recipes
        self._pools = pools
        self._appetite = Appetite(recipes.pools or pools.all(), site.clock)
        self._heartbeat = heartbeat
        self._leases = leases
        self._settler = settler
        self._lifespan = Lifespan(site.terms.most_jobs, site.terms.most_mib)
        self._claimed = 0  # and not handed back
        self._begun = False
        self._retired = False
        self._stopping = False
        self._busy_until = -math.inf
        self._service = Service("headrace-fetcher", self._fetch, _LOOK_SECONDS, site.ids.fraction)

    def start(self) -> None:
        """Begin to claim."""
        self._service.start()

    def wake(self) -> None:
        """Look at once whether more can be claimed."""
        self._service.wake()

    def stop(self) -> None:
        """Claim no more; what has not begun is handed back."""
        self._stopping = True
        self._service.stop(_STOP_SECONDS)
        self._hand_back_waiting()

    def _fetch(self) -> float | None:
        if self._settler.stuck or self._settler.backlog > _BACKLOG_LIMIT:
            return _RETRY_SECONDS
        if not self._begun and (problem := self._lifespan.too_large):
            _log.error("this worker cannot begin: %s", problem)
            self._site.ended(Exit.USAGE)
            return self._site.terms.lease
        self._begun = True
        left = self._lifespan.left(self._claimed)
        if not left and not self._retired:
            self._retired = True
            self._site.ended(Exit.RECYCLED)
        limit = min(left, self._appetite.limit())
        for pool in self._appetite.hoarding():
            self._release(pool.withdraw())
        if not limit:
            return None
        try:
            self._claim(limit)
        except (EngineBusy, StorageFull) as error:
            _log.warning("nothing can be claimed, trying again: %s", error)
            return _RETRY_SECONDS
        except Exception as error:  # noqa: BLE001 - whatever it is, this worker ends
            return self._site.engine_failed(error)
        return 0.0

    def _claim(self, limit: int) -> None:
        terms = self._site.terms
        # The lease cannot begin before the claim is sent, so our own deadline counts from here.
        sent = self._site.clock.monotonic()
        wait = min(terms.poll, terms.lease * _WAIT_SHARE)
        if any(pool.waiting for pool in self._pools.all()):
            wait = min(wait, _LOOK_SECONDS)  # what waits too long is to be handed back
        reply = self._site.engine.lease(
            terms.queues, limit=limit, seconds=terms.lease, holder=terms.holder, wait=wait
        )
        # In the engine's thread: to wake ours takes longer than to hand on a few. More would keep
        # the engine from its next write; and before a suspect job begins, we wait for others.
        reply.listen(lambda answered: self._accept_few(answered, sent))
        leases = reply.wait()
        if leases and not _are_few(leases):
            self._accept(leases, sent)

    def _accept_few(self, reply: Reply[tuple[Lease, ...]], sent: float) -> None:
        if reply.error is None and _are_few(leases := reply.wait()):
            self._accept(leases, sent)

    def _accept(self, leases: Sequence[Lease], sent: float) -> None:
        if self._site.telemetry.heard:
            seconds = self._site.clock.monotonic() - sent
            self._site.telemetry.event("jobs.received", leases=leases, seconds=seconds)
        runs = [make_run(lease, self._recipes, sent, self._site.terms.lease) for lease in leases]
        self._heartbeat.hold(runs)
        self._claimed += len(runs)
        if self._stopping:
            self._release(runs)
        elif leases[0].lost:
            self._run_alone(runs[0])
        else:
            self._hand_out(runs)

    def _hand_out(self, runs: Sequence[Run]) -> None:
        shares: dict[Pool[Run], list[Run]] = {}
        for run in runs:
            shares.setdefault(run.recipe.pool, []).append(run)
        self._appetite.fed({pool: len(share) for pool, share in shares.items()})
        for pool, share in shares.items():
            pool.submit(share)

    # A job that may kill the process --------------------------------------------------------------

    def _run_alone(self, run: Run) -> None:
        """Run a job that lost a lease before with nothing else in this process.

        Should it kill the process, then nobody else's lease is lost with it. If other runs take
        longer than a moment, nothing waits for them: it is put off, also for other workers to take.
        """
        if self._becomes_idle_but_for(run):
            run.recipe.pool.submit([run])
            while not self._stopping:
                if self._leases.wait_until(lambda held: run not in held, _LOOK_SECONDS):
                    return
        elif self._stopping:
            self._release([run])
        else:
            pause = _PUT_OFF_SECONDS * (1 + self._site.ids.fraction())
            self._hand_back(run, put_off(run.lease, pause))

    def _becomes_idle_but_for(self, run: Run) -> bool:
        now = self._site.clock.monotonic()
        if now < self._busy_until:
            return self._leases.wait_until(lambda held: held <= {run}, 0)
        self._hand_back_waiting()
        for _ in range(_IDLE_LOOKS):
            if self._stopping:
                return False
            if self._leases.wait_until(lambda held: held <= {run}, _LOOK_SECONDS):
                return True
        self._busy_until = now + _BUSY_SECONDS
        return False

    def _hand_back_waiting(self) -> None:
        for pool in self._pools.all():
            self._release(pool.withdraw())

    def _release(self, runs: Sequence[Run]) -> None:
        for run in runs:
            self._hand_back(run, released(run.lease))

    def _hand_back(self, run: Run, settlement: Settlement) -> None:
        run.ended = True
        self._claimed -= 1
        self._settler.put(run, settlement)
