"""A command opens what is there, and makes nothing that is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.cli.exits import NoDatabase
from headrace.cli.storage import check_shared, database, opened, url_of
from headrace.clock import SystemClock
from headrace.config import load
from headrace.connect import Connection
from headrace.errors import ConfigError
from headrace.ids import Ids
from headrace.write import PauseQueue
from tests.unit.cli.conftest import Shop, Terminal


def test_nothing_is_made(terminal: Terminal) -> None:
    with pytest.raises(NoDatabase, match=r"shop\.db yet"), opened():
        pass
    assert list(terminal.folder.iterdir()) == []


def test_what_is_there_is_opened(shop: Shop) -> None:
    (job_id,) = shop.submit()
    with opened() as storage:
        assert job_id in storage.ask(storage.engine.get([job_id]))
        storage.apply(PauseQueue("default"))
        (status,) = storage.ask(storage.engine.depth(["default"]))
    assert status.paused


def test_memory_is_refused() -> None:
    with pytest.raises(ConfigError, match="one process only"):
        check_shared(load({"url": "memory:"}))


@pytest.mark.parametrize("path", ["shop.db", "/var/shop%20one.db", "~/shop.db"])
def test_a_command_looks_where_an_app_would(path: str) -> None:
    url = f"sqlite:///{path}"
    assert str(database(url)) == Connection(load({"url": url}), SystemClock(), Ids()).place


def test_what_is_not_in_a_file_is_elsewhere() -> None:
    assert database("memory:") is None


def test_url_of_any_path() -> None:
    path = Path("/var/a b/100%?#.db")
    assert database(url_of(path)) == path
