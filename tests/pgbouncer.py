"""A pooler in transaction mode for tests: the one that is named, or one of our own.

`HEADRACE_TEST_PGBOUNCER` names one by its URL, and must lead to the server of the other tests.
Without it, the installed `pgbouncer` is started in front of that server, and ends with the tests.
It is no part of Python, of PostgreSQL or of what `make` installs, and installing it takes an
administrator: so where it is not there, such tests are skipped, in CI, too, and say so.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.faults.processes import until
from tests.postgresql import Place

__all__ = ["pooled", "pooler"]

VARIABLE = "HEADRACE_TEST_PGBOUNCER"

_USER = "pooled"
_NOBODY = "nobody"
_SETTINGS = """
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 40
max_client_conn = 400
server_round_robin = 1
logfile = {folder}/log
[databases]
{name} = {target}
"""


def program() -> str | None:
    """Return where pgbouncer is installed; an ordinary user's PATH may leave that out."""
    return shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")


@contextmanager
def own_pooler(server: str) -> Iterator[str]:
    """Give the URL of a pooler of our own in front of a server, as long as the block.

    Args:
        server: the URL of a database; its schema is kept.
    """
    found = program()
    if found is None:
        pytest.skip(f"optional: pgbouncer is not installed, and {VARIABLE} names none")
    folder = Path(tempfile.mkdtemp(prefix="headrace-pgbouncer-"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    parts = urlsplit(server)
    schema = dict(parse_qsl(parts.query)).get("schema")
    given = conninfo_to_dict(parts._replace(query="").geturl())
    name = given.pop("dbname", given["user"])
    target = " ".join(f"{key}={value}" for key, value in (given | {"dbname": name}).items())
    settings = folder / "pgbouncer.ini"
    settings.write_text(_SETTINGS.format(port=port, folder=folder, name=name, target=target))
    root = os.getuid() == 0  # it refuses to run as root
    if root:
        for path in (folder, settings):
            shutil.chown(path, _NOBODY)
    process = subprocess.Popen(
        [found, str(settings)],
        user=_NOBODY if root else None,
        group="nogroup" if root else None,
        extra_groups=[] if root else None,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    query = f"?{urlencode({'schema': schema})}" if schema else ""
    url = f"postgresql://{_USER}@127.0.0.1:{port}/{name}"
    try:
        until(lambda: _answers(url), "the pooler to answer", 20, show=lambda: _log(folder))
        yield url + query
    finally:
        process.terminate()
        process.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.Error:
        return False
    return True


def _log(folder: Path) -> str:
    file = folder / "log"
    return file.read_text() if file.exists() else "nothing was logged"


@contextmanager
def some_pooler(place: Place) -> Iterator[str]:
    """Give the URL of a place through a pooler, whoever started it, as long as the block."""
    named = os.environ.get(VARIABLE)
    if named:
        yield f"{named}{'&' if '?' in named else '?'}schema={place.schema}"
        return
    with own_pooler(place.url) as url:
        yield url


@pytest.fixture(scope="session")
def pooler(postgresql_place: Place) -> Iterator[str]:
    """Give the URL of the tests' schema, through a pooler in transaction mode."""
    with some_pooler(postgresql_place) as url:
        yield url


@pytest.fixture
def pooled(pooler: str, postgresql_place: Place) -> str:
    """Give the URL of an empty schema, through a pooler in transaction mode."""
    postgresql_place.empty()
    return pooler
