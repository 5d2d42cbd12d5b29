"""The audit is silent about what the engine writes, and finds each planted disagreement."""

from contextlib import closing
from pathlib import Path

import apsw
import pytest

from headrace.engines.sqlite import SQLiteEngine
from headrace.record import Failure, State
from headrace.testing import ManualClock
from headrace.testing.steps import apply, claim, job_id, send, settle
from headrace.write import CancelJobs, Put, Reclaim
from tests.faults.audit import RULES, audit

LOST = Failure(cause="lease-lost")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Make a file with jobs in every state."""
    path = tmp_path_factory.mktemp("audit") / "jobs.db"
    engine = SQLiteEngine(path, clock=ManualClock(), ballast=0)
    engine.open().wait(5)
    send(engine, "lost", queue="crashed", tags=("red",))
    claim(engine, queues=["crashed"], holder="crashed")
    apply(engine, Reclaim("crashed", LOST))
    send(engine, "done")
    send(engine, "dead")
    done, dead = claim(engine, 2)
    settle(engine, done)
    settle(engine, dead, State.DEAD, failure=LOST)
    send(engine, "asked")
    claim(engine)
    apply(engine, CancelJobs(tuple(lease.job_id for lease in claim(engine))))
    send(engine, "late", delay=60.0, expires_after=90.0)
    send(engine, "key", unique_key="k")
    send(engine, "first", "second", order_key="g")
    send(engine, "stay", delay=60.0, order_key="h")
    send(engine, "wait", order_key="h")
    apply(engine, Put("entry", b"1"))
    engine.close().wait(5)
    return path.read_bytes()


@pytest.fixture
def copy(database: bytes, tmp_path: Path) -> Path:
    (tmp_path / "jobs.db").write_bytes(database)
    return tmp_path / "jobs.db"


def change(path: Path, statement: str) -> None:
    with closing(apsw.Connection(str(path))) as connection:

        def seq_of(*labels: object) -> int:
            found = "select seq from headrace_job where id = ?"
            return int(str(connection.execute(found, (job_id(str(labels[0])),)).get))

        connection.create_scalar_function("seq_of", seq_of, 1)
        connection.execute(statement).fetchall()
        assert connection.total_changes() == 1, "the plant must change something"


def test_a_sound_file_passes(copy: Path) -> None:
    assert audit(copy) == []


PLANTS = {
    "is in several states": "insert into headrace_scheduled values (seq_of('key'), 9)",
    "is in no state": "delete from headrace_ready where seq = seq_of('key')",
    "is spoken of, but there is no such job": "insert into headrace_tally values (999, 1, 0)",
    "is finished, but treated as alive": "insert into headrace_expiry values (seq_of('done'), 9)",
    "is ready in the wrong place": "update headrace_ready set rank = 3 where seq = seq_of('key')",
    "is sent to a queue that is not there": (
        "update headrace_job set queue = 99 where seq = seq_of('done')"
    ),
    "is a queue that counts wrongly": "update headrace_queue set depth = depth + 1 where id = 1",
    "lives without its unique key, or with another": "delete from headrace_unique",
    "is out of step with its order key": "delete from headrace_ordered where seq = seq_of('wait')",
    "is the front of a group, but not in it, or neither ready nor running": (
        "insert into headrace_front values (1, 'h', seq_of('wait'))"
    ),
    "overtakes the front of its group": (
        "insert into headrace_ready values (1, 0, seq_of('second'))"
    ),
    "is to be cancelled, but does not run": (
        "insert into headrace_cancelling values (seq_of('key'), '')"
    ),
    "runs under a token that was never given, or under no claim": (
        "update headrace_running set token = 1000"
    ),
    "ended in a way there is none": (
        "update headrace_finished set failure = null where seq = seq_of('dead')"
    ),
    "has lost too many leases to be alive": "update headrace_tally set lost = 3 where lost = 1",
    "has a gap in its history": "update headrace_history set step = 2 where seq = seq_of('lost')",
    "is tagged wrongly": "delete from headrace_tag",
    "is an entry that was never put": "update headrace_entry set version = 0",
    "is the number of engine rows, and not 1": "delete from headrace_engine",
    "turn": "delete from headrace_front",
}


@pytest.mark.parametrize("meaning", PLANTS)
def test_a_planted_disagreement_is_found(copy: Path, meaning: str) -> None:
    change(copy, PLANTS[meaning])
    assert any(meaning in violation for violation in audit(copy))


def test_every_rule_has_its_plant() -> None:
    assert RULES.keys() < PLANTS.keys()


def test_a_torn_page_is_found(copy: Path) -> None:
    content = bytearray(copy.read_bytes())
    page = database_page_of(copy, "headrace_job")
    content[page : page + 512] = bytes(512)
    copy.write_bytes(content)
    assert audit(copy)


def test_a_file_that_is_no_database_is_found(copy: Path) -> None:
    copy.write_bytes(b"no database" * 1000)
    assert "cannot be read" in audit(copy)[0]


def test_nothing_is_changed_in_the_file(copy: Path) -> None:
    before = copy.read_bytes()
    audit(copy)
    assert copy.read_bytes() == before


def database_page_of(path: Path, table: str) -> int:
    """Return where in the file the first page of a table begins."""
    with closing(apsw.Connection(str(path))) as connection:
        found = "select rootpage from sqlite_schema where name = ?"
        ((page,),) = connection.execute(found, (table,)).fetchall()
        ((size,),) = connection.execute("pragma page_size").fetchall()
        return (int(str(page)) - 1) * int(str(size))
