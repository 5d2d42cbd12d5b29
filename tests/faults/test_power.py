"""The model of a power cut: by hand on single files, then on bare SQLite at each durability.

SQLite's documented behaviour is the control: FULL must lose nothing, NORMAL must lose
something and break nothing, OFF must break the file. A model that is too kind fails the last two,
one that is too cruel the first.
"""

import random
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import apsw
import pytest

from tests.faults.disk import Disk
from tests.faults.power import SECTOR, Cut, Directory, Platter, cuts, kills
from tests.faults.recording import (
    DirectorySynced,
    EntriesChanged,
    Event,
    Recording,
    Synced,
    SyncFailed,
    Truncated,
    Written,
)

FILE = "/data/file"


def outcomes(
    *events: Event, directory: Directory = Directory.ORDERED, there: bytes | None = b"old"
) -> set[bytes | None]:
    """Return every content of FILE that many cuts after `events` leave, None if it is missing."""
    recording = Recording() if there is None else Recording({FILE: 1}, {1: there})
    platter = Platter(recording, directory)
    for event in events:
        platter.apply(event)
    rng = random.Random(7)
    return {platter.after_cut(rng).get(FILE) for _ in range(200)}


def test_a_synced_write_survives() -> None:
    assert outcomes(Written(1, 0, b"new"), Synced(1)) == {b"new"}


def test_an_unsynced_write_may_survive_or_not() -> None:
    assert outcomes(Written(1, 0, b"new")) == {b"old", b"new"}


def test_unsynced_writes_may_survive_out_of_order() -> None:
    assert b"o2d" not in outcomes(Written(1, 0, b"1"), Written(1, 1, b"2"), Synced(1))
    assert b"o2d" in outcomes(Written(1, 0, b"1"), Written(1, 1, b"2"))


def test_a_large_write_may_be_torn_between_sectors_only() -> None:
    left = outcomes(Written(1, 0, b"n" * 2 * SECTOR), there=b"o" * 2 * SECTOR)
    old, new = b"o" * SECTOR, b"n" * SECTOR
    assert left == {old + old, new + new, old + new, new + old}


def test_an_unsynced_truncate_may_be_undone() -> None:
    assert outcomes(Truncated(1, 1)) == {b"old", b"o"}
    assert outcomes(Truncated(1, 5), Synced(1)) == {b"old\0\0"}


def test_a_sync_after_a_failed_one_does_not_vouch_for_the_forsaken_write() -> None:
    left = outcomes(Written(1, 0, b"1"), SyncFailed(1), Written(1, 2, b"3"), Synced(1))
    assert left == {b"ol3", b"1l3"}


def test_a_new_file_persists_with_its_sync_on_ext4_and_with_the_directorys_in_posix() -> None:
    created = (EntriesChanged({FILE: 2}), Written(2, 0, b"new"), Synced(2))
    assert outcomes(*created, there=None) == {b"new"}
    assert outcomes(*created, there=None, directory=Directory.STRICT) == {b"new", None}
    finished = (*created, DirectorySynced())
    assert outcomes(*finished, there=None, directory=Directory.STRICT) == {b"new"}


def test_an_unsynced_delete_may_be_undone() -> None:
    deleted = EntriesChanged({FILE: None})
    for directory in Directory:
        assert outcomes(deleted, directory=directory) == {b"old", None}
        assert outcomes(deleted, DirectorySynced(), directory=directory) == {None}


def test_a_rename_happens_wholly_or_not_at_all() -> None:
    recording = Recording({"new": 1, "name": 2}, {1: b"1", 2: b"2"})
    for directory in Directory:
        platter, rng = Platter(recording, directory), random.Random(7)
        platter.apply(EntriesChanged({"new": None, "name": 1}))
        left = [platter.after_cut(rng) for _ in range(50)]
        assert {"new": b"1", "name": b"2"} in left
        assert {"name": b"1"} in left
        assert all(files in ({"new": b"1", "name": b"2"}, {"name": b"1"}) for files in left)


def test_the_same_seed_gives_the_same_cuts() -> None:
    recording = Recording({FILE: 1}, {1: b"old"}, [Written(1, n, b"new") for n in range(50)])
    assert list(cuts(recording, seed=1, count=20)) == list(cuts(recording, seed=1, count=20))
    assert list(cuts(recording, seed=1, count=20)) != list(cuts(recording, seed=2, count=20))


def test_a_kill_loses_nothing_that_was_written() -> None:
    recording = Recording({FILE: 1, "old": 2}, {1: b"old", 2: b""})
    recording.events += [
        Written(1, 0, b"new"),
        EntriesChanged({"log": 3, "old": None}),
        Written(3, 2, b"x"),
        Truncated(1, 1),
    ]
    images = [kill.files for kill in kills(recording)]
    assert images == [
        {FILE: b"old", "old": b""},
        {FILE: b"new", "old": b""},
        {FILE: b"new", "log": b""},
        {FILE: b"new", "log": b"\0\0x"},
        {FILE: b"n", "log": b"\0\0x"},
    ]
    assert [kill.moment for kill in kills(recording, every=3)] == [0, 3, 4]


def test_an_image_is_a_directory_that_goes_away() -> None:
    with Cut(0, {FILE: b"content"}).image() as directory:
        assert (directory / "file").read_bytes() == b"content"
    assert not directory.exists()


@dataclass
class Workload:
    """Commits on bare SQLite, one after another, and the moment each was acknowledged."""

    recording: Recording
    acknowledged: dict[int, int]


def commit_rows(tmp_path: Path, synchronous: str, *, settled: bool) -> Workload:
    acknowledged = {}
    with Disk() as disk:
        database = apsw.Connection(str(tmp_path / "jobs.db"), vfs=disk.name)
        assert database.execute("PRAGMA journal_mode = WAL").get == "wal"
        database.execute(f"PRAGMA synchronous = {synchronous}")
        # Small, so that many checkpoints and restarts of the log fall into a short run.
        database.execute("PRAGMA wal_autocheckpoint = 20")
        database.execute("CREATE TABLE jobs (id INTEGER PRIMARY KEY, body TEXT)")
        if settled:
            disk.settle()
        for row in range(150):
            database.execute("INSERT INTO jobs VALUES (?, ?)", (row, "x" * (row * 37 % 900)))
            acknowledged[row] = disk.recording.moment
        database.close()
        return Workload(disk.recording, acknowledged)


@dataclass
class Verdict:
    lost: int = 0
    corrupt: int = 0


def judge(workload: Workload, directory: Directory, count: int) -> Verdict:
    verdict = Verdict()
    for cut in cuts(workload.recording, seed=1, count=count, directory=directory):
        promised = {row for row, moment in workload.acknowledged.items() if moment <= cut.moment}
        try:
            verdict.lost += len(promised - rows_left(cut))
        except apsw.Error:
            verdict.corrupt += 1
    return verdict


def rows_left(cut: Cut) -> set[int]:
    with cut.image() as directory, closing(apsw.Connection(f"{directory}/jobs.db")) as database:
        if database.execute("PRAGMA integrity_check").get != "ok":
            raise apsw.CorruptError
        if database.execute("SELECT count(*) FROM sqlite_schema").get == 0:
            return set()
        return {row for (row,) in database.execute("SELECT id FROM jobs")}


@pytest.mark.parametrize("directory", Directory)
def test_full_loses_no_acknowledged_commit(tmp_path: Path, directory: Directory) -> None:
    verdict = judge(commit_rows(tmp_path, "FULL", settled=True), directory, 300)
    assert verdict == Verdict(lost=0, corrupt=0)


def test_control_normal_loses_commits_and_breaks_nothing(tmp_path: Path) -> None:
    verdict = judge(commit_rows(tmp_path, "NORMAL", settled=True), Directory.ORDERED, 200)
    assert verdict.lost > 0
    assert verdict.corrupt == 0


def test_control_off_breaks_the_file(tmp_path: Path) -> None:
    verdict = judge(commit_rows(tmp_path, "OFF", settled=True), Directory.ORDERED, 200)
    assert verdict.corrupt > 0


@pytest.mark.parametrize("directory", Directory)
def test_the_creation_of_a_file_is_safe(tmp_path: Path, directory: Directory) -> None:
    assert judge(commit_rows(tmp_path, "FULL", settled=False), directory, 300) == Verdict()


def test_control_without_the_directory_sync_of_a_new_log_it_is_not(tmp_path: Path) -> None:
    """Then the log's name may be lost, and the first rollback journal may undo the schema."""
    workload = commit_rows(tmp_path, "FULL", settled=False)
    events = workload.recording.events
    _of_the_journal, *of_the_log = [n for n, e in enumerate(events) if e == DirectorySynced()]
    for moment in of_the_log:
        events[moment] = EntriesChanged({})
    assert judge(workload, Directory.STRICT, 100).lost > 0
