"""The raw ceiling on PostgreSQL: what narrow tables and one statement a batch give from Python.

It is not a task queue: no validation, no options, no heartbeat, no reaper. It stores what a job
needs under its id, finds the next jobs of a queue by priority without waiting for rivals, checks
the fencing token when it settles, keeps the result, and syncs what it sends and settles.

    python -m benchmarks.raw_postgres postgresql://user@host/database
"""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import psycopg
from psycopg import RawCursor

from benchmarks.raw_sqlite import BATCH, Ceiling
from benchmarks.report import Rates

LEASE_SECONDS = 30.0
PLANNING = (
    "set enable_seqscan = off; set enable_hashjoin = off; set enable_mergejoin = off;"
    " set enable_bitmapscan = off; set jit = off"
)

SCHEMA = """
create schema headrace_raw;
set search_path = headrace_raw;
create table job (
    seq bigint generated always as identity primary key, id uuid not null unique,
    task text not null, body text not null
);
create table ready (
    queue int, rank int, seq bigint, primary key (queue, rank, seq)
);
create table running (seq bigint primary key, token bigint not null, lease_until float8 not null);
create table finished (seq bigint primary key, finished_at float8 not null, result text);
create sequence token;
"""

SEND = """
with sent as (
    insert into job (id, task, body)
    select i, 'noop', b from json_to_recordset($1::text::json) as given (i uuid, b text)
    returning seq
)
insert into ready select 1, 0, seq from sent
"""

CLAIM = """
with picked as materialized (
    select queue, rank, seq from ready where queue = 1
    order by queue, rank, seq limit $1 for update skip locked
),
gone as (
    delete from ready using picked where ready.queue = picked.queue
    and ready.rank = picked.rank and ready.seq = picked.seq
),
stamp as materialized (select nextval('token') as token),
taken as (insert into running select seq, token, $2 from picked, stamp)
select '[' || string_agg('[' || seq || ',' || token || ',' || body || ']', ',') || ']'
from picked join job using (seq) cross join stamp
"""

SETTLE = """
with gone as (
    delete from running
    using json_to_recordset($1::text::json) as run (s bigint, t bigint, r text)
    where running.seq = run.s and running.token = run.t
    returning running.seq, run.r
)
insert into finished select seq, extract(epoch from clock_timestamp()), r from gone
"""

PROOF = """
select count(*) from finished join job using (seq)
where finished.result::int = (job.body::json ->> 'n')::int
"""

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder().decode

Connection = psycopg.Connection[tuple[object, ...]]


@contextmanager
def open_schema(url: str) -> Iterator[Connection]:
    """Make the tables in a schema of their own, and drop them after the block."""
    with psycopg.connect(url, autocommit=True, cursor_factory=RawCursor, prepare_threshold=2) as db:
        db.execute("set client_min_messages = error; drop schema if exists headrace_raw cascade")
        db.execute(PLANNING)
        db.execute(SCHEMA)
        try:
            yield db
        finally:
            db.execute("drop schema headrace_raw cascade")


def send(db: Connection, count: int) -> None:
    """Accept `count` jobs, a synced transaction a batch."""
    for start in range(0, count, BATCH):
        batch = range(start, min(start + BATCH, count))
        jobs = [{"i": str(uuid.uuid4()), "b": f'{{"n":{n}}}'} for n in batch]
        db.execute(SEND, (encode(jobs).decode(),))


def process(db: Connection) -> None:
    """Claim, run and settle until nothing waits; claims need not be synced."""
    while True:
        db.execute("begin; set local synchronous_commit = off")
        ((text,),) = db.execute(CLAIM, (BATCH, time.time() + LEASE_SECONDS)).fetchall()
        db.execute("commit")
        if not isinstance(text, str):
            return
        runs = [{"s": seq, "t": token, "r": str(body["n"])} for seq, token, body in decode(text)]
        db.execute(SETTLE, (encode(runs).decode(),))


def measure(url: str, jobs: int, repetitions: int) -> Ceiling:
    """Send and process `jobs` jobs, each repetition in new tables.

    Raises:
        RuntimeError: a result is missing or wrong, so the rates would mean nothing.
    """
    sends, processes = [], []
    for _ in range(repetitions):
        with open_schema(url) as db:
            start = time.perf_counter()
            send(db, jobs)
            sent = time.perf_counter()
            process(db)
            done = time.perf_counter()
            if db.execute(PROOF).fetchall() != [(jobs,)]:
                raise RuntimeError("the raw ceiling lost a result")
        sends.append(jobs / (sent - start))
        processes.append(jobs / (done - sent))
    return Ceiling(Rates(tuple(sends)), Rates(tuple(processes)))


if __name__ == "__main__":
    found = measure(sys.argv[1], 20_000, 3)
    print(f"send {found.send}, process {found.process}")
