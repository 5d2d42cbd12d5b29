"""InlineWorker: runs what is due in the caller's own thread or event loop, one job at a time.

It runs jobs with the worker's own execution, decisions and settlements; what it leaves out is what
needs time to pass beside a run: pools, heartbeat and timeouts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import Context as Variables
from dataclasses import replace as replaced

from msgspec.structs import replace

from headrace.app import App
from headrace.callers import refuse_on_loop
from headrace.context import Workplace
from headrace.ending import Ending, Endings
from headrace.errors import EngineBusy, JobDead, UsageError
from headrace.job import Job
from headrace.logs import LastLines
from headrace.pools.tasks import TaskPool
from headrace.pools.threads import ThreadPool
from headrace.record import Cause, Record, State
from headrace.registry import Registry
from headrace.worker import Pools, Site, Terms
from headrace.worker.execution import Execution
from headrace.worker.fetcher import make_run
from headrace.worker.leases import Leases
from headrace.worker.recipes import Recipes
from headrace.worker.reports import Reports
from headrace.worker.run import Run
from headrace.worker.settler import Settler
from headrace.worker.watchdog import Watchdog

Expected = type[BaseException] | tuple[type[BaseException], ...]

LEASE_SECONDS = 366 * 86_400.0
"""Nothing renews these leases, so they must outlast whatever a task lets the clock do."""
_RUNS_LIMIT = 10_000
_NO_EXCEPTION = (Cause.UNKNOWN_TASK, Cause.INVALID_ARGUMENTS, Cause.RESULT_REJECTED)
"""How a job dies at once although its function raised nothing."""


def drain(app: App, *, expected: Expected = (), limit: int = _RUNS_LIMIT) -> list[Record]:
    """Run what is due until nothing is, in this thread, in the order a worker would claim it.

    Jobs that the jobs submit are run as well; what waits for a moment is not, until the clock has
    reached it. Each job is run as a worker runs it, but for three things: `process=True` tasks run
    in this process, timeouts end nothing, and one job runs at a time. So a task that waits for
    another job's result waits for ever.

    Args:
        app: whose jobs: on any engine, though nobody else should be working on it.
        expected: classes of exceptions that tasks may raise: what they lead to is then the
            policy's decision, another attempt or a dead letter, as with a worker.
        limit: so many runs are taken for an endless loop.

    Returns:
        What was known of each job right after its run, in the order of the runs.

    Raises:
        JobDead: a job could not be run, or its result not be stored, and `expected` does not have
            `JobDead`.
        UsageError: there were `limit` runs.
        BlockingCall: an event loop runs in this thread: await `adrain`.

    Any other exception is the first one that a task raised and `expected` does not have, with its
    traceback. Outcomes such as `Retry` and `Dead` are none. What became of that job is stored all
    the same, and the rest can still be drained.
    """
    refuse_on_loop("drain()", "await adrain(...)")
    app.open()
    worker = InlineWorker(app, expected, limit)
    # A loop of our own making, and of nobody else's knowing: the test may have set another one.
    with worker.at_work(), asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        while (run := worker.claim()) is not None:
            if worker.is_coroutine(run):
                runner.run(worker.perform_async(run))
            else:
                worker.perform(run)
            worker.finish(run)
    return worker.ran


async def adrain(app: App, *, expected: Expected = (), limit: int = _RUNS_LIMIT) -> list[Record]:
    """Run what is due; the twin of `drain`, with the same answer and errors.

    `async def` tasks run on this loop, and `def` tasks in a thread beside it, where they may block;
    still one job at a time.
    """
    await app.aopen()
    worker = InlineWorker(app, expected, limit)
    with worker.at_work():
        while (run := await asyncio.to_thread(worker.claim)) is not None:
            if worker.is_coroutine(run):
                await worker.perform_async(run)
            else:
                await asyncio.to_thread(worker.perform, run)
            await asyncio.to_thread(worker.finish, run)
    return worker.ran


class InlineWorker:
    """Claims a job, performs it and writes what became of it, each when it is told to.

    Args:
        app: declares the tasks; its engine is open.
        expected: exceptions that are no reason to stop.
        limit: how many runs there may be.

    Attributes:
        ran: what was known of each job right after its run.
    """

    def __init__(self, app: App, expected: Expected, limit: int) -> None:
        self.ran: list[Record] = []
        self._app = app
        self._expected = expected
        self._limit = limit
        self._site = _site(app)
        # Never started: they say which kind a run is.
        self._pools = Pools(TaskPool[Run](1), ThreadPool[Run](1))
        config = app.config
        self._recipes = Recipes(_in_process(app), self._pools, app.middleware, config.max_result)
        self._leases = Leases()
        self._reports = Reports(self._site)
        self._execution = Execution(
            self._site,
            settler=Settler(self._site, self._leases),
            leases=self._leases,
            watchdog=Watchdog(self._site, lambda _: None),
            workplace=Workplace(
                intake=app.intake,
                clock=app.clock,
                deadline=config.deadline,
                max_result=config.max_result,
                report=self._reports.take,
            ),
        )

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Keep the log lines of runs in a `with` block, as evidence should they fail."""
        lines = LastLines()
        lines.start()
        try:
            yield
        finally:
            lines.stop()

    def claim(self) -> Run | None:
        """Return the run of the job whose turn it is; None if none is due.

        Raises:
            UsageError: there have been enough.
        """
        if len(self.ran) == self._limit:
            raise UsageError(
                f"{self._limit} runs and no end: does a task submit itself, or snooze for 0"
                " seconds? If that is as it should be, say drain(limit=...)"
            )
        engine, terms = self._site.engine, self._site.terms
        while engine.maintain().wait(terms.deadline).more:
            pass
        queues = [status.name for status in engine.depth().wait(terms.deadline)]
        sent = self._site.clock.monotonic()
        claim = engine.lease(queues, limit=1, seconds=terms.lease, holder=terms.holder)
        for lease in claim.wait(terms.deadline):
            run = make_run(lease, self._recipes, sent, terms.lease)
            self._witness = Witness(run.recipe.endings)
            run.recipe = replace(run.recipe, endings=self._witness)
            self._leases.hold([run])
            return run
        return None

    def is_coroutine(self, run: Run) -> bool:
        """Return whether a run is to be awaited."""
        return run.recipe.pool is self._pools.tasks

    def perform(self, run: Run) -> None:
        """Call a function in this thread, with context variables of its own, as threads have."""
        Variables().run(self._execution.perform, run)

    async def perform_async(self, run: Run) -> None:
        """Await a coroutine function in an asyncio task of its own."""
        performance = self._execution.perform_async(run)
        await asyncio.get_running_loop().create_task(performance, context=Variables())
        # To the run, a cancelled caller is a failure like others, and ends there.
        caller = asyncio.current_task()
        if caller is not None and caller.cancelling():
            raise asyncio.CancelledError

    def finish(self, run: Run) -> None:
        """See that what became of a run is written, and raise what nobody expected.

        Raises:
            EngineBusy: it could not be written.
        """
        self._reports.stop()
        if not self._leases.wait_until(lambda held: run not in held, self._site.terms.deadline):
            raise EngineBusy(
                f"what became of job {run.job_id} could not be written within"
                f" {self._site.terms.deadline:g} s; the log says why"
            )
        job = self._app.job(run.job_id)
        assert job.record is not None, "the App has just looked it up"
        self.ran.append(job.record)
        error = self._witness.error or _death(job, job.record)
        if error is not None and not isinstance(error, self._expected):
            kind, task = type(error).__name__, job.record.message.task
            error.add_note(
                f"It ended attempt {run.lease.attempt} of {task}, job {run.job_id}."
                f" If that is what the test is about: drain(expected={kind})."
            )
            raise error


class Witness(Endings):
    """Judges as others do, and keeps the exception of which only the text would be left.

    Args:
        judge: the one who judges.

    Attributes:
        error: what the run raised, unless it was an outcome.
    """

    def __init__(self, judge: Endings) -> None:
        self._judge = judge
        self.error: BaseException | None = None

    def of_value(self, value: object) -> Ending:
        """Return the ending of a run that returned `value`."""
        return self._judge.of_value(value)

    def of_error(self, error: BaseException, logs: Sequence[str] = ()) -> Ending:
        """Return the ending of a run that raised `error`."""
        ending = self._judge.of_error(error, logs)
        if ending.kind == "failed":
            self.error = error
        return ending


def _death(job: Job[object], record: Record) -> BaseException | None:
    """Return what to raise for a job that died without an exception of its own, if it did."""
    failure = record.failure
    if record.state is not State.DEAD or failure is None or failure.cause not in _NO_EXCEPTION:
        return None
    try:
        job.result(0)
    except JobDead as dead:
        return dead
    return None


def _in_process(app: App) -> Registry:
    """Return the tasks as they are run here: none of them in a child."""
    registry = Registry()
    for task in app.registry:
        registry.add(replaced(task, process=False))
    return registry


def _site(app: App) -> Site:
    config = app.config
    terms = Terms(
        queues=(),
        holder=app.ids.nonce(),
        lease=LEASE_SECONDS,
        grace=config.grace,
        poll=config.poll,
        max_result=config.max_result,
        deadline=config.deadline,
    )
    return Site(
        engine=app.engine,
        terms=terms,
        clock=app.clock,
        ids=app.ids,
        telemetry=app.telemetry,
        ended=lambda _: None,
    )
