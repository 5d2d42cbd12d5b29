"""The raw ceiling: the fastest durable queue that one table of SQLite can be from Python.

It is not a task queue: no validation, no options, no heartbeat, one thread. It stores what a
job needs, finds a job by its id and the next jobs of a queue by priority, checks the fencing
token when it settles, and syncs every batch. What was tried to get here, on two cores:

- one `json_each` statement a batch instead of `executemany` sends 1.6 times as fast;
- ids that grow (UUIDv7) instead of random ones: 1.5 times;
- settling one batch and claiming the next in one transaction: 1.1 times;
- claiming by a range of row ids, not through the index that the claim changes: 1.2 times;
- no index over leases: a ceiling needs no reaper (with it, 0.86 of the rate);
- no gain: settling by `json_each`, `values` or upsert; `without rowid`; other page sizes; a
  larger cache; rarer checkpoints; memory-mapped reads; an exclusive lock; prefilled columns.
"""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import apsw
import msgspec

from benchmarks.report import Rates

BATCH = 500
LEASE_MS = 30_000

SETTINGS = "pragma journal_mode = wal; pragma synchronous = full"

SCHEMA = """
create table job (
    seq integer primary key, id blob not null, queue int not null, state int not null,
    priority int not null default 0, run_at int not null, attempt int not null default 0,
    token int not null default 0, lease_until int, task text not null, body blob not null,
    headers blob not null, result blob, finished_at int
);
create unique index job_id on job (id);
create index job_next on job (queue, priority, seq) where state = 1;
"""

SEND = """
insert into job (id, queue, state, run_at, task, body, headers)
select substr(:ids, key * 16 + 1, 16), 1, 1, :now, 'noop', value, '{}' from json_each(:bodies)
"""

NEXT = """
select seq, priority, token + 1, task, body from job
where queue = 1 and state = 1
    and priority = (select min(priority) from job where queue = 1 and state = 1)
order by seq limit ?
"""

# The plus signs keep SQLite on the row ids: the index job_next loses its entries meanwhile.
CLAIM = """
update job set state = 2, attempt = attempt + 1, token = token + 1, lease_until = ?
where seq between ? and ? and +queue = 1 and +state = 1 and +priority = ?
"""

SETTLE = """
update job set state = 3, lease_until = null, result = ?, finished_at = ?
where seq = ? and state = 2 and token = ?
"""

PROOF = """
select count(*) from job
where state = 3 and token = 1 and cast(result as text) = cast(body as text) ->> 'n'
"""

Row = tuple[int, int, int, str, str]  # the columns of NEXT

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder().decode


@dataclass(frozen=True)
class Ceiling:
    """Jobs per second: sent, and claimed, run and settled with a result."""

    send: Rates
    process: Rates


def open_file(path: Path) -> apsw.Connection:
    """Create the file; every commit is synced to disk before it returns."""
    db = apsw.Connection(str(path))
    db.execute(SETTINGS).fetchall()  # without fetchall, apsw stops at the first row
    db.execute(SCHEMA)
    return db


def new_ids(count: int, now: int) -> bytes:
    """Return `count` UUIDv7 (RFC 9562) that grow, 16 bytes each; `now` in milliseconds."""
    first = now << 80 | 7 << 76 | 2 << 62 | int.from_bytes(os.urandom(7))
    return b"".join([(first + i).to_bytes(16) for i in range(count)])


def send(db: apsw.Connection, count: int) -> None:
    """Accept `count` jobs, a synced transaction a batch."""
    for start in range(0, count, BATCH):
        batch = range(start, min(start + BATCH, count))
        bodies = encode([{"n": n} for n in batch]).decode()
        now = time.time_ns() // 1_000_000
        db.execute(SEND, {"ids": new_ids(len(batch), now), "now": now, "bodies": bodies})


def process(db: apsw.Connection) -> None:
    """Claim, run and settle until nothing waits; one synced transaction a batch."""
    settled: list[tuple[bytes, int, int, int]] = []
    while True:
        now = time.time_ns() // 1_000_000
        db.execute("begin immediate")
        if settled:
            db.executemany(SETTLE, settled)
        rows = cast("list[Row]", db.execute(NEXT, (BATCH,)).fetchall())
        if rows:
            db.execute(CLAIM, (now + LEASE_MS, rows[0][0], rows[-1][0], rows[0][1]))
        db.execute("commit")
        if not rows:
            return
        settled = [(encode(decode(body)["n"]), now, seq, token) for seq, _, token, _, body in rows]


def measure(jobs: int, repetitions: int) -> Ceiling:
    """Send and process `jobs` jobs, each repetition in a new file.

    Raises:
        RuntimeError: a result is missing or wrong, so the rates would mean nothing.
    """
    sends, processes = [], []
    for _ in range(repetitions):
        with tempfile.TemporaryDirectory() as folder:
            db = open_file(Path(folder) / "raw.db")
            start = time.perf_counter()
            send(db, jobs)
            sent = time.perf_counter()
            process(db)
            processes.append(jobs / (time.perf_counter() - sent))
            sends.append(jobs / (sent - start))
            proven = db.execute(PROOF).get
            db.close()
        if proven != jobs:
            raise RuntimeError(f"the raw ceiling stored {proven} of {jobs} results")
    return Ceiling(Rates(tuple(sends)), Rates(tuple(processes)))


if __name__ == "__main__":
    ceiling = measure(jobs=20_000, repetitions=9)
    print(f"send {ceiling.send}, process {ceiling.process}")
