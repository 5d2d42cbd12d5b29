"""What SQLite keeps of a job is all gone when it has departed, and all there when it is back."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from headrace.cargo import MOVE_PREFIX, Cargo, unpack
from headrace.engines.sqlite import SQLiteEngine
from headrace.errors import InvalidOption, StorageFull
from headrace.testing import ManualClock
from headrace.testing.steps import PATIENCE, apply, claim_one, fail, labels, message, send, settle
from headrace.write import Delete, Depart, PauseQueue, Restore, Send

KEY = f"{MOVE_PREFIX}out/1"
TABLES = (
    "job", "ready", "scheduled", "running", "finished", "tally", "history", "ordered", "front",
    "unique", "expiry", "cancelling", "tag",
)  # fmt: skip


def rows(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Return what the tables about jobs hold, without their places."""
    connection = apsw.Connection(str(path))
    found: dict[str, list[tuple[object, ...]]] = {}
    for table in TABLES:
        names = [row[1] for row in connection.execute(f"pragma table_info(headrace_{table})")]
        told = ", ".join(name for name in names if name != "seq")
        query = f"select {told} from headrace_{table} order by seq"  # noqa: S608 - known names
        found[table] = connection.execute(query).fetchall()
    connection.close()
    return found


def depart(engine: SQLiteEngine) -> Cargo:
    """Let jobs depart, and take them out of the store."""
    apply(engine, Depart(KEY, 100, 1 << 20))
    entry = engine.load([KEY]).wait(PATIENCE).get(KEY)
    assert entry is not None
    apply(engine, Delete(KEY))
    return unpack(entry.value)


def test_every_row_goes_and_comes_back(engine: SQLiteEngine, path: Path) -> None:
    send(engine, "done", "tried")
    settle(engine, claim_one(engine))
    fail(engine, claim_one(engine), delay=0.0)
    send(engine, "a", "b", order_key="k", tags=("x", "y"), priority=3, expires_after=60.0)
    send(engine, "c", order_key="k", delay=30.0, unique_key="u", attempt=2)
    apply(engine, PauseQueue("default"))
    before = rows(path)
    live, finished = depart(engine), depart(engine)
    assert labels(live.jobs) == ["tried", "a", "b", "c"]
    assert not any(rows(path).values())
    for cargo in (finished, live):
        apply(engine, Restore(cargo))
    assert rows(path) == before


def test_a_job_that_cannot_be_read_stops_the_departure(engine: SQLiteEngine, path: Path) -> None:
    send(engine, "a")
    apply(engine, PauseQueue("default"))
    connection = apsw.Connection(str(path))
    connection.execute("update headrace_job set envelope = json_set(envelope, '$.v', 2)")
    connection.close()
    with pytest.raises(InvalidOption, match="upgrade headrace"):
        apply(engine, Depart(KEY, 100, 1 << 20))
    assert len(rows(path)["ready"]) == 1


def test_arrivals_do_not_use_up_the_reserve(path: Path, clock: ManualClock) -> None:
    engine = SQLiteEngine(path, clock=clock, ballast=1 << 16)
    engine.open().wait(PATIENCE)
    apply(engine, Send((message("a"),)))
    apply(engine, PauseQueue("default"))
    cargo = depart(engine)
    # With the reserve spent, as on a full disk, nothing new is taken on.
    (path.parent / f"{path.name}-ballast").unlink()
    with pytest.raises(StorageFull):
        apply(engine, Restore(cargo))
    engine.close().wait(PATIENCE)
