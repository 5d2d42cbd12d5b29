"""App: what users declare tasks on, and submit their calls to."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

from headrace.callers import Patience, answer, in_thread, pause, refuse_on_loop
from headrace.clock import Clock, SystemClock
from headrace.codec import Returns
from headrace.config import load
from headrace.connect import Borrowed, Connection
from headrace.declaration import Declaration
from headrace.engine import Engine
from headrace.errors import JobNotFound, QueueFull
from headrace.ids import Ids
from headrace.intake import Companion, Intake, Jobs, Submission, unknown
from headrace.job import Job
from headrace.middleware import Middleware
from headrace.record import Record
from headrace.registry import Registry
from headrace.reply import Reply, Unanswered
from headrace.task import Call
from headrace.telemetry import Telemetry
from headrace.watcher import Watcher
from headrace.write import LimitQueue, Write


class App:
    """A set of tasks and the engine that keeps their jobs. Several may live in one process.

    The engine is opened at the first use, and at the next use after `close()`. When a failure made
    it stop, every call raises `EngineClosed` until `open()` is called: whoever goes on should know.

    Args:
        url: where everything is kept: `sqlite:///file`, `sqlite:////absolute/file`,
            `postgresql://user:password@host:port/database` or `memory:`.
        middleware: what is wrapped around every run, the first one outermost.
        clock: what tells the time.
        ids: what makes ids and random numbers.
        config: fields of `Config`; what is not given comes from the environment
            (`HEADRACE_URL`), `[tool.headrace]` in pyproject.toml, or the defaults.

    Attributes:
        task: declares tasks: `@app.task`, or `@app.task(queue="images")`.
        config: the settings, merged.
        registry: the tasks, by name.
        middleware: what is wrapped around every run.
        telemetry: tells subscribers what happens.
        clock: what tells the time.
        ids: what makes ids and random numbers.
        companions: say what is written beside new jobs, in the same commit.

    Raises:
        ConfigError: a setting is unknown or of the wrong kind, or no engine serves the URL.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        middleware: Sequence[Middleware] = (),
        clock: Clock | None = None,
        ids: Ids | None = None,
        **config: Any,
    ) -> None:
        self.config = load(config if url is None else {"url": url, **config})
        self.clock = clock or SystemClock()
        self.ids = ids or Ids(self.clock)
        self.middleware = tuple(middleware)
        self.telemetry = Telemetry()
        self.companions: list[Companion] = []
        self.registry = Registry()
        self.task = Declaration(self.registry, self, self.config)
        self._connection: Connection | Borrowed = Connection(self.config, self.clock, self.ids)
        self._patience = Patience(self.config.deadline)
        self._lock = threading.Lock()
        self._intake: Intake | None = None

    def __repr__(self) -> str:
        return f"<App {self.config.place} with {len(self.registry)} tasks>"

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        await self.aopen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @property
    def engine(self) -> Engine:
        """The engine, open."""
        return self.intake.engine

    @property
    def intake(self) -> Intake:
        """Where calls become jobs; it opens the engine if need be."""
        if self._intake is None:
            self.open()
        return self._intake or self._opened()

    async def aintake(self) -> Intake:
        """Return where calls become jobs; the twin of `intake`."""
        if self._intake is None:
            await self.aopen()
        return self._intake or self._opened()

    def open(self) -> None:
        """Open the engine now rather than at the first use, or again after a failure. Idempotent.

        Raises:
            StorageUnfit: the storage cannot keep the promises.
            StorageCorrupt: it is damaged, or somebody else's.
        """
        refuse_on_loop("app.open()", "await app.aopen()")
        self._connection.open().wait(self.config.deadline)
        if (limits := self._limits()) and self._intake is None:
            self._connection.engine.commit(limits).wait(self.config.deadline)
        self._opened()

    async def aopen(self) -> None:
        """Open the engine; the twin of `open`, with the same errors."""
        await answer(self._connection.open(), self.config.deadline)
        if (limits := self._limits()) and self._intake is None:
            await answer(self._connection.engine.commit(limits), self.config.deadline)
        self._opened()

    def close(self) -> None:
        """Finish what was handed over and let go of the engine. Idempotent."""
        refuse_on_loop("app.close()", "await app.aclose()")
        self._leave().wait(self.config.deadline)

    async def aclose(self) -> None:
        """Let go of the engine; the twin of `close`."""
        await answer(await in_thread(self._leave), self.config.deadline)

    def submit(self, calls: Iterable[Call[Any]], *, tx: object | None = None) -> Jobs:
        """Submit many calls in one transaction: all of them are accepted, or none.

        Args:
            calls: what `task.call(...)` returns; they run in this order, as far as order matters.
            tx: a transaction that they are a part of; they become jobs when it commits. A task's
                own, or that of a connection of yours to the same PostgreSQL database.

        Returns:
            A job for each call. They are durable, unless there is a `tx`.

        Raises:
            DuplicateJob: a live job holds the unique key of one of them.
            QueueFull: a queue is full, and stayed so for the seconds of the `wait` option.
            StorageFull: the disk is full.
            OutcomeUnknown: they may or may not have been accepted; their ids are in the error.
            BlockingCall: an event loop runs in this thread: await `asubmit`.
            Unsupported: the engine cannot join the transaction of a connection.
            UsageError: it cannot join this one: none is open, or it is another database's.
        """
        refuse_on_loop("app.submit()", "await app.asubmit(...)")
        intake = self._intake or self.intake
        submission = Submission(calls, tx)
        while submission.calls:
            reply, jobs = intake.send(submission.calls, submission.tx)
            try:
                reply.wait(self.config.deadline)
            except QueueFull as full:
                time.sleep(submission.pause(full, intake))
            except Unanswered as error:
                raise unknown(jobs) from error
            else:
                return jobs
        return []

    async def asubmit(self, calls: Iterable[Call[Any]], *, tx: object | None = None) -> Jobs:
        """Submit many calls; the twin of `submit`, with the same answer and errors."""
        intake = await self.aintake()
        submission = Submission(calls, tx)
        while submission.calls:
            reply, jobs = intake.send(submission.calls, submission.tx)
            try:
                await self._patience.answer(reply)
            except QueueFull as full:
                await pause(submission.pause(full, intake))
            except Unanswered as error:
                raise unknown(jobs) from error
            else:
                return jobs
        return []

    def job(self, job_id: str) -> Job[Any]:
        """Return a job by its id; `job.record` is what the ledger knows of it.

        Raises:
            JobNotFound: the id is wrong, or the job was pruned.
        """
        refuse_on_loop("app.job()", "await app.ajob(...)")
        return self._found(job_id, self.engine.get([job_id]).wait(self.config.deadline))

    async def ajob(self, job_id: str) -> Job[Any]:
        """Return a job by its id; the twin of `job`."""
        intake = await self.aintake()
        reply = intake.engine.get([job_id])
        return self._found(job_id, await answer(reply, self.config.deadline))

    @contextmanager
    def diverted(self, engine: Engine, clock: Clock, ids: Ids) -> Iterator[None]:
        """Use another engine in a `with` block, and then its own again, as if nothing had been.

        It is made for tests: whatever the program does with this App meanwhile, in any thread,
        happens there. `headrace.testing.Harness` brings an engine, and looks after it.

        Args:
            engine: is open, and stays so: closing the App in the block is not closing it.
            clock: what tells the time in the block.
            ids: what makes ids and random numbers in the block.
        """
        own = self._connection, self._intake, self.clock, self.ids
        with self._lock:
            self._connection, self._intake = Borrowed(engine), None
            self.clock, self.ids = clock, ids
        try:
            yield
        finally:
            self._stop_watching()
            with self._lock:
                self._connection, self._intake, self.clock, self.ids = own

    def _opened(self) -> Intake:
        with self._lock:
            if self._intake is None:
                engine = self._connection.engine
                fraction, deadline = self.ids.fraction, self.config.deadline
                watcher = Watcher(engine, self.clock, fraction, deadline)
                companions = self.companions
                self._intake = Intake(
                    engine, watcher, self.ids, self.clock, self.telemetry, companions
                )
            return self._intake

    def _leave(self) -> Reply[None]:
        self._stop_watching()
        with self._lock:  # both at once: no intake is made of an engine that is left
            self._intake = None
            return self._connection.close()

    def _stop_watching(self) -> None:
        if (intake := self._intake) is not None:
            intake.watcher.close()

    def _limits(self) -> list[Write[Any]]:
        return [LimitQueue(queue, limits) for queue, limits in self.config.queues.items()]

    def _found(self, job_id: str, records: dict[str, Record]) -> Job[Any]:
        if job_id not in records:
            raise JobNotFound(
                f"no job {job_id}: the id is wrong, its transaction is not committed, or it was"
                " pruned"
            )
        record = records[job_id]
        name = record.message.task
        # Another program's task: its results are plain data here.
        known = name in self.registry
        returns = self.registry.get(name).returns if known else Returns(_anything, name)
        return Job(job_id, self._opened().watcher, returns, record)


def _anything() -> Any:
    """Stand for a function of which nothing is known."""
