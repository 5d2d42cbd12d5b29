"""Execution: performs a run, from the check of its lease to its settlement.

This is the hot path of a worker: it is taken once per job, and everything that can be looked up
once per task (`Recipe`) or done once per batch (claims, settlements, heartbeats) is done there.
"""

from __future__ import annotations

import logging
import math

from msgspec.structs import replace

from headrace import logs
from headrace.child import ChildDied
from headrace.context import Context, Workplace
from headrace.ending import Ending, RunTimeout, never_began
from headrace.errand import Errand, decode_answer, decode_note, encode
from headrace.errors import UnknownTask
from headrace.outcome import Dead, Done, Retry, Snooze
from headrace.pool import Callee
from headrace.record import Cause, Failure, State
from headrace.worker.decision import decide
from headrace.worker.leases import Leases
from headrace.worker.run import Arguments, Run
from headrace.worker.settler import Settler
from headrace.worker.site import Site
from headrace.worker.watchdog import Watchdog

_log = logging.getLogger("headrace")

_FRESH_SECONDS = 0.5


class Execution:
    """Performs runs, in a thread, an asyncio task or a child process. See `Performer`.

    Args:
        site: what it shares with the other parts of the worker.
        settler: accepts what becomes of each.
        leases: what is held; runs of which nothing may be written are dropped from it.
        watchdog: watches those that have a timeout.
        workplace: what the contexts of the runs share.
    """

    def __init__(
        self,
        site: Site,
        *,
        settler: Settler,
        leases: Leases,
        watchdog: Watchdog,
        workplace: Workplace,
    ) -> None:
        self._now = site.clock.monotonic
        self._fraction = site.ids.fraction
        self._telemetry = site.telemetry
        self._settler = settler
        self._leases = leases
        self._watchdog = watchdog
        self._workplace = workplace

    def perform(self, run: Run) -> None:
        """Call a function in this thread."""
        arguments = self._begin(run)
        if arguments is None:
            return
        args, kwargs = arguments
        recipe = run.recipe
        try:
            value = recipe.function(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001 - SystemExit, too, is this run's failure only
            self._end(run, self._failed(run, error))
        else:
            self._end(run, recipe.endings.of_value(value))

    async def perform_async(self, run: Run) -> None:
        """Call a coroutine function in this asyncio task."""
        arguments = self._begin(run)
        if arguments is None:
            return
        args, kwargs = arguments
        recipe = run.recipe
        try:
            value = await recipe.function(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001 - a cancelled run needs an outcome as well
            self._end(run, self._failed(run, error))
        else:
            self._end(run, recipe.endings.of_value(value))

    def perform_in(self, run: Run, callee: Callee) -> None:
        """Let a child process call a function, and wait for it."""
        try:
            callee.ready()  # first: the run's time begins when somebody can perform it
            if not self._may_begin(run):
                return
            errand = encode(Errand(run.lease, run.timeout))
            answer = decode_answer(callee.call(errand, lambda note: self._note(run, note)))
            run.settled, ending = answer.settled, answer.ending
        except ChildDied as death:
            ending = self._died(run, death)
        except Exception as error:  # noqa: BLE001 - such as no memory for a process
            ending = run.recipe.endings.of_error(error)
        self._end(run, ending)

    def _may_begin(self, run: Run) -> bool:
        # A job that was claimed ahead may have waited for so long that it is no longer ours; or
        # that it may have expired, which is for the engine to see.
        now = self._now()
        late = now - run.claimed > _FRESH_SECONDS and run.lease.message.expiring
        if run.stopped or late or now >= run.lease_until:
            self._end(run, Ending(kind="release"))
            return False
        run.began = now
        if run.timeout is not None:
            self._watchdog.watch(run, run.timeout)
        return True

    def _begin(self, run: Run) -> Arguments | None:
        """Check the lease and return the arguments; None if the run is over already."""
        if not self._may_begin(run):
            return None
        logs.current.set(run)
        recipe = run.recipe
        try:
            if not (recipe.injects or recipe.wrapped):
                return recipe.decode(run.lease.message.body, None)
            context = Context(run, recipe.returns, self._workplace)
            args, kwargs = recipe.decode(run.lease.message.body, context)
        except UnknownTask as error:
            self._end(run, never_began(Cause.UNKNOWN_TASK, str(error)))
        except Exception as error:  # noqa: BLE001 - the user's own types may raise anything
            self._end(run, never_began(Cause.INVALID_ARGUMENTS, str(error)))
        else:
            return ((context, *args) if recipe.wrapped else args), kwargs
        return None

    def _failed(self, run: Run, error: BaseException) -> Ending:
        lines = tuple(run.logs or ())
        decided = isinstance(error, Done | Dead | Retry | Snooze)
        if run.stopped == "timeout" and not decided:
            return self._timed_out(run, lines, error)
        return run.recipe.endings.of_error(error, lines)

    def _timed_out(
        self, run: Run, lines: tuple[str, ...], error: BaseException | None = None
    ) -> Ending:
        timeout = RunTimeout(f"it took longer than its timeout of {run.timeout:g} s")
        timeout.__cause__ = error
        return run.recipe.endings.of_error(timeout, lines)

    def _died(self, run: Run, death: ChildDied) -> Ending:
        if run.stopped == "timeout":
            return self._timed_out(run, death.logs)
        failure = Failure(
            cause=Cause.ERROR,
            type="ChildDied",
            message=f"the child process of this run ended: {death.end}",
            logs=death.logs,
        )
        return Ending(kind="failed", failure=failure)

    def _end(self, run: Run, ending: Ending) -> None:
        """Hand over what becomes of a run, unless nothing may be written of it any more."""
        run.ended = True
        seconds = self._now() - run.began if run.began < math.inf else None
        if run.due is not None:
            self._watchdog.forget(run)
        if ending.failure is not None:
            failure = replace(ending.failure, seconds=seconds)
            ending = replace(ending, failure=failure)
            self._tell(run, failure)
        if run.settled or run.stopped == "lost":
            self._leases.drop([run])
            if run.settled:
                self._telemetry.event(
                    "run.ended", lease=run.lease, to=State.SUCCEEDED, seconds=seconds
                )
            return
        lease = run.lease
        policy = lease.message.retry or run.recipe.policy
        settlement = decide(lease, ending, policy, run.stopped, self._fraction, seconds)
        if self._telemetry.heard:
            self._telemetry.event("run.ended", lease=lease, to=settlement.to, seconds=seconds)
        self._settler.put(run, settlement)

    def _note(self, run: Run, note: bytes) -> None:
        self._workplace.report(run.job_id, decode_note(note))

    def _tell(self, run: Run, failure: Failure) -> None:
        message = run.lease.message
        if run.settled:
            _log.error(
                "job %s (%s) is complete, but failed after its transaction: %s\n%s",
                message.id, message.task, failure.message, failure.traceback,
            )  # fmt: skip
        self._telemetry.event(
            "run.failed", job_id=message.id, task=message.task, cause=failure.cause
        )
