"""In a transaction of the caller's own: the job exists if and only if that transaction commits."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing

import psycopg
import pytest
from psycopg import sql

from headrace import App, DuplicateJob, Job, JobNotFound
from headrace.engines.postgresql import guest
from headrace.errors import EngineBusy, QueueFull, UsageError
from headrace.record import QueueLimits, State
from headrace.write import LimitQueue
from tests.conformance.callers import CALLERS, Caller, call, program
from tests.faults.processes import until
from tests.postgresql import Place, some_database

Make = Callable[[str], Caller]


@pytest.fixture
def app(postgresql: Place) -> Iterator[App]:
    """Give an App whose jobs are looked at from outside of the caller's transaction."""
    with program(postgresql.url) as app:
        yield app


@pytest.fixture
def table(postgresql: Place) -> Iterator[str]:
    """Give a table of the caller's own."""
    name = f"{postgresql.schema}_own"
    with psycopg.connect(postgresql.server, autocommit=True) as connection:
        connection.execute(sql.SQL("create table {} (word text)").format(sql.Identifier(name)))
        yield name
        connection.execute(sql.SQL("drop table {}").format(sql.Identifier(name)))


@pytest.fixture
def words(postgresql: Place, table: str) -> Callable[[], list[str]]:
    """Give what tells the committed words in the caller's table."""

    def words() -> list[str]:
        with psycopg.connect(postgresql.server) as connection:
            rows = connection.execute(sql.SQL("select word from {}").format(sql.Identifier(table)))
            return sorted(word for (word,) in rows)

    return words


@pytest.fixture(params=CALLERS)
def caller(request: pytest.FixtureRequest, postgresql: Place, app: App) -> Iterator[Caller]:
    """Give a program with each kind of connection."""
    caller = CALLERS[request.param](postgresql.server, app)
    yield caller
    caller.close()


def exists(app: App, job: Job[str]) -> bool:
    """Whether a job is there for everybody."""
    return bool(app.engine.states([job.id]).wait(10))


def insert(table: str, word: str) -> str:
    """Return the statement that writes a word."""
    return f"insert into {table} values ('{word}')"  # noqa: S608 - the names are ours


Words = Callable[[], list[str]]


def commits(app: App, caller: Caller, table: str, words: Words) -> None:
    """See that a job comes with the commit, and not before."""
    caller.begin()
    caller.execute(insert(table, "a"))
    jobs = caller.submit([call(app, "a"), call(app, "b")])
    assert [exists(app, job) for job in jobs] == [False, False]
    assert words() == []
    caller.commit()
    assert [exists(app, job) for job in jobs] == [True, True]
    assert words() == ["a"]


def rolls_back(app: App, caller: Caller, table: str, words: Words) -> None:
    """See that no job comes of what is rolled back, and that all can go on."""
    caller.begin()
    (job,) = caller.submit([call(app, "a")])
    caller.execute(insert(table, "a"))
    caller.rollback()
    assert not exists(app, job)
    assert words() == []


def test_a_job_comes_with_the_commit(app: App, caller: Caller, table: str, words: Words) -> None:
    commits(app, caller, table, words)


def test_no_job_comes_of_a_rollback(app: App, caller: Caller, table: str, words: Words) -> None:
    rolls_back(app, caller, table, words)
    commits(app, caller, table, words)


@pytest.mark.parametrize("kind", ["psycopg", "asyncpg", "SQLAlchemy's Session", "Django"])
def test_a_guest_that_commits_is_found(
    kind: str, app: App, postgresql: Place, table: str, words: Words
) -> None:
    with pytest.MonkeyPatch.context() as planted:
        planted.setattr(guest, "_RELEASE", ("commit", ()))
        for finds in (commits, rolls_back):
            with (
                closing(CALLERS[kind](postgresql.server, app)) as caller,
                pytest.raises(AssertionError, match=r"exists|False, False"),
            ):
                finds(app, caller, table, words)


def test_what_is_undone_to_a_savepoint_takes_its_jobs_with_it(
    app: App, caller: Caller, table: str, words: Words
) -> None:
    caller.begin()
    caller.execute(insert(table, "kept"))
    (before,) = caller.submit([call(app, "before")])
    caller.execute("savepoint own")
    (within,) = caller.submit([call(app, "within")])
    caller.execute(insert(table, "undone"))
    caller.execute("rollback to savepoint own")
    (after,) = caller.submit([call(app, "after")])
    caller.commit()
    assert [exists(app, job) for job in (before, within, after)] == [True, False, True]
    assert words() == ["kept"]


def test_a_refused_submit_leaves_the_transaction_as_it_was(
    app: App, caller: Caller, table: str, words: Words
) -> None:
    app.engine.apply(LimitQueue("narrow", QueueLimits(max_depth=1))).wait(10)
    (holder,) = app.submit([call(app, "holder", unique_key="k")])
    caller.begin()
    caller.execute(insert(table, "a"))
    with pytest.raises(DuplicateJob) as refused:
        caller.submit([call(app, "a"), call(app, "rival", unique_key="k")])
    assert refused.value.job_id == holder.id
    with pytest.raises(QueueFull):
        caller.submit([call(app, str(n), queue="narrow", wait=60) for n in range(2)])
    (job,) = caller.submit([call(app, "b", queue="narrow", unique_key="other")])
    caller.execute(insert(table, "b"))
    caller.commit()
    assert exists(app, job)
    assert words() == ["a", "b"]
    (status,) = app.engine.depth(["default"]).wait(10)
    assert status.depth == 1


def test_a_transaction_that_cannot_be_serialized_is_to_be_repeated(
    app: App, caller: Caller, words: Words
) -> None:
    caller.begin()
    caller.execute("set transaction isolation level repeatable read")
    caller.execute("select 1")
    app.submit([call(app, "rival", unique_key="k")])
    with pytest.raises(EngineBusy, match="repeat all of it") as told:
        caller.submit([call(app, "a", unique_key="k")])
    assert told.value.__cause__ is not None
    caller.rollback()
    caller.begin()
    with pytest.raises(DuplicateJob):
        caller.submit([call(app, "a", unique_key="k")])
    caller.rollback()
    assert words() == []


def test_a_transaction_that_has_failed_is_told(app: App, caller: Caller) -> None:
    caller.begin()
    with pytest.raises(Exception, match="division by zero"):
        caller.execute("select 1 / 0")
    with pytest.raises(UsageError, match=r"failed before|ended Django's transaction"):
        caller.submit([call(app, "a")])
    caller.rollback()


def test_another_database_is_refused(app: App, caller: Caller) -> None:
    with some_database() as url, program(url) as elsewhere:
        caller.app = elsewhere
        caller.begin()
        with pytest.raises(UsageError, match="another database"):
            caller.submit([call(elsewhere, "a")])
        caller.app = app
        (job,) = caller.submit([call(app, "a")])
        caller.commit()
    assert exists(app, job)


@pytest.mark.parametrize("kind", CALLERS)
def test_a_process_that_is_killed_leaves_nothing(
    kind: str, app: App, postgresql: Place, table: str, words: Words
) -> None:
    steps = [kind, postgresql.server, postgresql.url, insert(table, "killed")]
    victim = subprocess.Popen(
        [sys.executable, "-m", "tests.conformance.callers", *steps],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert victim.stdout is not None
    job_id = victim.stdout.readline().strip()
    victim.kill()
    victim.communicate()
    with psycopg.connect(postgresql.server, autocommit=True) as connection:

        def rolled_back() -> bool:
            row = connection.execute(
                "select count(*) from pg_locks where relation = %s::regclass and mode like 'Row%%'",
                (table,),
            ).fetchone()
            return row == (0,)

        until(rolled_back, "the server to notice", 10, show=str)
    assert app.engine.states([job_id]).wait(10) == {}
    assert words() == []
    with pytest.raises(JobNotFound, match="not committed"):
        app.job(job_id)


def test_all_kinds_of_options_are_kept(app: App, caller: Caller) -> None:
    caller.begin()
    jobs = caller.submit(
        [
            call(app, "plain", tags=["t"]),
            call(app, "later", delay=60),
            call(app, "first", order_key="o"),
            call(app, "second", order_key="o"),
            call(app, "skipping", order_key="s", order_on_wait="skip", expires=60),
        ]
    )
    caller.commit()
    states = app.engine.states([job.id for job in jobs]).wait(10)
    assert [states[job.id] for job in jobs] == [
        State.READY, State.SCHEDULED, State.READY, State.READY, State.READY,
    ]  # fmt: skip
    leases = [
        lease
        for _ in range(2)
        for lease in app.engine.lease(["default"], limit=9, seconds=30, holder="w").wait(10)
    ]
    claimed = [lease.job_id for lease in leases]
    assert sorted(claimed) == sorted(jobs[place].id for place in (0, 2, 4))
