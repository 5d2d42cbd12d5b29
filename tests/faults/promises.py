"""What an engine must still know after a crash: told from the history up to it, and compared.

`ok` binds: it is there. `fail` binds as well: it is not there, now or ever. `info`, and what was
asked for and not answered, may be there or not, but never in part.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from headrace.engine import Engine
from headrace.record import Record, State
from headrace.testing import ManualClock
from headrace.write import Settle, Settlement
from tests.faults.history import Event, Type
from tests.faults.workload import PATIENCE, QUEUES, witness

FAR = 10_000_000.0
"""Seconds after which every lease has expired and every delay is over."""

ROUNDS = 5_000


@dataclass
class Promises:
    """What was told up to some moment.

    Attributes:
        batches: every batch of jobs that was asked for, by its first id.
        submits: what was told of each, by its first id.
        ended: the final state of jobs, by id, as far as nothing may have changed it since.
        versions: the version of entries that were put, by key.
        keys: every key that a put was asked for.
        token: the highest token handed out.
    """

    batches: dict[str, list[str]] = field(default_factory=dict)
    submits: dict[str, Type] = field(default_factory=dict)
    ended: dict[str, tuple[str, int]] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)
    token: int = 0

    @property
    def ids(self) -> list[str]:
        """Every job that was asked for."""
        return [job_id for batch in self.batches.values() for job_id in batch]


def promises(history: Iterable[Event]) -> Promises:
    """Return what a history promises."""
    made = Promises()
    for event in history:
        match event.f, event.type:
            case "submit", kind:
                made.batches[event.value[0]] = event.value
                made.submits[event.value[0]] = kind
            case "settle", Type.OK if State(event.value["state"]).terminal:
                made.ended[event.value["job"]] = (event.value["state"], event.value["token"])
            case "change", _:
                for job_id in event.value:
                    made.ended.pop(job_id, None)
            case "put", Type.OK:
                key, version = event.value["key"], event.value["version"]
                made.versions[key] = max(version, made.versions.get(key, 0))
            case "put", Type.INVOKE:
                made.keys.add(event.value["key"])
            case "claim", Type.OK:
                made.token = max(made.token, event.value["token"])
    return made


@dataclass
class Found:
    """What an engine knows: jobs by id, and the versions of entries."""

    records: dict[str, Record]
    versions: dict[str, int]


def look(engine: Engine, made: Promises) -> Found:
    """Ask an open engine for everything that was ever spoken of."""
    entries = engine.scan("", limit=1_000_000).wait(PATIENCE)
    return Found(engine.get(made.ids).wait(PATIENCE), {e.key: e.version for e in entries})


def broken(made: Promises, found: Found) -> list[str]:
    """Return the promises that what was found breaks."""
    return [
        *_submits(made, found.records),
        *_endings(made, found.records),
        *(
            f"entry {key} has version {found.versions.get(key, 0)}, not {version}"
            for key, version in made.versions.items()
            if found.versions.get(key, 0) < version
        ),
        *(
            f"job {first} and its entry were to be written together, and only one is there"
            for first in made.batches
            if witness(first) in made.keys
            and (first in found.records) != (witness(first) in found.versions)
        ),
    ]


def _submits(made: Promises, records: Collection[str]) -> list[str]:
    violations = []
    for first, batch in made.batches.items():
        there = sum(job_id in records for job_id in batch)
        kind = made.submits[first]
        if kind is Type.OK and there < len(batch):
            violations.append(f"{len(batch) - there} accepted jobs of the batch {first} are lost")
        elif kind is Type.FAIL and there:
            violations.append(f"the batch {first} was refused, but {there} of its jobs are there")
        elif 0 < there < len(batch):
            violations.append(f"of the batch {first} only {there} of {len(batch)} jobs are there")
    return violations


def _endings(made: Promises, records: dict[str, Record]) -> list[str]:
    violations = []
    for job_id, (state, token) in made.ended.items():
        record = records.get(job_id)
        if record is None:
            continue  # a lost job is told of by its submit
        if record.state != state:
            violations.append(f"job {job_id} was settled as {state}, and now is {record.state}")
        elif state == State.SUCCEEDED and bytes(record.result or b"") != b"%d" % token:
            violations.append(f"job {job_id} has the result {record.result!r} of another run")
    return violations


def drain(engine: Engine, clock: ManualClock, made: Promises) -> list[str]:
    """Run everything to its end, long after the crash; return what goes wrong on the way."""
    clock.advance(FAR)
    engine.maintain().wait(PATIENCE)
    violations: list[str] = []
    for _ in range(ROUNDS):
        leases = engine.lease(QUEUES, limit=1000, seconds=30.0, holder="drain").wait(PATIENCE)
        violations += [
            f"token {lease.token} was given to {lease.job_id} after {made.token}"
            for lease in leases
            if lease.token <= made.token
        ]
        done = tuple(Settlement(lease=lease, to=State.SUCCEEDED) for lease in leases)
        engine.apply(Settle(done)).wait(PATIENCE)
        if not leases:
            break
    left = sum(queue.depth for queue in engine.depth().wait(PATIENCE))
    return [*violations, *([f"{left} jobs never come to an end"] if left else [])]


def judge(engine: Engine, clock: ManualClock, history: Sequence[Event]) -> list[str]:
    """Compare an open engine with the history before the crash, then drain it."""
    made = promises(history)
    return [*broken(made, look(engine, made)), *drain(engine, clock, made)]
