"""The memory engine itself; the suites are run over it in tests/conformance."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.engines.memory import MemoryEngine
from headrace.errors import DuplicateJob, Unsupported, UsageError
from headrace.testing import ManualClock
from headrace.testing.steps import message, send, state
from headrace.write import Put, Send


@pytest.fixture
def engine() -> Iterator[MemoryEngine]:
    engine = MemoryEngine(clock=ManualClock())
    engine.open().wait(0)
    yield engine
    engine.close().wait(0)


def test_every_reply_is_there_at_once(engine: MemoryEngine) -> None:
    assert engine.apply(Send((message("a"),))).done
    assert engine.lease(["default"], limit=1, seconds=1, holder="w").done
    assert engine.maintain().done
    assert engine.inspect().done


def test_it_forgets_everything_when_it_is_closed(engine: MemoryEngine) -> None:
    send(engine, "a")
    engine.apply(Put("k", b"")).wait(0)
    engine.close().wait(0)
    engine.open().wait(0)
    assert state(engine, "a") is None
    assert engine.load(["k"]).wait(0).get("k") is None


def test_it_says_what_it_cannot_do(engine: MemoryEngine, tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="SQLite"):
        engine.backup(tmp_path / "copy").wait(0)
    with pytest.raises(Unsupported, match="object"):
        engine.adopt(object())
    with pytest.raises(Unsupported, match="select 1"):
        engine.begin().execute("select 1").wait(0)


def test_a_transaction_belongs_to_its_engine(engine: MemoryEngine) -> None:
    other = MemoryEngine()
    with pytest.raises(UsageError, match="another engine"):
        engine.commit([Put("k", b"")], other.begin()).wait(0)


def test_a_transaction_is_checked_again_at_its_end(engine: MemoryEngine) -> None:
    tx = engine.begin()
    engine.apply(Send((message("a", unique_key="k"),)), tx).wait(0)
    send(engine, "b", unique_key="k")
    with pytest.raises(DuplicateJob):
        tx.commit().wait(0)
    assert state(engine, "a") is None


def test_a_refused_transaction_goes_on_refusing(engine: MemoryEngine) -> None:
    send(engine, "a", unique_key="k")
    tx = engine.begin()
    for call in (lambda: engine.apply(Send((message("b", unique_key="k"),)), tx), tx.commit):
        with pytest.raises(DuplicateJob):
            call().wait(0)
    tx.rollback().wait(0)
