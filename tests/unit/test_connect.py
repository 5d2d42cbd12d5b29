"""URLs lead to engines; Apps that name one file share its engine."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from headrace import connect
from headrace.clock import SystemClock
from headrace.config import Config
from headrace.connect import Borrowed, Connection
from headrace.engines.memory import MemoryEngine
from headrace.engines.postgresql import PostgreSQLEngine
from headrace.engines.redis import RedisEngine
from headrace.engines.sqlite import SQLiteEngine
from headrace.errors import ConfigError, EngineClosed, EngineError, StorageUnfit
from headrace.ids import Ids
from headrace.record import State
from headrace.reply import Reply
from headrace.testing import ManualClock
from tests.unit.waiting import until


def connection(url: str, **settings: Any) -> Connection:
    return Connection(Config(url=url, **settings), SystemClock(), Ids())


def opened(url: str, **settings: Any) -> Connection:
    made = connection(url, **settings)
    made.open().wait(10)
    return made


def test_memory_engines_are_not_shared() -> None:
    one, other = opened("memory:"), opened("memory:")
    assert isinstance(one.engine, MemoryEngine)
    assert one.engine is not other.engine
    one.close().wait(10)
    other.close().wait(10)


def test_one_file_is_one_engine_until_the_last_one_leaves(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    one, other = opened(url), opened(f"sqlite:///{tmp_path}/sub/../a.db")
    engine = one.engine
    assert isinstance(engine, SQLiteEngine)
    assert other.engine is engine
    one.close().wait(10)
    one.close().wait(10)
    assert engine.states(["x"]).wait(10) == {}
    other.close().wait(10)
    with pytest.raises(EngineClosed):
        engine.states(["x"]).wait(10)


def test_it_can_be_opened_again(tmp_path: Path) -> None:
    made = connection(f"sqlite:///{tmp_path}/a.db")
    for _ in range(2):
        made.open().wait(10)
        made.open().wait(10)
        states: dict[str, State] = made.engine.states(["x"]).wait(10)
        assert states == {}
        made.close().wait(10)
        with pytest.raises(EngineClosed, match="not open"):
            _ = made.engine


class Slow(MemoryEngine):
    """An engine that is opened and closed when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.replies: list[Reply[None]] = []

    def open(self) -> Reply[None]:
        return self._ask("open")

    def close(self) -> Reply[None]:
        return self._ask("close")

    def _ask(self, step: str) -> Reply[None]:
        self.asked.append(step)
        self.replies.append(Reply())
        return self.replies[-1]


def test_an_engine_is_opened_and_closed_in_the_order_in_which_it_was_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = Slow()
    made = connection("memory:")
    monkeypatch.setattr(made, "_make", lambda: engine)
    opening, closing, again = made.open(), made.close(), made.open()
    assert engine.asked == ["open"]
    engine.replies[0].fail(StorageUnfit("once"))
    with pytest.raises(StorageUnfit):
        opening.wait(0)
    assert engine.asked == ["open", "close"]
    engine.replies[1].resolve(None)
    closing.wait(0)
    assert engine.asked == ["open", "close", "open"]
    engine.replies[2].resolve(None)
    again.wait(0)
    assert made.engine is engine


def test_threads_that_open_and_close_it_leave_nothing_behind(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    made = connection(f"sqlite:///{tmp_path}/a.db", ballast=0, durability="crash")

    def use() -> None:
        for _ in range(20):
            made.open().wait(30)
            made.close()

    users = [threading.Thread(target=use) for _ in range(4)]
    for user in users:
        user.start()
    for user in users:
        user.join(60)
    made.open().wait(30)
    made.close().wait(30)
    until(lambda: set(threading.enumerate()) <= before, "the engine's threads to end")


def test_other_settings_for_an_open_file_are_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    one, other = opened(url), connection(url, durability="crash")
    with pytest.raises(ConfigError, match="durability 'power', here 'crash'"):
        other.open()
    one.close().wait(10)
    other.open().wait(10)
    other.close().wait(10)


def test_a_relative_path_is_what_it_was_at_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = connection("sqlite:///some%20file.db")
    monkeypatch.chdir("/")
    made.open().wait(10)
    made.close().wait(10)
    assert (tmp_path / "some file.db").exists()


def test_a_file_may_be_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir("/")
    assert connection("sqlite:///~/a.db").place == str(tmp_path.resolve() / "a.db")
    assert connection("sqlite:///~nobody.db").place == "/~nobody.db"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://user:secret@host/db", "no engine is called 'mysql'; use sqlite:///"),
        ("headrace.db", "no engine is called ''"),
        ("sqlite:///", "names no file"),
        ("sqlite://headrace.db", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite:///a.db?mode=ro", "names no file"),
        ("sqlite:///a%00b", "names no file"),
        ("memory:x", "takes no address"),
    ],
)
def test_other_urls_are_refused_with_an_example(url: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        connection(url)
    assert "secret" not in str(caught.value)


def test_a_borrowed_engine_stays_open() -> None:
    engine = MemoryEngine()
    engine.open().wait(5)
    borrowed = Borrowed(engine)
    borrowed.open().wait(5)
    borrowed.close().wait(5)
    assert borrowed.engine.depth().wait(5) == ()


def test_a_server_is_shared_and_its_password_is_not_shown() -> None:
    url = "redis://me:s3cret@127.0.0.1:1/0?prefix=shop"
    one, other = connection(url), connection(url, poll=9.0)
    assert one.place == "redis://127.0.0.1:1/0?prefix=shop"
    with pytest.raises(EngineError, match=r"redis://127\.0\.0\.1:1/0\?prefix=shop") as away:
        one.open().wait(10)
    with pytest.raises(ConfigError, match=r"poll 1\.0, here 9\.0") as differs:
        other.open()
    assert isinstance(one.engine, RedisEngine)
    one.close().wait(10)
    assert "s3cret" not in f"{away.value} {differs.value}"


def test_without_its_driver_an_engine_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(_: str) -> None:
        raise ModuleNotFoundError("No module named 'redis'", name="redis")

    monkeypatch.setattr(connect, "import_module", missing)
    with pytest.raises(ConfigError, match=r"pip install 'headrace\[redis\]'"):
        connection("rediss://host/0").open()


def test_postgresql_has_the_servers_clock_unless_a_test_has_one() -> None:
    url = "postgresql://user:secret@127.0.0.1:1/none"
    made = connection(url, allow_unsafe_server=True, deadline=5.0)
    assert made.place is None
    assert made.settings == {
        "poll": 1.0,
        "deadline": 5.0,
        "transaction_limit": 1.0,
        "allow_unsafe_server": True,
    }
    engine = made._make()
    assert isinstance(engine, PostgreSQLEngine)
    assert engine._clock is None
    clock = ManualClock()
    tested = Connection(Config(url=url), clock, Ids(clock))._make()
    assert isinstance(tested, PostgreSQLEngine)
    assert tested._clock is clock


def test_a_driver_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> object:
        raise ModuleNotFoundError("No module named 'psycopg'", name="psycopg")

    monkeypatch.setattr(connect, "import_module", missing)
    with pytest.raises(ConfigError, match=r"pip install 'headrace\[postgresql\]'"):
        connection("postgres://host/db").open()
