"""The judge of promises finds each way to break one, and accuses nobody else."""

from typing import Any

import msgspec
import pytest

from headrace.message import Message
from headrace.record import Record, State
from tests.faults.history import Event, Type
from tests.faults.promises import Found, broken, promises
from tests.faults.workload import witness


def event(f: str, kind: Type, value: Any) -> Event:
    return Event(time=0, process=0, type=kind, f=f, value=value)


def settled(job_id: str, kind: Type = Type.OK, **fields: Any) -> Event:
    value = {"job": job_id, "token": 7, "state": "succeeded"}
    return event("settle", kind, value | fields)


def put(key: str, version: int, kind: Type = Type.OK) -> Event:
    return event("put", kind, {"key": key, "version": version})


def submit(kind: Type, *jobs: str) -> list[Event]:
    return [event("submit", Type.INVOKE, list(jobs)), event("submit", kind, list(jobs))]


def record(job_id: str, state: State = State.READY, result: bytes | None = None) -> Record:
    message = Message(v=1, id=job_id, task="noop", body=msgspec.Raw(b"{}"))
    raw = None if result is None else msgspec.Raw(result)
    return Record(message=message, state=state, accepted_at=0.0, result=raw)


def found(*records: Record, **versions: int) -> Found:
    return Found({record.id: record for record in records}, versions)


DONE = record("a", State.SUCCEEDED, b"7")
A, B = record("a"), record("b")
TOGETHER = [*submit(Type.INFO, "a"), put(witness("a"), 1, Type.INVOKE)]


@pytest.mark.parametrize(
    ("history", "there"),
    [
        (submit(Type.OK, "a", "b"), found(A, B)),
        (submit(Type.FAIL, "a", "b"), found()),
        (submit(Type.INFO, "a", "b"), found()),
        (submit(Type.INFO, "a", "b"), found(A, B)),
        (submit(Type.INVOKE, "a", "b"), found(A, B)),
        ([*submit(Type.OK, "a"), settled("a")], found(DONE)),
        ([*submit(Type.OK, "a"), settled("a", Type.INFO)], found(A)),
        ([*submit(Type.OK, "a"), settled("a", state="scheduled")], found(A)),
        (
            [*submit(Type.OK, "a"), settled("a"), event("change", Type.INVOKE, ["a"])],
            found(A),
        ),
        ([put("k", 2), put("k", 1)], found(k=2)),
        ([put("k", 2)], found(k=3)),
        ([put("k", 1, Type.INFO)], found()),
        (TOGETHER, found()),
        (TOGETHER, Found({"a": A}, {witness("a"): 1})),
    ],
)
def test_kept_promises_are_not_called_broken(history: list[Event], there: Found) -> None:
    assert broken(promises(history), there) == []


@pytest.mark.parametrize(
    ("history", "there", "said"),
    [
        (submit(Type.OK, "a", "b"), found(A), "1 accepted jobs of the batch a are lost"),
        (submit(Type.FAIL, "a", "b"), found(B), "refused, but 1 of its jobs are there"),
        (submit(Type.INFO, "a", "b"), found(B), "only 1 of 2"),
        (submit(Type.INVOKE, "a", "b"), found(A), "only 1 of 2"),
        ([*submit(Type.OK, "a"), settled("a")], found(A), "settled as succeeded, and now is ready"),
        (
            [*submit(Type.OK, "a"), settled("a")],
            found(record("a", State.SUCCEEDED, b"6")),
            "of another run",
        ),
        ([put("k", 2)], found(k=1), "has version 1, not 2"),
        (TOGETHER, found(A), "only one is there"),
        (TOGETHER, Found({}, {witness("a"): 1}), "only one is there"),
    ],
)
def test_a_broken_promise_is_found(history: list[Event], there: Found, said: str) -> None:
    violations = broken(promises(history), there)
    assert len(violations) == 1
    assert said in violations[0]


def test_the_highest_token_is_known() -> None:
    claims = [event("claim", Type.OK, {"token": token}) for token in (3, 5, 4)]
    assert promises(claims).token == 5
