"""Redis for tests: the one that is there, or a throw-away one of the test's own.

`HEADRACE_TEST_REDIS` names the first; else it is the standard port of this machine; else the
installed binary is started. Every test has keys of its own, which are removed after it.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from uuid import uuid4

import pytest
from redis import Redis
from redis.exceptions import RedisError

_STANDARD = "redis://127.0.0.1:6379/0"
_START_SECONDS = 10.0
_BINARIES = ("redis-server", "valkey-server")


class Server:
    """A server of the test's own: on a free port, in a folder that goes with it.

    Args:
        settings: of the server, by name; what is written goes to an append-only file.

    Attributes:
        around: a command that starts it, in whose place it comes.
    """

    around: Sequence[str] = ()

    def __init__(self, **settings: str) -> None:
        binary = next(filter(None, map(shutil.which, _BINARIES)), None)
        if binary is None:
            pytest.skip("needs redis-server or valkey-server on the PATH")
        self.folder = Path(tempfile.mkdtemp(prefix="headrace-redis-"))
        self.port = _free_port()
        self._settings = {"appendonly": "yes", "appendfsync": "always", "save": ""} | {
            name.replace("_", "-"): value for name, value in settings.items()
        }
        self._file: list[str] = []
        self._binary = binary
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, with whatever is in its folder."""
        command = [
            *self.around,
            self._binary,
            *self._file,
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
        ]
        command += ["--dir", str(self.folder), "--daemonize", "no"]
        for name, value in self._settings.items():
            command += [f"--{name}", value]
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + _START_SECONDS
        while not _answers(self.url):
            assert self._process.poll() is None, "the server ended at its start"
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.02)

    def kill(self) -> None:
        """End it like a crash does."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Freeze it: connections stand, and nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Undo `stop`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def remove(self) -> None:
        """End it, and leave nothing of it."""
        self._end(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def client(self) -> Redis:
        return Redis(port=self.port)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            process.wait()


class Sentinel(Server):
    """Watches a server, and lets its replica take over.

    Args:
        primary: the server that is watched, as "main".
    """

    def __init__(self, primary: Server) -> None:
        self._primary = primary
        super().__init__()

    def start(self) -> None:
        """Start it with a file of its own, which it writes to."""
        file = self.folder / "sentinel.conf"
        file.write_text(
            f"sentinel monitor main 127.0.0.1 {self._primary.port} 1\n"
            "sentinel down-after-milliseconds main 400\n"
            "sentinel failover-timeout main 3000\n"
        )
        self._file, self._settings = [str(file), "--sentinel"], {}
        super().start()


@contextmanager
def sentinel(primary: Server) -> Iterator[Sentinel]:
    """Yield a throw-away sentinel."""
    made = Sentinel(primary)
    try:
        yield made
    finally:
        made.remove()


@contextmanager
def server(**settings: str) -> Iterator[Server]:
    """Yield a throw-away server."""
    made = Server(**settings)
    try:
        yield made
    finally:
        made.remove()


@contextmanager
def keys() -> Iterator[str]:
    """Yield a URL whose keys belong to the caller alone, and remove them afterwards."""
    url, prefix = _found(), f"headrace-test-{uuid4().hex[:12]}"
    try:
        yield f"{url}?prefix={prefix}"
    finally:
        with Redis.from_url(url) as client:
            for key in client.scan_iter(f"{{{prefix}}}*", 1000):
                client.delete(key)


@cache
def _found() -> str:
    named = os.environ.get("HEADRACE_TEST_REDIS")
    if named is not None:
        return named
    if _answers(_STANDARD):
        return _STANDARD
    return _own().url


@cache
def _own() -> Server:
    import atexit  # noqa: PLC0415 - only where a server has to be ended

    made = Server(appendfsync="no")
    atexit.register(made.remove)
    return made


def _answers(url: str) -> bool:
    with Redis.from_url(url) as client:
        try:
            return bool(client.ping())
        except RedisError:
            return False


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
