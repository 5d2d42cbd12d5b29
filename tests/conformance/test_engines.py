"""Every engine keeps the contract: all suites over each of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.engine import Engine
from headrace.engines.memory import MemoryEngine
from headrace.engines.sqlite import SQLiteEngine
from headrace.ids import Ids
from headrace.testing import ManualClock
from headrace.testing.keys_suite import OrderKeySuite, UniqueKeySuite
from headrace.testing.lease_suite import LeaseSuite, WaitingLeaseSuite
from headrace.testing.ledger_suite import ChangeSuite, FindSuite, RecordSuite, RetentionSuite
from headrace.testing.lifecycle_suite import (
    ConcurrencySuite,
    LifecycleSuite,
    NativeTransactionSuite,
    TransactionSuite,
    WatchSuite,
)
from headrace.testing.loss_suite import CancelRunningSuite, LostLeaseSuite
from headrace.testing.move_suite import DepartSuite, RestoreSuite
from headrace.testing.queue_suite import LimitsSuite, QueueSuite
from headrace.testing.store_suite import StoreSuite


class AllSuites(
    QueueSuite,
    LimitsSuite,
    UniqueKeySuite,
    OrderKeySuite,
    LeaseSuite,
    LostLeaseSuite,
    CancelRunningSuite,
    WaitingLeaseSuite,
    RecordSuite,
    ChangeSuite,
    RetentionSuite,
    FindSuite,
    StoreSuite,
    LifecycleSuite,
    WatchSuite,
    TransactionSuite,
    NativeTransactionSuite,
    ConcurrencySuite,
    DepartSuite,
    RestoreSuite,
):
    """What every engine here goes through."""

    @pytest.fixture
    def clock(self) -> ManualClock:
        return ManualClock()


class TestMemory(AllSuites):
    @pytest.fixture
    def engine(self, clock: ManualClock) -> Iterator[Engine]:
        engine = MemoryEngine(clock=clock, ids=Ids(clock, seed=1))
        engine.open().wait(5)
        yield engine
        engine.close().wait(5)


class TestSQLite(AllSuites):
    @pytest.fixture
    def engine(self, clock: ManualClock, tmp_path: Path) -> Iterator[Engine]:
        engine = SQLiteEngine(tmp_path / "jobs.db", clock=clock, ids=Ids(clock, seed=1), ballast=0)
        engine.open().wait(5)
        yield engine
        engine.close().wait(5)


def test_no_suite_hides_a_test_of_another() -> None:
    names = [name for suite in AllSuites.__bases__ for name in vars(suite)]
    tests = [name for name in names if name.startswith("test_")]
    assert len(tests) > 100
    assert len(tests) == len(set(tests))
