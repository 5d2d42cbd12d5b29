"""Ceiling: what SQLite itself gives for the same work, as every benchmark of ours prints it.

One table, one connection, one thread, a transaction a batch: no validation, no options, no
heartbeats. It stores what a job needs, finds a job by its id and the next jobs of a queue by
priority, checks the fencing token when it settles, and syncs as the durability asks. Nothing
durable on this file can be faster from Python by much. What was tried to get here, on two cores:

- one `json_each` statement a batch instead of `executemany` sends 1.6 times as fast;
- ids that grow (UUIDv7) instead of random ones: 1.5 times;
- settling one batch and claiming the next in one transaction: 1.1 times;
- claiming by a range of row numbers, not through the index that the claim changes: 1.2 times;
- no index over leases: a ceiling needs no reaper (with it, 0.86 of the rate);
- no gain: settling by `json_each`, `values` or upsert; `without rowid`; other page sizes; a
  larger cache; rarer checkpoints; memory-mapped reads; an exclusive lock; prefilled columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import apsw
import msgspec

from headrace.engines.sqlite.database import Durability
from headrace.engines.sqlite.plan import document

_LEASE_SECONDS = 30.0

_SCHEMA = """
pragma journal_mode = wal;
create table job (
  seq integer primary key, id blob not null, queue integer not null, state integer not null,
  priority integer not null, run_at real not null, attempt integer not null default 0,
  token integer not null default 0, lease_until real, task text not null, body text not null,
  headers text not null, result text, finished_at real
);
create unique index job_id on job (id);
create index job_waiting on job (queue, priority desc, seq) where state = 0;
"""
_SEND = """
insert into job (id, queue, state, priority, run_at, task, body, headers)
select substr(?, key * 16 + 1, 16), 1, 0, 0, ?, 'noop', value, '{}' from json_each(?)
"""
_NEXT = """
select seq, token + 1, task, body from job
where queue = 1 and state = 0 order by priority desc, seq limit ?
"""
# The plus keeps SQLite on the row numbers: the index of waiting jobs loses its entries meanwhile.
_CLAIM = """
update job set state = 1, attempt = attempt + 1, token = token + 1, lease_until = ?
where seq between ? and ? and +state = 0
"""
_SETTLE = """
update job set state = 2, lease_until = null, result = ?, finished_at = ?
where seq = ? and state = 1 and token = ?
"""
_PROOF = "select count(*) from job where state = 2 and token = 1 and result = body"

_Row = tuple[int, int, str, str]

_decode = msgspec.json.Decoder().decode


class Ceiling:
    """A table of jobs in a new file.

    Args:
        path: the file; it must not exist.
        batch: jobs in a transaction.
        durability: "power" syncs every commit to the disk; "crash" leaves that to the system.
    """

    def __init__(self, path: Path, batch: int, durability: Durability) -> None:
        self._connection = apsw.Connection(str(path))
        level = "full" if durability == "power" else "normal"
        self._connection.execute(f"pragma synchronous = {level}").fetchall()
        self._connection.execute(_SCHEMA).fetchall()
        self._batch = batch

    def send(self, ids: bytes, bodies: Sequence[object], now: float) -> None:
        """Store jobs: their ids, 16 bytes each, and what each of them has as its body."""
        for start in range(0, len(bodies), self._batch):
            part = slice(start, start + self._batch)
            names = ids[16 * part.start : 16 * part.stop]
            self._connection.execute(_SEND, (names, now, document(bodies[part]))).fetchall()

    def drain(self, now: float) -> int:
        """Claim, run and settle every job: a run reads its body and returns it as its result.

        Args:
            now: the time, seconds since 1970 UTC.

        Returns:
            How many there were.
        """
        settled: list[tuple[str, float, int, int]] = []
        count = 0
        while True:
            self._connection.execute("begin immediate").fetchall()
            self._connection.executemany(_SETTLE, settled).fetchall()
            rows = cast("list[_Row]", self._connection.execute(_NEXT, (self._batch,)).fetchall())
            if rows:  # of one priority and queue, so they lie side by side
                claim = (now + _LEASE_SECONDS, rows[0][0], rows[-1][0])
                self._connection.execute(_CLAIM, claim).fetchall()
            self._connection.execute("commit").fetchall()
            if not rows:
                return count
            settled = [(document(_decode(body)), now, seq, token) for seq, token, _, body in rows]
            count += len(rows)

    def proven(self) -> int:
        """Count the jobs that were settled once, each with its own result."""
        ((count,),) = self._connection.execute(_PROOF).fetchall()
        return cast("int", count)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()
