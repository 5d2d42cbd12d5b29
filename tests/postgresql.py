"""A PostgreSQL server for tests: the one that is named, the one that is there, or one of our own.

`HEADRACE_TEST_POSTGRESQL` names one by its URL. Without it, the standard port of this machine is
tried, and then the installed programs start a server of their own, which ends with the tests. Every
test gets an empty schema; nothing else is touched.
"""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from headrace.engines.postgresql.address import Address
from headrace.engines.postgresql.database import Database

VARIABLE = "HEADRACE_TEST_POSTGRESQL"

_STANDARD = ("test", "postgres")
_USERS = tuple(dict.fromkeys((getpass.getuser(), "postgres")))
_NOBODY = "nobody"


@cache
def standing() -> str | None:
    """Return the URL of a server that is there, None without one."""
    named = os.environ.get(VARIABLE)
    if named:
        return named
    urls = [f"postgresql://{user}@127.0.0.1/{name}" for name in _STANDARD for user in _USERS]
    return next((url for url in urls if _answers(url)), None)


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.Error:
        return False
    return True


@cache
def programs() -> Path | None:
    """Return the folder of the newest installed server's programs."""
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists()), None)


class Server:
    """A server of our own, in a temporary folder and on a free port.

    Args:
        folder: where its data is; it must be there, and empty.
        settings: lines for its configuration.

    Attributes:
        url: of its database "postgres".
    """

    def __init__(self, folder: Path, settings: Sequence[str] = ()) -> None:
        self._folder = folder
        self._programs = programs()
        if self._programs is None:
            pytest.skip("needs a PostgreSQL server, or its programs to start one")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        if os.getuid() == 0:  # the server refuses to run as root
            for path in (folder, *folder.parents):
                if path.stat().st_mode & 0o1 == 0:
                    path.chmod(path.stat().st_mode | 0o11)
            shutil.chown(folder, _NOBODY)
        self._call("initdb", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
        lines = (
            f"port = {self.port}",
            "listen_addresses = '127.0.0.1'",
            "unix_socket_directories = ''",
            *settings,
        )
        with (folder / "postgresql.conf").open("a") as configuration:
            configuration.write("\n".join(lines) + "\n")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._call("pg_ctl", "-w", "-l", str(self._folder / "log"), "start")

    def stop(self, how: str = "fast") -> None:
        """Stop it.

        Args:
            how: "fast", or "immediate": without writing anything more, as in a crash.
        """
        self._call("pg_ctl", "-w", "-m", how, "stop")

    def _call(self, program: str, *arguments: str) -> None:
        assert self._programs is not None
        subprocess.run(
            [str(self._programs / program), "-D", str(self._folder), *arguments],
            check=True,
            user=_NOBODY if os.getuid() == 0 else None,
            group="nogroup" if os.getuid() == 0 else None,
            extra_groups=[] if os.getuid() == 0 else None,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=60,
        )


@contextmanager
def own_server(settings: Sequence[str] = ()) -> Iterator[Server]:
    """Give a server of our own as long as the block."""
    folder = Path(tempfile.mkdtemp(prefix="headrace-postgresql-"))
    try:
        server = Server(folder, settings)
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def some_server() -> Iterator[str]:
    """Give the URL of a server, whoever started it, as long as the block."""
    url = standing()
    if url is not None:
        yield url
        return
    with own_server(("fsync = off", "full_page_writes = off")) as server:
        yield server.url


@contextmanager
def some_database() -> Iterator[str]:
    """Give the URL of a new database, in a server that keeps its promises, as long as the block."""
    with ExitStack() as stack:
        server = standing() or stack.enter_context(own_server()).url
        name = f"headrace_test_{uuid.uuid4().hex[:12]}"
        connection = stack.enter_context(psycopg.connect(server, autocommit=True))
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        try:
            yield urlsplit(server)._replace(path=f"/{name}").geturl()
        finally:
            drop = sql.SQL("drop database {} with (force)")
            connection.execute(drop.format(sql.Identifier(name)))


class Place:
    """A schema of our own, that is emptied for every test.

    Args:
        server: the URL of its database.

    Attributes:
        url: what an engine is given.
        schema: its name.
    """

    def __init__(self, server: str) -> None:
        self.schema = f"headrace_test_{uuid.uuid4().hex[:12]}"
        joint = "&" if "?" in server else "?"
        self.url = f"{server}{joint}schema={self.schema}"
        self.server = server
        self._connection = psycopg.connect(server, autocommit=True)
        Database(Address(self.url), allow_unsafe_server=True).prepare()
        rows = self._connection.execute(
            "select relname from pg_class where relnamespace = %s::regnamespace and relkind = 'r'",
            (self.schema,),
        ).fetchall()
        kept = ("engine", "witness")
        self._tables = [name for (name,) in rows if name not in kept]

    def empty(self) -> None:
        """Delete all that is in it."""
        deletes = [
            sql.SQL("delete from {}").format(sql.Identifier(self.schema, table))
            for table in self._tables
        ]
        self._connection.execute(sql.SQL("; ").join(deletes))

    def close(self) -> None:
        """Drop it."""
        drop = sql.SQL("drop schema if exists {} cascade").format(sql.Identifier(self.schema))
        self._connection.execute(drop)
        self._connection.close()


@contextmanager
def some_place() -> Iterator[Place]:
    """Give a schema of our own as long as the block."""
    with some_server() as url:
        place = Place(url)
        try:
            yield place
        finally:
            place.close()


@pytest.fixture(scope="session")
def postgresql_place() -> Iterator[Place]:
    """Give a schema in a PostgreSQL server, to be emptied before each use."""
    with some_place() as place:
        yield place


@pytest.fixture
def postgresql(postgresql_place: Place) -> Place:
    """Give an empty schema in a PostgreSQL server."""
    postgresql_place.empty()
    return postgresql_place
