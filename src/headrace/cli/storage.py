"""Storage: the engine that the settings name, opened for one command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urlsplit

from headrace.cli.exits import NoDatabase
from headrace.clock import SystemClock
from headrace.config import Config, load
from headrace.connect import Connection, database_file
from headrace.engine import Engine
from headrace.errors import ConfigError
from headrace.ids import Ids
from headrace.reply import Reply
from headrace.write import Write

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Storage:
    """An open engine and what is needed to ask it.

    Attributes:
        engine: it.
        config: the settings it was opened with.
        clock: what tells the time.
        ids: what gives random numbers.
    """

    engine: Engine
    config: Config
    clock: SystemClock
    ids: Ids

    def ask(self, reply: Reply[T]) -> T:
        """Wait for an answer of the engine for as long as the settings allow."""
        return reply.wait(self.config.deadline)

    def apply(self, write: Write[T]) -> T:
        """Commit one write and wait for its answer."""
        return self.ask(self.engine.apply(write))


@contextmanager
def opened(url: str | None = None, *, new: bool = False) -> Iterator[Storage]:
    """Open the storage that is there; a command that looks must not make an empty one.

    Args:
        url: where it is; None leaves that to the settings.
        new: whether to make one where there is none.

    Raises:
        NoDatabase: there is none.
        ConfigError: the settings are wrong, or name a storage that only its own process can see.
    """
    config = load({} if url is None else {"url": url})
    check_shared(config)
    if not new:
        _check_there(config.url)
    clock = SystemClock()
    ids = Ids(clock)
    connection = Connection(config, clock, ids)
    connection.open().wait(config.deadline)
    try:
        yield Storage(connection.engine, config, clock, ids)
    finally:
        connection.close().wait(config.deadline)


def check_shared(config: Config) -> None:
    """Refuse a storage that other processes cannot see.

    Raises:
        ConfigError: it is in the memory of one process.
    """
    if urlsplit(config.url).scheme == "memory":
        raise ConfigError(
            "memory: is seen by one process only, so this command has nothing to work on;"
            " use a file: --url sqlite:///headrace.db"
        )


def database(url: str) -> Path | None:
    """Return the file that everything is in; None if it is elsewhere."""
    return database_file(url) if urlsplit(url).scheme == "sqlite" else None


def url_of(file: Path) -> str:
    """Return the URL of a database file; its path may contain any character."""
    return f"sqlite:///{quote(str(file.absolute()))}"


def _check_there(url: str) -> None:
    file = database(url)
    if file is not None and not file.exists():
        raise NoDatabase(
            f"there is no database {file} yet; the first submit or worker makes it,"
            " or say where it is with --url or HEADRACE_URL"
        )
