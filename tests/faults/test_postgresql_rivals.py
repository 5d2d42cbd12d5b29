"""Many engines do everything at once on one schema, and every job is in one place at any time."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial
from random import Random

import psycopg
import pytest

from headrace.cargo import MOVE_PREFIX, unpack
from headrace.engines.postgresql import PostgreSQLEngine, trouble, writer
from headrace.engines.postgresql.address import Address
from headrace.engines.postgresql.link import Link
from headrace.engines.postgresql.plan import Moment, Plan, do
from headrace.errors import DuplicateJob
from headrace.ids import Ids
from headrace.record import Failure, QueueLimits, State
from headrace.testing.steps import PATIENCE, apply, claim, maintain, message
from headrace.write import (
    CancelJobs,
    Delete,
    Depart,
    EditJobs,
    Extend,
    LimitQueue,
    PauseQueue,
    PurgeJobs,
    Reclaim,
    Restore,
    RetryJobs,
    Send,
    Settle,
    Settlement,
)
from tests.faults.processes import until
from tests.postgresql import Place, some_database, some_place

RIVALS = 4
STEPS = 150
CRASH = Failure(cause="crash", message="exit code 1")
ENDS = (State.SUCCEEDED,) * 4 + (State.SCHEDULED, State.READY, State.DEAD, State.CANCELLED)

# Each answers with the number of jobs for which it does not hold.
IN_ONE_PLACE = """
select count(*) from headrace.job
left join headrace.front on front.seq = job.seq
left join headrace.ordered on ordered.seq = job.seq
where (
  (select count(*) from headrace.ready where ready.seq = job.seq)
  + (select count(*) from headrace.scheduled where scheduled.seq = job.seq)
  + (select count(*) from headrace.running where running.seq = job.seq)
  + (select count(*) from headrace.finished where finished.seq = job.seq)
) <> case when ordered.seq is not null and front.seq is null and not exists (
  select 1 from headrace.scheduled where scheduled.seq = ordered.seq
) then 0 else 1 end
"""
COUNTED = """
select count(*) from (
  select name,
    depth + coalesce((select sum(jobs) from headrace.flow where flow.queue = queue.id), 0) as told
  from headrace.queue
) counts
where told <> (
  select count(*) from headrace.job join headrace.queue on queue.id = job.queue
  where queue.name = counts.name
  and not exists (select 1 from headrace.finished where finished.seq = job.seq)
)
"""
GROUPS_LED = """
select count(*) from headrace.front where seq is not null and not exists (
  select 1 from headrace.ready where ready.seq = front.seq
  union all select 1 from headrace.running where running.seq = front.seq
)
"""
KEYS_HELD = """
select count(*) from headrace.unique_key
join headrace.job using (id) join headrace.finished using (seq)
"""
RULES = (IN_ONE_PLACE, COUNTED, GROUPS_LED, KEYS_HELD)


@pytest.fixture
def place() -> Iterator[Place]:
    with some_place() as place:
        yield place


@pytest.fixture
def alone() -> Iterator[Place]:
    """Give a schema in a database of our own: the server counts deadlocks for each database."""
    with some_database() as url:
        place = Place(url)
        try:
            yield place
        finally:
            place.close()


def deadlocks(place: Place, *, least: int = 0) -> int:
    """Return how many the server has counted in a database; wait until it tells of some.

    A process tells of its own when it ends, or a second later.
    """
    with psycopg.connect(place.server, autocommit=True) as connection:

        def counted() -> int:
            connection.execute("select pg_stat_clear_snapshot()")
            row = connection.execute(
                "select deadlocks from pg_stat_database where datname = current_database()"
            ).fetchone()
            return int(row[0]) if row else 0

        until(lambda: counted() >= least, "deadlocks to be counted", 20, show=lambda: "")
        return counted()


class Rival:
    """One host: an engine of its own, and dice."""

    def __init__(self, place: Place, number: int, known: list[str]) -> None:
        self.engine = PostgreSQLEngine(place.url, poll=0.1, allow_unsafe_server=True)
        self.engine.open().wait(30)
        self.dice = Random(number)
        self.ids = Ids()
        self.known = known
        self.holder = f"rival-{number}"
        self.failed: list[BaseException] = []
        self.moved = 0

    def run(self) -> None:
        """Do something, again and again."""
        kinds = [self.send] * 3 + [self.work] * 5 + [self.change] * 2 + [self.look] * 2
        kinds += [self.move]
        try:
            for _ in range(STEPS):
                self.dice.choice(kinds)()
        except BaseException as error:  # noqa: BLE001 - shown by the assertion
            self.failed.append(error)

    def send(self) -> None:
        dice = self.dice
        jobs = [
            message(
                "a",
                id=job_id,
                order_key=dice.choice((None, "g1", "g2", "g3")),
                order_on_wait=dice.choice(("hold", "skip")),
                unique_key=dice.choice((None,) * 6 + ("k1", "k2")),
                on_conflict=dice.choice(("reject", "replace")),
                delay=dice.choice((None, None, None, 0.01)),
                priority=dice.randrange(2),
                queue=dice.choice(("default", "other")),
            )
            for job_id in self.ids.job_ids(1 + dice.randrange(4))
        ]
        try:
            apply(self.engine, Send(tuple(jobs)))
        except DuplicateJob:
            return
        self.known += [job.id for job in jobs]

    def work(self) -> None:
        leases = claim(self.engine, 5, queues=("default", "other"), holder=self.holder)
        if self.dice.random() < 0.1:
            return  # they are lost, and reclaimed by somebody
        apply(self.engine, Extend(leases, 30.0))
        settlements = [
            Settlement(lease=one, to=self.dice.choice(ENDS), delay=0.01, failure=CRASH)
            for one in leases
        ]
        self.dice.shuffle(settlements)
        apply(self.engine, Settle(tuple(settlements)))

    def change(self) -> None:
        ids = tuple(self.dice.sample(self.known, min(len(self.known), 5)))
        write = self.dice.choice(
            (
                CancelJobs(ids),
                RetryJobs(ids),
                PurgeJobs(ids),
                EditJobs(ids, priority=self.dice.randrange(3)),
                EditJobs(ids, run_at=1.0),
                Reclaim(f"rival-{self.dice.randrange(RIVALS)}", CRASH),
                LimitQueue("other", QueueLimits(max_depth=self.dice.choice((None, 10_000)))),
            )
        )
        try:
            apply(self.engine, write)
        except DuplicateJob:
            return

    def move(self) -> None:
        """Let jobs depart, and take them in again; they are lost if their unique key is taken."""
        key = f"{MOVE_PREFIX}out/{self.holder}"
        apply(self.engine, PauseQueue("other"))
        try:
            departed = apply(self.engine, Depart(key, 1 + self.dice.randrange(9), 1 << 20))
        finally:
            apply(self.engine, PauseQueue("other", paused=False))
        entry = self.engine.load([key]).wait(PATIENCE).get(key)
        assert (entry is not None) == (departed.jobs > 0)
        if entry is None:
            return
        cargo = unpack(entry.value)
        assert len(cargo.jobs) == departed.jobs
        apply(self.engine, Delete(key))
        try:
            apply(self.engine, Restore(cargo))
        except DuplicateJob:
            return
        self.moved += departed.jobs

    def look(self) -> None:
        self.engine.maintain().wait(PATIENCE)
        self.engine.depth().wait(PATIENCE)


def broken(place: Place) -> list[int]:
    """Return for how many jobs each rule does not hold."""
    link = Link(Address(place.url), narrow=False)
    try:
        return [int(link.say(rule)[0][0]) for rule in RULES]
    finally:
        link.close()


def test_rivals_leave_every_job_in_one_place(alone: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place = alone
    repeated = repetitions(monkeypatch)
    known: list[str] = []
    rivals = [Rival(place, number, known) for number in range(RIVALS)]
    threads = [threading.Thread(target=rival.run) for rival in rivals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [error for rival in rivals for error in rival.failed] == []
    assert broken(place) == [0] * len(RULES)
    engine = rivals[0].engine
    for number in range(RIVALS):
        apply(engine, Reclaim(f"rival-{number}", CRASH))
    waiting = engine.states(known).wait(30)
    late = [job_id for job_id, state in waiting.items() if state is State.SCHEDULED]
    apply(engine, RetryJobs(tuple(late)))
    empty = 0
    while empty < 3:  # a delay may still be under way
        leases = claim(engine, 50, queues=("default", "other"))
        done = [Settlement(lease=lease, to=State.SUCCEEDED) for lease in leases]
        apply(engine, Settle(tuple(done)))
        maintain(engine)
        empty = 0 if leases else empty + 1
    states = Counter(engine.states(known).wait(30).values())
    assert sum(rival.moved for rival in rivals)
    assert not {State.READY, State.SCHEDULED, State.RUNNING} & states.keys()
    assert states[State.SUCCEEDED]
    assert broken(place) == [0] * len(RULES)
    for rival in rivals:
        rival.engine.close().wait(30)
    # None was told to anybody: those that the server broke were repeated, each of them.
    assert deadlocks(place, least=len(repeated)) == len(repeated)


def repetitions(patch: pytest.MonkeyPatch) -> list[BaseException]:
    """Return a list that grows by each deadlock that a writer repeats."""
    seen: list[BaseException] = []

    def kind_of(error: BaseException, *, lost: bool) -> trouble.Kind:
        kind = judged(error, lost=lost)
        if isinstance(error, psycopg.errors.DeadlockDetected) and kind is trouble.Kind.REPEAT:
            seen.append(error)
        return kind

    judged = trouble.kind_of
    patch.setattr(writer, "kind_of", kind_of)
    return seen


def test_deadlocks_are_counted_and_repeated(alone: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    repeated = repetitions(monkeypatch)
    engines = [PostgreSQLEngine(alone.url, allow_unsafe_server=True) for _ in range(2)]
    meeting = threading.Barrier(2, timeout=20)
    met = threading.Event()
    for engine in engines:
        engine.open().wait(30)
        apply(engine, LimitQueue("a", QueueLimits(max_depth=9)))
        apply(engine, LimitQueue("b", QueueLimits(max_depth=9)))

    def plan(names: tuple[str, str], _: Moment) -> Plan[None]:
        first, second = names
        yield do("queue_lock", first)
        if not met.is_set():
            meeting.wait()
            met.set()
        yield do("queue_lock", second)

    replies = [
        engine._write(partial(plan, names))
        for engine, names in zip(engines, (("a", "b"), ("b", "a")), strict=True)
    ]
    for reply in replies:
        reply.wait(30)
    for engine in engines:
        engine.close().wait(30)
    assert len(repeated) >= 1
    assert deadlocks(alone, least=len(repeated)) == len(repeated)


@pytest.mark.parametrize(
    ("plant", "rule"),
    [
        ("insert into headrace.ready select 1, 0, seq from headrace.running", 0),
        ("delete from headrace.running", 0),
        ("delete from headrace.flow; update headrace.queue set depth = 99", 1),
        ("insert into headrace.front values (1, 'nobody', 99)", 2),
    ],
)
def test_a_planted_fault_is_found(place: Place, plant: str, rule: int) -> None:
    engine = PostgreSQLEngine(place.url, allow_unsafe_server=True)
    engine.open().wait(30)
    apply(engine, Send((message("a"),)))
    claim(engine)
    engine.close().wait(30)
    link = Link(Address(place.url), narrow=False)
    link.say(plant)
    link.close()
    assert broken(place)[rule] > 0
