"""Looking into the file from outside: rows, what they must agree on, and what statements cost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

ABOUT_LIVE = (
    "ready", "scheduled", "running", "ordered", "front", "unique", "expiry", "cancelling",
)  # fmt: skip


def look(path: Path, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """Run one statement on a connection of its own."""
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(10_000)
    try:
        return connection.execute(sql, parameters).fetchall()
    finally:
        connection.close()


def number(path: Path, sql: str) -> int:
    """Return the one number that a statement answers with."""
    ((value,),) = look(path, sql)
    return int(value)


def rows(path: Path, table: str) -> int:
    """Return how many rows there are in a table."""
    return number(path, "select count(*) from TABLE".replace("TABLE", table))


def tables_with_jobs(path: Path) -> list[str]:
    """Return the tables that have a row, or several, about a job."""
    schema = look(path, "select name from sqlite_schema where type = 'table' order by name")
    names = [str(name) for (name,) in schema]
    return [n for n in names if "seq" in {row[1] for row in look(path, f"pragma table_info({n})")}]


def complaints(path: Path) -> list[str]:
    """Return what is wrong with the tables as a whole; nothing, if all is well."""
    found = [
        f"{table} has rows of jobs that are not there"
        for table in tables_with_jobs(path)
        if look(path, _GONE.replace("TABLE", table))
    ]
    found += [
        f"headrace_{name} has rows of finished jobs"
        for name in ABOUT_LIVE
        if look(path, _FINISHED.replace("TABLE", f"headrace_{name}"))
    ]
    if look(path, _TWICE):
        found.append("a job is in two places")
    if look(path, _NOWHERE):
        found.append("a live job without an order key is in no place")
    if look(path, _WRONG_COUNTS):
        found.append("depth or bytes of a queue are not what a recount gives")
    if look(path, _NO_FRONT):
        found.append("a ready or running job with an order key is not the front of its group")
    ((verdict,),) = look(path, "pragma integrity_check")
    return found if verdict == "ok" else [*found, str(verdict)]


_GONE = "select seq from TABLE where seq not in (select seq from headrace_job)"
_FINISHED = "select seq from TABLE join headrace_finished using (seq)"
_TWICE = """
select seq from (
  select seq from headrace_ready
  union all select seq from headrace_scheduled
  union all select seq from headrace_running
) group by seq having count(*) > 1
"""
_NOWHERE = """
select seq from headrace_job
where seq not in (select seq from headrace_finished)
  and seq not in (select seq from headrace_ready)
  and seq not in (select seq from headrace_scheduled)
  and seq not in (select seq from headrace_running)
  and seq not in (select seq from headrace_ordered)
"""
_WRONG_COUNTS = """
select name from headrace_queue left join (
  select queue, count(*) as jobs, sum(size) as size from headrace_job
  where seq not in (select seq from headrace_finished) group by queue
) live on live.queue = headrace_queue.id
where (depth, bytes) is not (coalesce(jobs, 0), coalesce(size, 0))
"""
_NO_FRONT = """
select seq from headrace_ordered
where (seq in (select seq from headrace_ready) or seq in (select seq from headrace_running))
  and seq not in (select seq from headrace_front)
"""


@dataclass
class Cost:
    """What statements cost.

    Attributes:
        statements: how many there were.
        steps: instructions of SQLite's virtual machine; unlike time, always the same.
    """

    statements: int = 0
    steps: int = 0


@contextmanager
def measured(connection: apsw.Connection) -> Iterator[Cost]:
    """Measure what a connection does."""
    cost = Cost()

    def note(_: object) -> None:
        cost.statements += 1

    def step() -> bool:
        cost.steps += 1
        return False  # go on

    connection.trace_v2(apsw.SQLITE_TRACE_PROFILE, note)
    connection.set_progress_handler(step, 1)
    try:
        yield cost
    finally:
        connection.trace_v2(0)
        connection.set_progress_handler(None)
