"""Connect: from a URL to an engine. The only place that knows engines by name."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from weakref import WeakKeyDictionary, WeakSet

from headrace.clock import Clock, SystemClock
from headrace.config import Config
from headrace.engine import Engine, Migration
from headrace.errors import ConfigError, EngineClosed
from headrace.ids import Ids
from headrace.reply import Reply, resolve_all

# Imported at first use, so that nobody waits for an engine, or needs its driver, without using it.
_ENGINES = {
    "memory": "headrace.engines.memory:MemoryEngine",
    "postgres": "headrace.engines.postgresql:PostgreSQLEngine",
    "postgresql": "headrace.engines.postgresql:PostgreSQLEngine",
    "redis": "headrace.engines.redis:RedisEngine",
    "rediss": "headrace.engines.redis:RedisEngine",
    "redis+sentinel": "headrace.engines.redis:RedisEngine",
    "sqlite": "headrace.engines.sqlite:SQLiteEngine",
}
_MIGRATIONS = {
    "postgres": "headrace.engines.postgresql.database:migrate",
    "postgresql": "headrace.engines.postgresql.database:migrate",
    "sqlite": "headrace.engines.sqlite.database:migrate",
}
_EXTRAS = {"psycopg": "postgresql", "redis": "redis"}  # they bring these drivers
_EXAMPLES = (
    "sqlite:///headrace.db, sqlite:////absolute/path.db, postgresql://user@host/database,"
    " redis://host/0 or memory:"
)
_POSTGRESQL_SETTINGS = ("poll", "deadline", "transaction_limit", "allow_unsafe_server")
_REDIS_SETTINGS = ("poll", "deadline", "allow_volatile_server")
_SQLITE_SETTINGS = ("durability", "poll", "ballast", "transaction_limit", "allow_network_files")


class Connection:
    """An App's share in an engine: the Apps of one process that name one place share its engine.

    Args:
        config: has the URL, and the engine's settings.
        clock: tells the engine the time.
        ids: gives the engine random names.

    Attributes:
        place: the file or server that is shared; None if the engine is the App's own.
        settings: what the engine is made with.

    Raises:
        ConfigError: no engine serves the URL.
    """

    def __init__(self, config: Config, clock: Clock, ids: Ids) -> None:
        self.place, self.settings = _parse(config)
        self._make = _maker(config, self.place, self.settings, clock, ids)
        self._engine: Engine | None = None

    @property
    def engine(self) -> Engine:
        """The engine.

        Raises:
            EngineClosed: it is not open.
        """
        if self._engine is None:
            raise EngineClosed("the engine is not open; the App opens it at its first use")
        return self._engine

    def open(self) -> Reply[None]:
        """Open the engine, or join those who have it open. Idempotent.

        Raises:
            ConfigError: they opened it with other settings.
        """
        with _lock:
            engine = self._engine = self._joined()
            return _in_turn(engine, engine.open)

    def close(self) -> Reply[None]:
        """Leave the engine; the last one closes it. Idempotent."""
        with _lock:
            engine, self._engine = self._engine, None
            sharing = _open.get(self.place or "", WeakSet())
            sharing.discard(self)
            if engine is None or sharing:
                return Reply.of(None)
            _open.pop(self.place or "", None)
            return _in_turn(engine, engine.close)

    def _joined(self) -> Engine:
        if self._engine is not None:
            return self._engine
        if self.place is None:
            return self._make()
        sharing = _open.setdefault(self.place, WeakSet())
        for other in sharing:
            if other.settings != self.settings:
                raise ConfigError(
                    f"{self.place} is open in this process with other settings:"
                    f" {_differences(other.settings, self.settings)}; use the same in every App"
                )
        engine = next((other.engine for other in sharing), None) or self._make()
        sharing.add(self)
        return engine


class Borrowed:
    """An engine that somebody else has opened, and closes: closing this is leaving it alone.

    Args:
        engine: the engine.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def open(self) -> Reply[None]:
        """Do nothing: it is open."""
        return Reply.of(None)

    def close(self) -> Reply[None]:
        """Do nothing: others go on with it."""
        return Reply.of(None)


# Which connections are open, by file. Not a cache: SQLite's locks belong to the process, so two
# engines on one file could not tell each other's transactions apart.
_open: dict[str, WeakSet[Connection]] = {}
_lock = threading.Lock()

# What each engine was last asked to do. An engine that is opened while it is being closed, or the
# other way round, would end as nobody wanted it: open, with nobody left to close it, say.
_asked: WeakKeyDictionary[Engine, Reply[None]] = WeakKeyDictionary()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_asked.clear)  # the threads at it are the parent's


def _in_turn(engine: Engine, step: Callable[[], Reply[None]]) -> Reply[None]:
    """Open or close an engine when it has done what it was asked before."""
    before, done = _asked.get(engine, Reply.of(None)), Reply[None]()
    _asked[engine] = done
    before.listen(lambda _: step().listen(lambda reply: resolve_all([(done, None, reply.error)])))
    return done


def migrate(config: Config, *, check: bool = False) -> Migration | None:
    """Bring the schema up to date as the first to open an engine would, and wait for it.

    Args:
        config: has the URL, and the engine's settings.
        check: only look.

    Returns:
        From which version to which; None if the engine has no schema.

    Raises:
        ConfigError: no engine serves the URL.
        EngineBusy: somebody held what it needs for too long; nothing was changed.
        StorageUnfit: the schema is newer, and no longer serves this version.
    """
    place, _ = _parse(config)
    scheme = urlsplit(config.url).scheme
    where = _MIGRATIONS.get(scheme)
    if where is None:
        return None
    work: Callable[..., Migration] = _imported(scheme, where)
    return work(config, Path(place), check=check) if place else work(config, check=check)


def database_file(url: str) -> Path:
    """Return the file that an SQLite URL names; a relative one begins here, `~/` at home.

    Raises:
        ConfigError: it names none.
    """
    parts = urlsplit(url)
    path = unquote(parts.path).removeprefix("/")
    if parts.netloc or parts.query or parts.fragment or path in ("", ":memory:") or "\0" in path:
        raise ConfigError(f"{url}: names no file; use {_EXAMPLES}")
    file = Path(path)
    return (file.expanduser() if path.startswith("~/") else file).resolve()


def _parse(config: Config) -> tuple[str | None, dict[str, Any]]:
    """Return what can be shared, if anything, without secrets, and the engine's settings."""
    parts = urlsplit(config.url)
    if parts.scheme not in _ENGINES:
        # The rest of an unknown URL may hold a password.
        raise ConfigError(f"no engine is called {parts.scheme!r}; use {_EXAMPLES}")
    if parts.scheme in ("postgres", "postgresql"):
        # Each App has an engine, and connections, of its own: they need not know of each other.
        return None, {name: getattr(config, name) for name in _POSTGRESQL_SETTINGS}
    if parts.scheme == "memory":
        if config.url not in ("memory:", "memory://"):
            raise ConfigError(f"{config.url}: memory: takes no address")
        return None, {}
    if parts.scheme.startswith("redis"):
        return config.place, {name: getattr(config, name) for name in _REDIS_SETTINGS}
    file = str(database_file(config.url))
    return file, {name: getattr(config, name) for name in _SQLITE_SETTINGS}


def _maker(
    config: Config, place: str | None, settings: dict[str, Any], clock: Clock, ids: Ids
) -> Callable[[], Engine]:
    scheme = urlsplit(config.url).scheme

    def make() -> Engine:
        engine = _engine_class(scheme)
        if scheme in ("postgres", "postgresql"):
            # The server has a clock, which all hosts share: only a test's own goes before it.
            own = None if isinstance(clock, SystemClock) else clock
            return engine(config.url, clock=own, ids=ids, **settings)
        where = () if place is None else (config.url if scheme != "sqlite" else place,)
        return engine(*where, clock=clock, ids=ids, **settings)

    return make


def _engine_class(scheme: str) -> Callable[..., Engine]:
    engine: Callable[..., Engine] = _imported(scheme, _ENGINES[scheme])
    return engine


def _imported(scheme: str, place: str) -> Any:
    """Import a name at its first use, or say which driver is missing for it."""
    module, name = place.split(":")
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get(error.name or "")
        if extra is None:
            raise
        raise ConfigError(
            f"{scheme}: needs {error.name}, which is not installed: pip install 'headrace[{extra}]'"
        ) from error


def _differences(theirs: dict[str, Any], ours: dict[str, Any]) -> str:
    return ", ".join(
        f"{name} {theirs[name]!r}, here {ours[name]!r}"
        for name in theirs
        if theirs[name] != ours[name]
    )
