"""The database file: made, checked, migrated and opened."""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

import apsw

from headrace.clock import SystemClock
from headrace.config import Config
from headrace.engine import Migration
from headrace.engines.sqlite.forking import Connection, Inside
from headrace.engines.sqlite.trouble import trouble
from headrace.engines.sqlite.wal import Wal
from headrace.errors import EngineBusy, StorageCorrupt, StorageFull, StorageUnfit

Durability = Literal["power", "crash"]

APPLICATION_ID = 0x48445243  # "HDRC"
PAGE_SIZE = 8192
CHECKPOINT_PAGES = (
    1000  # 8 MB: a log that begins anew is overwritten, which syncs sooner than growing
)
_HEADER_BYTES = 100
_COPY_BYTES = 64 * 1024  # SQLite writes less than 128 KiB at a time
_USER_VERSION_AT = 60
_APPLICATION_ID_AT = 68
_SETUP_BUSY_MILLISECONDS = 10_000
_TOKENS_A_BOOT = 1 << 24
"""More than can be handed out between two syncs by all processes together."""
JOURNAL_LIMIT_BYTES = 64 * 1024 * 1024

_MIGRATIONS = sorted((Path(__file__).parent / "sql" / "migrations").glob("*.sql"))
SCHEMA_VERSION = len(_MIGRATIONS)

# Versions without the WAL-reset bug, which may lose commits (https://sqlite.org/wal.html).
_FIXED_SINCE = (3, 51, 3)
_BACKPORTS = ((3, 50, 7), (3, 44, 6))

_MOUNTS = Path("/proc/self/mounts")
_ESCAPE = re.compile(r"\\([0-7]{3})")  # a space in a name, say
_NETWORK_FILE_SYSTEMS = frozenset(
    {
        "9p", "afs", "beegfs", "ceph", "cifs", "glusterfs", "gpfs", "lustre", "nfs", "nfs4",
        "smb3", "smbfs", "vboxsf",
    }
)  # fmt: skip


def check_version(version: str) -> None:
    """Refuse an SQLite that may lose commits in WAL mode.

    Raises:
        StorageUnfit: it has the WAL-reset bug.
    """
    numbers = tuple(int(part) for part in version.split("."))
    backported = any(fix <= numbers < (*fix[:2], 1_000) for fix in _BACKPORTS)
    if numbers < _FIXED_SINCE and not backported:
        raise StorageUnfit(
            f"SQLite {version} may lose commits (the WAL-reset bug); upgrade apsw, whose wheels"
            " bring 3.51.3 or later: pip install --upgrade apsw"
        )


def file_system(path: Path) -> str:
    """Return the type of the file system that a path is on, or "" where it cannot be told."""
    if not _MOUNTS.exists():
        return ""
    target = str(path.resolve())
    best, kind = "", ""
    for line in _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        _, point, found, *_ = line.split(" ")
        point = _ESCAPE.sub(lambda code: chr(int(code[1], 8)), point)
        inside = target == point or target.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, found
    return kind


def check_file_system(path: Path) -> None:
    """Refuse a network file system: WAL needs memory that all processes share.

    Raises:
        StorageUnfit: it is one.
    """
    kind = file_system(path.parent)
    if kind in _NETWORK_FILE_SYSTEMS or kind.startswith("fuse."):
        raise StorageUnfit(
            f"{path} is on a network file system ({kind}), where SQLite's locks and shared memory"
            " do not hold: use a local disk, or allow_network_files=True for one host alone"
        )


class Database:
    """One database file and how its connections are set up.

    Args:
        path: the file.
        durability: "power" syncs every commit; "crash" leaves the last ones to the system's cache.
        vfs: name of a registered SQLite VFS; for fault tests.
    """

    def __init__(self, path: Path, durability: Durability, vfs: str | None = None) -> None:
        self.path = path
        self.durability = durability
        self._vfs = vfs
        self._log = Path(f"{path}-wal")

    def prepare(self, boot: str) -> int:
        """Make the file if there is none; bring its schema up to date.

        Args:
            boot: names this boot of the machine; leases of another one have no holder any more.

        Returns:
            The version of the schema that was there before; 0 when there was no file.

        Raises:
            StorageCorrupt: the file is damaged or somebody else's.
            StorageUnfit: its schema is newer than this version of Headrace.
        """
        logged = _size(self._log)  # looked at first: whoever makes the file now, logs later
        new = self._missing(logged)
        if new:
            self._create(boot)

        def update(connection: apsw.Connection) -> int:
            if _outdated(connection, boot):
                return _migrate(connection, boot)
            return read_number(connection, "pragma user_version")

        found = self._checked(logged, update)
        return 0 if new else found

    def version(self) -> int:
        """Return the version of the schema; 0 when there is no file.

        Raises:
            StorageCorrupt, StorageUnfit: as `prepare`.
        """
        logged = _size(self._log)
        if self._missing(logged):
            return 0
        return self._checked(logged, lambda one: read_number(one, "pragma user_version"))

    def _missing(self, logged: int) -> bool:
        if _exists(self.path):
            return False
        if logged:
            raise StorageCorrupt(
                f"{self.path} is missing, but not its log {self._log}: put the file back, or"
                " move the log away, too, to begin anew"
            )
        return True

    def _checked(self, logged: int, work: Callable[[apsw.Connection], int]) -> int:
        """Return what work says of the file, once it is known to be whole and ours."""
        if self.path.is_dir():
            raise StorageUnfit(f"{self.path} is a folder: name a file, such as {self.path}/jobs.db")
        self._check_header(logged)
        if logged:
            self._renew_log()
        connection = self.connect()
        try:
            self._check_schema(read_number(connection, "pragma user_version"))
            return work(connection)
        except BaseException as error:
            # A file that we refuse stays as it is: closing would write its log into it.
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, bool(logged))
            if isinstance(error, (apsw.NotADBError, apsw.CorruptError)):
                raise self._damaged(str(error)) from error
            raise
        finally:
            connection.close()

    def connect(self) -> apsw.Connection:
        """Return a new connection with every setting that the promises need."""
        try:
            connection = Connection(
                str(self.path),
                flags=apsw.SQLITE_OPEN_READWRITE,
                vfs=self._vfs,
                statementcachesize=200,
            )
        except apsw.CantOpenError as error:
            raise self._barred(error) from error
        try:
            self._set_up(connection)
        except (apsw.CantOpenError, apsw.ReadOnlyError, apsw.PermissionsError) as error:
            connection.close()
            raise self._barred(error) from error
        except BaseException:
            connection.close()
            raise
        return connection

    def wal(self, connection: apsw.Connection) -> Wal:
        """Return the log as one of its connections writes it."""
        return Wal(connection, self.path, self._vfs or "", durable=self.durability == "power")

    def _set_up(self, connection: apsw.Connection) -> None:
        if connection.readonly("main"):  # SQLite falls back to that
            raise apsw.ReadOnlyError("it is read-only")
        # Somebody who closes the last other connection keeps the file locked for a moment.
        connection.set_busy_timeout(_SETUP_BUSY_MILLISECONDS)
        synchronous = "full" if self.durability == "power" else "normal"
        for pragma in (
            "journal_mode = wal",
            f"synchronous = {synchronous}",
            "fullfsync = 1",
            "checkpoint_fullfsync = 1",
            "mmap_size = 0",
            "temp_store = memory",
            "trusted_schema = off",
            "cell_size_check = on",
            f"wal_autocheckpoint = {CHECKPOINT_PAGES}",
            f"journal_size_limit = {JOURNAL_LIMIT_BYTES}",
            "cache_size = -65536",
        ):
            try:
                connection.execute(f"pragma {pragma}").fetchall()
            except (apsw.NotADBError, apsw.CorruptError):
                break  # `prepare` says what is the matter
        connection.set_busy_timeout(0)

    def _barred(self, error: Exception) -> StorageUnfit:
        return StorageUnfit(
            f"cannot open {self.path} ({error}): check path and rights; this user must be able to"
            " write it and its folder"
        )

    def _create(self, boot: str) -> None:
        """Make a whole database under another name and give it its own at once.

        Somebody who kills this process leaves no half-made file, and of two processes that make
        the same one, the second finds the first's.
        """
        maker = f"{os.getpid()}-{threading.get_ident():x}"
        draft = self.path.with_name(f"{self.path.name}.new-{maker}")
        leftovers = [Path(f"{draft}{suffix}") for suffix in ("", "-wal", "-shm", "-journal")]
        try:
            _make_folder(self.path.parent)
            _remove(leftovers)  # of somebody with our numbers who was killed at it
            self._make(draft, boot)
            _sync(draft, os.O_RDWR)
            with contextlib.suppress(FileExistsError):
                os.link(draft, self.path)
        except apsw.FullError as error:
            raise StorageFull(f"no space to create {self.path}") from error
        except OSError as error:
            raise StorageUnfit(f"cannot create {self.path}: {error.strerror}") from error
        finally:
            _remove(leftovers)
        _sync(self.path.parent, os.O_RDONLY)

    def _make(self, draft: Path, boot: str) -> None:
        try:
            connection = Connection(str(draft), vfs=self._vfs)
        except apsw.CantOpenError as error:
            raise StorageUnfit(
                f"cannot create {self.path}: {error}; check path and rights"
            ) from error
        try:
            draft.chmod(0o600)  # what jobs are about is nobody else's business
            # Alone with it, SQLite needs no shared memory, for which a full disk has no room.
            connection.execute("pragma locking_mode = exclusive").fetchall()
            connection.execute(f"pragma page_size = {PAGE_SIZE}").fetchall()
            connection.execute("pragma journal_mode = wal").fetchall()
            connection.execute(f"pragma application_id = {APPLICATION_ID}").fetchall()
            _migrate(connection, boot)
            # Closing would do it, too, but would not say that it failed.
            connection.execute("pragma wal_checkpoint(truncate)").fetchall()
        finally:
            connection.close()

    def _check_header(self, logged: int) -> None:
        """Look at the file before SQLite does, which changes what it is told to open in WAL mode.

        Args:
            logged: size of the write-ahead log, which may hold the rest of the file.

        Raises:
            StorageCorrupt: it is somebody else's, or its end is missing.
            StorageUnfit: its schema is newer than this version of Headrace, or it cannot be read.
        """
        try:
            # Through SQLite, because an open() of our own would drop this process's locks on it.
            with Inside():
                size, header = self._header()
        except apsw.Error as error:
            raise self._barred(error) from error
        if _number(header, _APPLICATION_ID_AT) != APPLICATION_ID:
            what = "not a Headrace database" if header else "an empty file"
            raise StorageCorrupt(f"{self.path} is {what}: nothing was changed; use another path")
        if size % PAGE_SIZE and not logged:
            raise self._damaged("its end is missing")
        self._check_schema(_number(header, _USER_VERSION_AT))

    def _header(self) -> tuple[int, bytes]:
        flags = apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_READONLY
        file = apsw.VFSFile(self._vfs or "", str(self.path), [flags, 0])
        try:
            size = file.xFileSize()
            return size, file.xRead(min(size, _HEADER_BYTES), 0) if size else b""
        finally:
            file.xClose()

    def _renew_log(self) -> None:
        """Write the log that a killed process left behind anew, unless the file is in use.

        After an fsync that failed, a system may show pages that it will never write, and call the
        next fsync a success (Rebello et al., "Can Applications Recover from fsync Failures?",
        USENIX ATC 2020). Nobody is left who knows: recovery would trust what a power cut takes.
        """
        alone = Connection(str(self.path), apsw.SQLITE_OPEN_READWRITE, self._vfs)
        try:
            alone.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            alone.execute("pragma locking_mode = exclusive").fetchall()
            alone.execute("begin immediate").fetchall()
            self._copy_log_onto_itself()
        except apsw.BusyError:
            pass  # whoever has it open knows what was synced
        except (apsw.NotADBError, apsw.CorruptError) as error:
            raise self._damaged(str(error)) from error
        finally:
            alone.close()

    def _copy_log_onto_itself(self) -> None:
        flags = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_READWRITE
        log = apsw.VFSFile(self._vfs or "", str(self._log), [flags, 0])
        try:
            size = log.xFileSize()
            for place in range(0, size, _COPY_BYTES):
                log.xWrite(log.xRead(min(_COPY_BYTES, size - place), place), place)
            log.xSync(apsw.SQLITE_SYNC_NORMAL)
        finally:
            log.xClose()

    def _check_schema(self, version: int) -> None:
        if version > SCHEMA_VERSION:
            raise StorageUnfit(
                f"{self.path} has schema {version}, this Headrace knows up to {SCHEMA_VERSION}:"
                " upgrade headrace, or use the version that wrote it"
            )

    def _damaged(self, how: str) -> StorageCorrupt:
        return StorageCorrupt(
            f"{self.path} is damaged ({how}): nothing was changed; restore a backup, or move the"
            " file away to begin anew"
        )


def migrate(config: Config, file: Path, *, check: bool) -> Migration:
    """Bring the schema of a database file up to date, or only look at it.

    Raises:
        HeadraceError: as `Database.prepare`, or SQLite cannot do it.
    """
    check_version(apsw.sqlite_lib_version())
    if not config.allow_network_files:
        check_file_system(file)
    database = Database(file, config.durability)
    try:
        found = database.version() if check else database.prepare(SystemClock().boot())
    except apsw.Error as error:
        raise trouble(error).error from error
    version = found if check else max(found, SCHEMA_VERSION)
    return Migration(location=str(file), found=found, version=version, known=SCHEMA_VERSION)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise StorageUnfit(f"cannot look for {path}: {error.strerror}") from error


def _make_folder(folder: Path) -> None:
    """Make a folder, and those around it, to stay after a power cut."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync(folder.parent, os.O_RDONLY)


def _number(header: bytes, place: int) -> int:
    """Return a number of the file's header (https://sqlite.org/fileformat.html §1.3)."""
    return int.from_bytes(header[place : place + 4], "big")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def read_number(connection: apsw.Connection, statement: str) -> int:
    """Return the one number that a statement answers with."""
    ((value,),) = connection.execute(statement).fetchall()
    return int(str(value))


def roll_back(connection: apsw.Connection) -> None:
    """Undo the transaction, unless SQLite has done so itself, as it may when the disk is full."""
    if connection.in_transaction:
        connection.execute("rollback").fetchall()


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink()


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _outdated(connection: apsw.Connection, boot: str) -> bool:
    """Return whether anything is to be written before the file can be used; a full disk is read."""
    if read_number(connection, "pragma user_version") < SCHEMA_VERSION:
        return True
    return connection.execute("select boot from headrace_engine").fetchall() != [(boot,)]


def _migrate(connection: apsw.Connection, boot: str) -> int:
    """Apply what is missing, all in one transaction; return the version that was there before."""
    connection.set_busy_timeout(_SETUP_BUSY_MILLISECONDS)
    try:
        connection.execute("begin immediate").fetchall()
    except apsw.BusyError as error:
        raise EngineBusy("another process keeps the database locked; try again") from error
    try:
        version = read_number(connection, "pragma user_version")
        for migration in _MIGRATIONS[version:]:
            connection.execute(migration.read_text(encoding="utf-8")).fetchall()
        connection.execute(f"pragma user_version = {max(version, SCHEMA_VERSION)}").fetchall()
        _note_boot(connection, boot)
        connection.execute("commit").fetchall()
    except BaseException:
        roll_back(connection)
        raise
    else:
        return version
    finally:
        connection.set_busy_timeout(0)


def _note_boot(connection: apsw.Connection, boot: str) -> None:
    """After a restart of the machine nobody holds a lease any more, and its clock began anew."""
    rows = connection.execute("select boot from headrace_engine").fetchall()
    if not rows:
        connection.execute("insert into headrace_engine values (1, 0, ?)", (boot,)).fetchall()
    elif rows[0][0] != boot:
        connection.execute("update headrace_running set lease_until = -1e300").fetchall()
        # A power cut may have taken claims that were not synced, and with them their tokens.
        connection.execute(
            "update headrace_engine set boot = ?, token = token + ?", (boot, _TOKENS_A_BOOT)
        ).fetchall()
