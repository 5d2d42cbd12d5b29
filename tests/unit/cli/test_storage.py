"""A command opens what is there, and makes nothing that is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.cli.exits import NoDatabase
from headrace.cli.storage import check_shared, database, opened, url_of
from headrace.config import load
from headrace.errors import ConfigError
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


def test_database() -> None:
    assert database("sqlite:///shop.db") == Path("shop.db")
    assert database("sqlite:////var/shop%20one.db") == Path("/var/shop one.db")
    assert database("memory:") is None


def test_url_of_any_path() -> None:
    path = Path("/var/a b/100%?#.db")
    assert database(url_of(path)) == path
