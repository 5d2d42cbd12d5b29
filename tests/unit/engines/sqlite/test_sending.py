"""How messages become jobs: room, keys, taken ids, and batches of any size."""

from __future__ import annotations

from pathlib import Path

import apsw
import msgspec
import pytest

from headrace.engines.sqlite import SQLiteEngine, sending
from headrace.engines.sqlite.plan import run
from headrace.engines.sqlite.sending import send as send_plan
from headrace.errors import DuplicateJob, EngineError, InvalidOption, QueueFull
from headrace.record import QueueLimits, State
from headrace.testing.steps import (
    apply,
    claim,
    claim_one,
    depth,
    job_id,
    labels,
    message,
    record,
    send,
    settle,
    state,
)
from headrace.write import LimitQueue, Send
from tests.unit.engines.sqlite.looking import complaints, look, measured, number


def limit(engine: SQLiteEngine, **limits: int) -> None:
    apply(engine, LimitQueue("default", QueueLimits(**limits)))


def test_the_last_job_that_fits_is_accepted(engine: SQLiteEngine, path: Path) -> None:
    limit(engine, max_depth=3)
    send(engine, "a", "b", "c")
    with pytest.raises(QueueFull, match="'default' is full: 3 jobs"):
        send(engine, "d")
    settle(engine, claim_one(engine))
    with pytest.raises(QueueFull):
        send(engine, "d", "e")
    send(engine, "d")
    assert complaints(path) == []


def test_the_last_byte_that_fits_is_accepted(engine: SQLiteEngine) -> None:
    text = msgspec.Raw('{"name":"žluťoučký kůň"}'.encode())
    batch = (message("a", body=text), message("b", body=text))
    size = sum(len(msgspec.json.encode(one)) for one in batch)
    limit(engine, max_bytes=size - 1)
    with pytest.raises(QueueFull):
        apply(engine, Send(batch))
    limit(engine, max_bytes=size)
    apply(engine, Send(batch))
    assert depth(engine).bytes == size


def test_room_is_promised_after_what_the_drain_rate_says(engine: SQLiteEngine) -> None:
    limit(engine, max_depth=1)
    send(engine, "a")
    with pytest.raises(QueueFull) as slow:
        send(engine, "b")
    assert slow.value.queue == "default"
    assert slow.value.retry_after == 1.0  # nothing is known yet
    settle(engine, claim_one(engine))
    send(engine, "c")
    with pytest.raises(QueueFull) as known:
        send(engine, "d")
    assert 0.1 <= known.value.retry_after <= 60.0


def test_a_job_that_replaces_another_needs_no_more_room(engine: SQLiteEngine, path: Path) -> None:
    limit(engine, max_depth=1)
    send(engine, "a", unique_key="u")
    answer = send(engine, "b", unique_key="u", on_conflict="replace")
    assert labels(answer.replaced) == ["a"]
    with pytest.raises(QueueFull):
        send(engine, "c", unique_key="other", on_conflict="replace")
    assert complaints(path) == []


def test_a_chain_of_replacements_in_one_batch_leaves_the_last(
    engine: SQLiteEngine, path: Path
) -> None:
    send(engine, "old", unique_key="u")
    limit(engine, max_depth=1)
    answer = send(engine, "a", "b", "c", unique_key="u", on_conflict="replace")
    assert labels(answer.replaced) == ["old", "a", "b"]
    assert state(engine, "c") is State.READY
    for name in ("old", "a", "b"):
        failure = record(engine, name).failure
        assert failure is not None
        assert failure.cause == "replaced"
    assert labels(claim(engine, 5)) == ["c"]
    assert complaints(path) == []


def test_a_refused_replacement_leaves_the_first_in_peace(engine: SQLiteEngine, path: Path) -> None:
    send(engine, "a", unique_key="u")
    send(engine, "taken")
    batch = (
        message("b", unique_key="u", on_conflict="replace"),
        message("taken"),
    )
    with pytest.raises(DuplicateJob) as refusal:
        apply(engine, Send(batch))
    assert refusal.value.job_id == job_id("taken")
    assert state(engine, "a") is State.READY
    assert state(engine, "b") is None
    assert complaints(path) == []


def test_a_key_that_is_held_twice_in_a_batch_names_the_first(engine: SQLiteEngine) -> None:
    with pytest.raises(DuplicateJob) as refusal:
        send(engine, "a", "b", unique_key="u")
    assert refusal.value.job_id == job_id("a")
    assert state(engine, "a") is None


def test_an_id_that_is_twice_in_a_batch_is_refused(engine: SQLiteEngine) -> None:
    with pytest.raises(DuplicateJob) as refusal:
        send(engine, "a", "b", "a")
    assert refusal.value.job_id == job_id("a")
    assert state(engine, "b") is None


def test_what_is_no_matter_of_ids_is_not_called_one(engine: SQLiteEngine, path: Path) -> None:
    send(engine, "a")
    look(
        path,
        "create trigger no before insert on headrace_job begin select raise(abort, 'no'); end",
    )
    with pytest.raises(EngineError, match="no; nothing was written"):
        send(engine, "b", "c")
    with pytest.raises(DuplicateJob) as caught:
        send(engine, "a")
    assert caught.value.job_id == job_id("a")
    assert complaints(path) == []


def test_a_batch_of_many_parts_stands_or_falls_as_one(
    engine: SQLiteEngine, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "_CHUNK", 7)
    names = [f"j{i}" for i in range(50)]
    send(engine, "j49")
    with pytest.raises(DuplicateJob):
        send(engine, *names)
    assert depth(engine).depth == 1
    send(engine, *names[:-1], order_key="k")
    assert labels(claim(engine, 99)) == ["j49", "j0"]
    seqs = look(path, "select id from headrace_job order by seq")
    assert labels(found for (found,) in seqs) == ["j49", *names[:-1]]
    assert complaints(path) == []


def test_a_version_that_is_not_known_is_refused(engine: SQLiteEngine) -> None:
    with pytest.raises(InvalidOption, match="envelope version 2 is not known here"):
        send(engine, "a", v=2)


def test_words_of_the_envelope_in_a_body_mean_nothing(engine: SQLiteEngine, path: Path) -> None:
    body = msgspec.Raw(
        b'{"delay":60,"run_at":9e9,"expires":1,"order_key":"k","tags":["t"],"attempt":3}'
    )
    send(engine, "a", "b", body=body)
    leases = claim(engine, 5)
    assert labels(leases) == ["a", "b"]
    assert [lease.attempt for lease in leases] == [1, 1]
    assert bytes(leases[0].message.body) == bytes(body)
    assert look(path, "select * from headrace_tag") == []


def test_a_body_that_is_no_json_is_refused(engine: SQLiteEngine) -> None:
    with pytest.raises(InvalidOption, match="malformed JSON"):
        send(engine, "a", body=msgspec.Raw(b'{"n":'))
    assert state(engine, "a") is None


def cost_of_sending(connection: apsw.Connection, label: str, key: str) -> tuple[int, int]:
    batch = [message(f"{label}{i}", order_key=f"{key}{i}") for i in range(20)]
    with measured(connection) as cost:
        run(connection, send_plan(batch, 1000.0))
    return cost.statements, cost.steps


@pytest.mark.parametrize("key", ["old", "new"])
def test_a_send_costs_the_same_beside_thousands_of_ordered_jobs(
    connection: apsw.Connection, key: str
) -> None:
    run(connection, send_plan([message(f"f{i}", order_key=f"old{i}") for i in range(20)], 1.0))
    cost_of_sending(connection, "a", "x")  # so that statements are prepared
    statements, steps = cost_of_sending(connection, "b", "y" if key == "new" else "old")
    many = [message(f"m{i}", order_key=f"old{i % 500}") for i in range(10_000)]
    run(connection, send_plan(many, 1.0))
    later = cost_of_sending(connection, "c", "z" if key == "new" else "old")
    assert later[0] == statements
    assert later[1] < steps * 1.1


def test_a_plain_send_is_few_statements_whatever_its_size(connection: apsw.Connection) -> None:
    run(connection, send_plan([message("a")], 1.0))
    with measured(connection) as cost:
        run(connection, send_plan([message(f"j{i}") for i in range(500)], 1.0))
    assert cost.statements <= 6


def test_tags_attempts_and_expiry_are_stored(engine: SQLiteEngine, path: Path) -> None:
    send(engine, "a", tags=("x", "y", "x"), attempt=2, expires_after=5.0)
    assert look(path, "select tag from headrace_tag order by tag") == [("x",), ("y",)]
    assert claim_one(engine).attempt == 3
    assert number(path, "select count(*) from headrace_expiry") == 1
