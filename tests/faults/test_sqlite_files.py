"""Database files are made and migrated wholly or not at all, and somebody else's are left alone."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from headrace.engines.sqlite import SQLiteEngine, database
from headrace.errors import EngineError, HeadraceError, StorageCorrupt, StorageFull, StorageUnfit
from headrace.record import State
from headrace.testing import ManualClock
from headrace.testing.steps import send, state
from tests.faults import strace
from tests.faults.audit import audit
from tests.faults.disk import Disk
from tests.faults.lengths import lengths
from tests.faults.power import Cut, Directory, cuts, kills
from tests.faults.processes import Processes
from tests.faults.workload import PATIENCE

EVERYTHING = (*strace.SYNCS, *strace.WRITES, "link", "unlink", "openat", "mkdir")
FURTHER_MIGRATION = """
    create table headrace_extra (seq integer primary key, note text);
    insert into headrace_extra select seq, id from headrace_job;
    alter table headrace_queue add column colour text;
"""


def opened(path: Path, **settings: str) -> SQLiteEngine:
    engine = SQLiteEngine(path, clock=ManualClock(), ballast=0, **settings)  # type: ignore[arg-type] # only a vfs
    engine.open().wait(PATIENCE)
    return engine


def close(engine: SQLiteEngine) -> None:
    engine.close().wait(PATIENCE)


def make(path: Path) -> None:
    """Make a database that holds one job."""
    engine = opened(path)
    send(engine, "old")
    close(engine)


# Making -------------------------------------------------------------------------------------------


class Creation:
    """A database made on a recorded disk, with one job; and when each was there for good."""

    def __init__(self, path: Path) -> None:
        with Disk() as disk, disk.watching():
            engine = opened(path, vfs=disk.name)
            self.made = disk.recording.moment
            send(engine, "old")
            self.accepted = disk.recording.moment
            close(engine)
            self.recording = disk.recording

    def broken_by(self, cut: Cut) -> list[str]:
        """Return what is wrong in an image: it must hold a whole database, or none."""
        with cut.image() as directory:
            path = directory / "jobs.db"
            if cut.moment >= self.made and not path.exists():
                return ["the file is gone"]
            try:
                engine = opened(path)
            except HeadraceError as error:
                return [str(error)]
            old = state(engine, "old")
            send(engine, "new")
            close(engine)
            lost = ["the job is lost"] if cut.moment >= self.accepted and old is None else []
            return [*lost, *audit(path)]


@pytest.mark.parametrize("directory", Directory)
@pytest.mark.parametrize("count", lengths(60, 3000))
def test_a_power_cut_leaves_a_whole_file_or_none(
    tmp_path: Path, count: int, directory: Directory
) -> None:
    creation = Creation(tmp_path / "jobs.db")
    images = cuts(creation.recording, seed=1, count=count, directory=directory)
    assert [violation for cut in images for violation in creation.broken_by(cut)] == []


def test_control_without_the_directory_sync_the_file_may_be_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_sync", lambda *_: None)
    creation = Creation(tmp_path / "jobs.db")
    images = cuts(creation.recording, seed=1, count=60, directory=Directory.STRICT)
    assert any(creation.broken_by(cut) for cut in images)


def test_a_kill_at_any_write_leaves_a_whole_file_or_none(tmp_path: Path) -> None:
    creation = Creation(tmp_path / "jobs.db")
    images = kills(creation.recording)
    assert [violation for cut in images for violation in creation.broken_by(cut)] == []


def test_control_a_file_made_under_its_own_name_is_half_made_at_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        database.Database, "_create", lambda self, boot: self._make(self.path, boot)
    )
    creation = Creation(tmp_path / "jobs.db")
    assert any(creation.broken_by(cut) for cut in kills(creation.recording))


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    strace.require()
    with Processes(tmp_path) as processes:
        yield processes


@pytest.mark.parametrize("step", lengths(29, 1))
def test_a_process_killed_while_it_makes_the_file_is_in_nobodys_way(
    processes: Processes, tmp_path: Path, step: int
) -> None:
    """Real system calls: those of the making thread, up to one that is never reached."""
    path = tmp_path / "made" / "jobs.db"
    history = str(tmp_path / "history")
    program = (sys.executable, "-m", "tests.faults.program", "open", str(path), history, "1")
    nth, survived = 1, False
    while not survived:
        fault = strace.Fault(EVERYTHING, nth, "signal=SIGKILL")
        survived = processes.start(*fault.around(*program)).wait() == 0
        nth += step
        engine = opened(path)
        send(engine, f"{nth}")
        close(engine)
        assert audit(path) == []
    assert nth > 2 * step


@pytest.mark.parametrize(
    ("failure", "error"), [("full", StorageFull), ("write", EngineError), ("sync", EngineError)]
)
def test_a_disk_that_fails_while_the_file_is_made_leaves_none(
    tmp_path: Path, failure: str, error: type[HeadraceError]
) -> None:
    path, failures = tmp_path / "jobs.db", 0
    for nth in range(1, 1000):
        with Disk() as disk:
            fail_at(disk, failure, nth)
            try:
                engine = opened(path, vfs=disk.name)
            except error:
                failures += 1
                assert list(tmp_path.iterdir()) == []
                continue
            close(engine)
            break
    assert failures > 2
    assert audit(path) == []


def fail_at(disk: Disk, failure: str, nth: int) -> None:
    """Let the `nth` call fail; a disk that is full stays so."""
    if failure == "full":
        disk.room = nth
    else:
        disk.fail("sync" if failure == "sync" else "write", nth)


def test_two_threads_make_one_file(tmp_path: Path) -> None:
    engines = [SQLiteEngine(tmp_path / "jobs.db", ballast=0) for _ in range(4)]
    for reply in [engine.open() for engine in engines]:
        reply.wait(PATIENCE)
    for number, engine in enumerate(engines):
        send(engine, f"{number}")
    for number, engine in enumerate(engines):
        assert state(engine, f"{3 - number}") is State.READY
        close(engine)


# Migrating ----------------------------------------------------------------------------------------


@pytest.fixture
def newer_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Give a function that turns this Headrace into one with a further migration."""
    further = tmp_path / "further.sql"
    further.write_text(FURTHER_MIGRATION)
    migrations = [*database._MIGRATIONS, further]

    def upgrade() -> None:
        monkeypatch.setattr(database, "_MIGRATIONS", migrations)
        monkeypatch.setattr(database, "SCHEMA_VERSION", len(migrations))

    return upgrade


def migrate(path: Path, newer_version: Callable[[], None]) -> Disk:
    """Make a file of this version, and open it with the next one, on a recorded disk."""
    make(path)
    newer_version()
    with Disk() as disk:
        engine = opened(path, vfs=disk.name)
        disk.settle()
        close(engine)
        return disk


def unmigrated(images: Sequence[Cut]) -> list[str]:
    """Return what is wrong with images that the newer version opens."""
    violations: list[str] = []
    for cut in images:
        with cut.image() as directory:
            path = directory / "jobs.db"
            try:
                engine = opened(path)
            except HeadraceError as error:
                violations.append(str(error))
                continue
            if state(engine, "old") is not State.READY:
                violations.append("the job is lost")
            close(engine)
            with closing(apsw.Connection(str(path))) as connection:
                if connection.execute("select count(*) from headrace_extra").get != 1:
                    violations.append("the migration is not whole")
            violations += audit(path)
    return violations


def test_an_interrupted_migration_happens_wholly_at_the_next_open(
    tmp_path: Path, newer_version: Callable[[], None]
) -> None:
    disk = migrate(tmp_path / "jobs.db", newer_version)
    assert unmigrated(list(kills(disk.recording))) == []
    assert unmigrated(list(cuts(disk.recording, seed=1, count=30))) == []


def test_control_a_migration_in_several_transactions_is_found(
    tmp_path: Path, newer_version: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def migrate_carelessly(connection: apsw.Connection, _boot: str) -> None:
        for migration in database._MIGRATIONS[-1:]:
            connection.execute(migration.read_text()).fetchall()
            connection.execute(f"pragma user_version = {database.SCHEMA_VERSION}").fetchall()

    path = tmp_path / "jobs.db"
    make(path)
    monkeypatch.setattr(database, "_migrate", migrate_carelessly)
    newer_version()
    with Disk() as disk:
        close(opened(path, vfs=disk.name))
    assert unmigrated(list(kills(disk.recording)))


def test_a_newer_schema_is_refused_and_left_alone(
    tmp_path: Path, newer_version: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "jobs.db"
    migrate(path, newer_version)
    monkeypatch.undo()
    known = database.SCHEMA_VERSION
    expected = f"has schema {known + 1}.*knows up to {known}.*upgrade headrace"
    refused(path, StorageUnfit, expected)


def test_a_newer_schema_that_is_only_in_the_log_is_refused_and_left_alone(
    tmp_path: Path, newer_version: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = migrate(tmp_path / "jobs.db", newer_version)
    monkeypatch.undo()
    logged = [c for c in kills(disk.recording) if any(f.endswith("-wal") for f in c.files)]
    refusals = 0
    for cut in logged:
        with cut.image() as directory:
            path = directory / "jobs.db"
            try:
                close(opened(path))
            except StorageUnfit:
                refusals += 1
                refused(path, StorageUnfit, f"has schema {database.SCHEMA_VERSION + 1}")
    assert refusals > 1


# Refusing -----------------------------------------------------------------------------------------


def refused(path: Path, error: type[EngineError], said: str) -> None:
    """See that a file is refused, and that neither it nor anything beside it changes."""
    before = contents(path.parent)
    with pytest.raises(error, match=said) as raised:
        opened(path)
    assert str(path) in str(raised.value)
    assert contents(path.parent) == before


def contents(directory: Path) -> dict[str, bytes]:
    """Return what is in a directory; SQLite's shared memory holds nothing of its own."""
    return {f.name: f.read_bytes() for f in directory.iterdir() if not f.name.endswith("-shm")}


def foreign(path: Path, journal_mode: str) -> None:
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute(f"pragma journal_mode = {journal_mode}").fetchall()
        connection.execute("create table notes (text)").fetchall()


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
def test_somebody_elses_database_is_refused_and_left_alone(
    tmp_path: Path, journal_mode: str
) -> None:
    foreign(tmp_path / "notes.db", journal_mode)
    refused(tmp_path / "notes.db", StorageCorrupt, "not a Headrace database")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "an empty file"),
        (b"Dear diary,", "not a Headrace database"),
        (bytes(100_000), "not a Headrace database"),
        (b"SQLite format 3\0" + bytes(5000), "not a Headrace database"),
    ],
)
def test_what_is_no_database_is_refused_and_left_alone(
    tmp_path: Path, content: bytes, said: str
) -> None:
    (tmp_path / "jobs.db").write_bytes(content)
    refused(tmp_path / "jobs.db", StorageCorrupt, said)


@pytest.mark.parametrize("left", [20, 90, 8192, 3 * 8192, -8192, -1])
def test_a_truncated_file_is_refused_and_left_alone(tmp_path: Path, left: int) -> None:
    path = tmp_path / "jobs.db"
    make(path)
    path.write_bytes(path.read_bytes()[:left])
    refused(path, StorageCorrupt, "not a Headrace database" if left == 20 else "is damaged")


def test_a_damaged_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    make(path)
    content = bytearray(path.read_bytes())
    content[100:8192] = b"\xaa" * 8092
    path.write_bytes(content)
    refused(path, StorageCorrupt, "is damaged.*restore a backup")


def test_a_damaged_page_stops_the_engine_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    make(path)
    with closing(apsw.Connection(str(path))) as connection:
        page = connection.execute(
            "select rootpage from sqlite_schema where name = 'headrace_job'"
        ).get
    content = bytearray(path.read_bytes())
    content[(page - 1) * 8192 : page * 8192] = b"\xaa" * 8192
    path.write_bytes(content)
    engine = opened(path)
    with pytest.raises(StorageCorrupt, match="restore a backup"):
        engine.lease(["default"], limit=1, seconds=30.0, holder="worker").wait(PATIENCE)
    with pytest.raises(EngineError, match="open"):
        send(engine, "new")
    close(engine)
    assert path.read_bytes() == content


def test_a_log_without_its_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    """A new file under that name would be given the old one's pages."""
    path = tmp_path / "jobs.db"
    (tmp_path / "jobs.db-wal").write_bytes(b"x" * 100)
    refused(path, StorageCorrupt, "is missing, but not its log")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "jobs.db").mkdir()
    with pytest.raises(StorageUnfit, match="is a folder: name a file"):
        opened(tmp_path / "jobs.db")
