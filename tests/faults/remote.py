"""A fleet whose engine is a server: each of its processes may have a cable of its own to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from headrace import App
from tests.faults.cable import Cable
from tests.faults.fleet import PATIENCE, Fleet
from tests.faults.processes import Processes

_PORTS = {"postgresql": 5432, "redis": 6379}


def ends_of(url: str) -> tuple[int, str]:
    """Return the port and the host of a server."""
    parts = urlsplit(url)
    return parts.port or _PORTS[parts.scheme], parts.hostname or "127.0.0.1"


def over(line: Cable, url: str) -> str:
    """Return the URL of the same server at our end of a cable."""
    parts = urlsplit(url)
    user, at, _ = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user}{at}127.0.0.1:{line.port}").geturl()


class RemoteFleet(Fleet):
    """The processes of one test, a server and their history.

    Args:
        processes: starts them.
        directory: for the history.
        url: the server's, which the test itself asks directly.
        settings: fields of `Config` for all of them.
    """

    def __init__(self, processes: Processes, directory: Path, url: str, **settings: Any) -> None:
        super().__init__(processes, directory, **settings)
        self._server = self._url = url
        self._lines: list[Cable] = []
        self.app = App(url, deadline=PATIENCE, allow_unsafe_server=True, allow_volatile_server=True)

    @contextmanager
    def over(self, line: Cable) -> Iterator[None]:
        """Let the processes that are started meanwhile ask the server over this cable."""
        self._url = over(line, self._server)
        try:
            yield
        finally:
            self._url = self._server

    def cable(self) -> Cable:
        """Lay a cable to the server, which goes with the fleet."""
        self._lines.append(Cable(*ends_of(self._server)))
        return self._lines[-1]

    def __exit__(self, *exception: object) -> None:
        for line in self._lines:
            line.let_go()
        super().__exit__(*exception)
        for line in self._lines:
            line.close()

    def sample(self) -> None:
        """Record nothing: there is no one statement that all servers understand."""

    def effects(self) -> list[int]:
        """Return none: the tasks write nothing here."""
        return []
