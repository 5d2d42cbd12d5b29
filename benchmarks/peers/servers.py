"""Where Redis and PostgreSQL are: named, found running, or started from what is installed."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks.report import NotMeasuredError

HOST = "127.0.0.1"
START_SECONDS = 30.0


@contextmanager
def redis(usable: Callable[[str], bool]) -> Iterator[str]:
    """Give the URL of a Redis; `usable` tells whether a room can be had at a URL.

    Raises:
        NotMeasuredError: there is none.
    """
    if url := _known("HEADRACE_BENCH_REDIS", f"redis://{HOST}:6379", usable):
        yield url
        return
    if not (binary := shutil.which("redis-server") or shutil.which("valkey-server")):
        raise NotMeasuredError("no Redis server: name one in HEADRACE_BENCH_REDIS or install one")
    port = _free_port()
    command = [binary, "--port", str(port), "--bind", HOST, "--save", "", "--appendonly", "no"]
    url = f"redis://{HOST}:{port}"
    with tempfile.TemporaryDirectory() as folder, _started(command, folder, partial(usable, url)):
        yield url


@contextmanager
def postgres(usable: Callable[[str], bool]) -> Iterator[str]:
    """Give the URL of a PostgreSQL, with its own defaults where it is started here.

    Raises:
        NotMeasuredError: there is none.
    """
    standard = f"postgresql://postgres@{HOST}:5432/postgres"
    if url := _known("HEADRACE_BENCH_POSTGRES", standard, usable):
        yield url
        return
    initdb, server = _postgres_binary("initdb"), _postgres_binary("postgres")
    if not (initdb and server):
        raise NotMeasuredError(
            "no PostgreSQL server: name one in HEADRACE_BENCH_POSTGRES or install one"
        )
    owner = _unprivileged()
    port = _free_port()
    with tempfile.TemporaryDirectory() as folder:
        if owner:
            shutil.chown(folder, owner)
        data = f"{folder}/data"
        create = [initdb, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8"]
        subprocess.run(create, check=True, user=owner, cwd=folder, capture_output=True)
        command = [server, "-D", data, "-p", str(port), "-h", HOST, "-k", folder]
        url = f"postgresql://postgres@{HOST}:{port}/postgres"
        with _started(command, folder, partial(usable, url), owner):
            yield url


SERVERS = {"redis": redis, "postgres": postgres}


def _known(variable: str, standard: str, usable: Callable[[str], bool]) -> str | None:
    if named := os.environ.get(variable):
        if usable(named):
            return named
        raise NotMeasuredError(f"no database can be had at the server that {variable} names")
    return standard if usable(standard) else None


def _postgres_binary(name: str) -> str | None:
    """Find it on the PATH, or where Debian keeps it: the newest version."""
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(versions[-1]) if versions else None)


def _unprivileged() -> str | None:
    """Return whom to run PostgreSQL as: it refuses root."""
    if os.geteuid() != 0:
        return None
    with contextlib.suppress(KeyError):
        return pwd.getpwnam("postgres").pw_name
    raise NotMeasuredError("PostgreSQL refuses to run as root, and there is no user postgres")


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as free:
        port: int = free.getsockname()[1]
        return port


@contextmanager
def _started(
    command: Sequence[str], folder: str, ready: Callable[[], bool], owner: str | None = None
) -> Iterator[None]:
    """Run a server as long as the block, from the moment that it is of use."""
    with Path(folder, "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, user=owner, stdout=log, stderr=log, start_new_session=True
        )
        try:
            deadline = time.monotonic() + START_SECONDS
            while not ready():
                if time.monotonic() > deadline or process.poll() is not None:
                    words = Path(folder, "log").read_text(errors="replace").splitlines()[-1:]
                    raise NotMeasuredError(f"{command[0]} did not start: {' '.join(words)}")
            yield
        finally:
            process.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown
            process.wait()
