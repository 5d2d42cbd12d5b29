"""What PostgreSQL keeps of a job is gone when it has departed, and there when it is back."""

from __future__ import annotations

import psycopg
import pytest
from msgspec.structs import replace
from psycopg import sql

from headrace.cargo import MOVE_PREFIX, Cargo, unpack
from headrace.engines.postgresql import PostgreSQLEngine, changing, moving, sending
from headrace.engines.postgresql.link import Link
from headrace.engines.postgresql.settling import settle as settling
from headrace.errors import DuplicateJob, InvalidOption
from headrace.record import State
from headrace.testing.steps import (
    PATIENCE,
    apply,
    bury,
    claim_one,
    depth,
    fail,
    job_id,
    labels,
    message,
    send,
    settle,
    state,
)
from headrace.write import (
    Delete,
    Depart,
    Departed,
    PauseQueue,
    Put,
    Restore,
    RetryJobs,
    Settle,
    Settlement,
)
from tests.postgresql import Place
from tests.unit.engines.postgresql.rivals import begun, claimed, somebody_waits

KEY = f"{MOVE_PREFIX}out/1"
DEPART = Depart(KEY, 100, 1 << 20)
TABLES = (
    "job", "ready", "scheduled", "running", "finished", "tally", "history", "ordered", "front",
    "unique_key", "expiry", "cancelling", "tag",
)  # fmt: skip


def rows(place: Place) -> dict[str, list[tuple[object, ...]]]:
    """Return what the tables about jobs hold, without their places."""
    found: dict[str, list[tuple[object, ...]]] = {}
    with psycopg.connect(place.server) as connection:
        for table in TABLES:
            name = sql.Identifier(place.schema, table)
            every = sql.SQL("select to_jsonb(t) - 'seq' from {} t order by t::text").format(name)
            numbered = sql.SQL("select to_jsonb(t) - 'seq' from {} t order by seq, t::text").format(
                name
            )
            query = every if table in ("unique_key", "front") else numbered
            found[table] = connection.execute(query).fetchall()
    return found


def unload(engine: PostgreSQLEngine) -> Cargo:
    """Take the cargo out of the store."""
    entry = engine.load([KEY]).wait(PATIENCE).get(KEY)
    assert entry is not None
    apply(engine, Delete(KEY))
    return unpack(entry.value)


def depart(engine: PostgreSQLEngine) -> Cargo:
    """Let jobs depart, and take them out of the store."""
    apply(engine, PauseQueue("default"))
    apply(engine, DEPART)
    return unload(engine)


def test_every_row_goes_and_comes_back(engine: PostgreSQLEngine, postgresql: Place) -> None:
    send(engine, "done", "tried")
    settle(engine, claim_one(engine))
    fail(engine, claim_one(engine), delay=0.0)
    send(engine, "a", "b", order_key="k", tags=("x", "y"), priority=3, expires_after=60.0)
    send(engine, "c", order_key="k", delay=30.0, unique_key="u", attempt=2)
    before = rows(postgresql)
    assert all(before[table] for table in TABLES if table not in ("running", "cancelling"))
    live, finished = depart(engine), depart(engine)
    assert labels(live.jobs) == ["tried", "a", "b", "c"]
    assert not any(rows(postgresql).values())
    for cargo in (finished, live):
        apply(engine, Restore(cargo))
    assert rows(postgresql) == before


def test_a_departure_awaits_a_claim_and_leaves_the_job(
    engine: PostgreSQLEngine, link: Link, postgresql: Place
) -> None:
    send(engine, "a", "b")
    claimed(link)
    apply(engine, PauseQueue("default"))
    reply = engine.apply(DEPART)
    somebody_waits(postgresql)
    link.say("commit")
    assert reply.wait(PATIENCE) == Departed(jobs=1)
    assert labels(unload(engine).jobs) == ["b"]
    assert state(engine, "a") is State.RUNNING


def test_a_group_whose_front_is_being_claimed_stays(
    engine: PostgreSQLEngine, link: Link, postgresql: Place
) -> None:
    send(engine, "a", delay=60.0, order_key="k", order_on_wait="skip")
    send(engine, "b", "c", order_key="k")
    send(engine, "d", order_key="other")
    claimed(link)
    apply(engine, PauseQueue("default"))
    # The limit lets only the first of the group be looked at, which is not the one at its front.
    reply = engine.apply(Depart(KEY, 1, 1 << 20))
    somebody_waits(postgresql)
    link.say("commit")
    assert reply.wait(PATIENCE) == Departed(jobs=1)
    assert labels(unload(engine).jobs) == ["d"]


def test_what_a_rival_settles_meanwhile_departs_as_it_is_then(
    engine: PostgreSQLEngine, link: Link
) -> None:
    send(engine, "a", "b", order_key="k")
    lease = claim_one(engine)
    run = Settlement(lease=lease, to=State.SCHEDULED, delay=60.0)
    begun(link, lambda moment: settling(Settle((run,)), moment))
    apply(engine, PauseQueue("default"))
    assert apply(engine, DEPART) == Departed()  # it still runs, for all that is known
    link.say("commit")
    assert labels(depart(engine).jobs) == ["a", "b"]


def test_a_redriven_job_is_awaited_and_not_taken_as_finished(
    engine: PostgreSQLEngine, link: Link, postgresql: Place
) -> None:
    send(engine, "a")
    bury(engine, claim_one(engine))
    begun(link, lambda moment: changing.retry(RetryJobs((job_id("a"),)), moment))
    apply(engine, PauseQueue("default"))
    reply = engine.apply(DEPART)
    somebody_waits(postgresql)
    link.say("commit")
    assert reply.wait(PATIENCE) == Departed()
    (job,) = depart(engine).jobs
    assert job.state is State.READY


def test_of_two_departures_each_job_leaves_once(
    engine: PostgreSQLEngine, link: Link, postgresql: Place
) -> None:
    send(engine, "a", "b")
    apply(engine, PauseQueue("default"))
    first = Depart(f"{MOVE_PREFIX}out/0", 1, 1 << 20)
    begun(link, lambda moment: moving.depart(first, moment))
    reply = engine.apply(DEPART)
    somebody_waits(postgresql)
    link.say("commit")
    assert reply.wait(PATIENCE) == Departed(jobs=1)
    assert labels(unload(engine).jobs) == ["b"]


def test_an_arrival_awaits_a_rival_for_the_key(
    engine: PostgreSQLEngine, link: Link, postgresql: Place
) -> None:
    send(engine, "a", unique_key="k")
    cargo = depart(engine)
    begun(link, lambda moment: sending.send((message("b", unique_key="k"),), moment))
    reply = engine.apply(Restore(cargo))
    somebody_waits(postgresql)
    link.say("commit")
    with pytest.raises(DuplicateJob) as refused:
        reply.wait(PATIENCE)
    assert refused.value.job_id == job_id("b")
    assert depth(engine).depth == 1


def test_an_id_that_holds_its_key_here_is_told_as_taken(engine: PostgreSQLEngine) -> None:
    send(engine, "a", unique_key="k")
    cargo = depart(engine)
    send(engine, "a", unique_key="other")
    with pytest.raises(DuplicateJob) as refused:
        apply(engine, Restore(cargo))
    assert refused.value.job_id == job_id("a")


def test_an_id_that_cannot_be_one_here_is_refused(engine: PostgreSQLEngine) -> None:
    send(engine, "a")
    (job,) = depart(engine).jobs
    odd = replace(job, message=replace(job.message, id="order-17"))
    with pytest.raises(InvalidOption, match="order-17"):
        apply(engine, Restore(Cargo(jobs=(odd,))))


def test_a_lower_token_of_another_engine_does_not_set_ours_back(
    engine: PostgreSQLEngine,
) -> None:
    send(engine, "a", "b", "c")
    first = claim_one(engine).token
    apply(engine, Restore(Cargo(token=first + 1000)))
    second = claim_one(engine).token
    assert second > first + 1000
    apply(engine, Restore(Cargo(token=first)))
    assert claim_one(engine).token == second + 1


def test_a_token_that_was_forgotten_in_a_crash_is_below_the_cargos(
    engine: PostgreSQLEngine, postgresql: Place
) -> None:
    send(engine, "a", "b")
    token = claim_one(engine).token
    with psycopg.connect(postgresql.server) as connection:  # as a crash does
        connection.execute(
            sql.SQL("delete from {}").format(sql.Identifier(postgresql.schema, "witness"))
        )
    assert depart(engine).token > token


def test_a_job_that_cannot_be_read_stops_the_departure(
    engine: PostgreSQLEngine, postgresql: Place
) -> None:
    send(engine, "a")
    apply(engine, PauseQueue("default"))
    with psycopg.connect(postgresql.server) as connection:
        connection.execute(
            sql.SQL("update {} set envelope = jsonb_set(envelope::jsonb, '{{v}}', '2')").format(
                sql.Identifier(postgresql.schema, "job")
            )
        )
    with pytest.raises(InvalidOption, match="upgrade headrace"):
        apply(engine, DEPART)
    assert len(rows(postgresql)["ready"]) == 1


def test_entries_a_rival_writes_are_awaited(engine: PostgreSQLEngine, postgresql: Place) -> None:
    apply(engine, Put("k", b"old"))
    name = sql.Identifier(postgresql.schema, "entry")
    with psycopg.connect(postgresql.server) as connection:
        connection.execute(sql.SQL("update {} set value = 'new', version = 2").format(name))
        reply = engine.apply(DEPART)
        somebody_waits(postgresql)
    assert reply.wait(PATIENCE) == Departed(entries=1)
    (entry,) = unload(engine).entries
    assert (entry.value, entry.version) == (b"new", 2)
