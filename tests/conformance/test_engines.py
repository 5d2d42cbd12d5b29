"""Every engine keeps the contract: all suites over each of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.engine import Engine
from headrace.engines.memory import MemoryEngine
from headrace.engines.postgresql import PostgreSQLEngine
from headrace.engines.redis import RedisEngine
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
from tests import redis_server
from tests.postgresql import Place


class PortableSuites(
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
    ConcurrencySuite,
    DepartSuite,
    RestoreSuite,
):
    """What every engine here goes through."""

    @pytest.fixture
    def clock(self) -> ManualClock:
        return ManualClock()


class AllSuites(PortableSuites, NativeTransactionSuite):
    """What engines with transactions go through."""


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


class TestRedis(PortableSuites):
    @pytest.fixture
    def engine(self, clock: ManualClock) -> Iterator[Engine]:
        with redis_server.keys() as url:
            ids = Ids(clock, seed=1)
            engine = RedisEngine(url, clock=clock, ids=ids, allow_volatile_server=True)
            engine.open().wait(5)
            yield engine
            engine.close().wait(5)


class TestPostgreSQL(AllSuites):
    @pytest.fixture
    def engine(self, clock: ManualClock, postgresql: Place) -> Iterator[Engine]:
        engine = PostgreSQLEngine(
            postgresql.url, clock=clock, ids=Ids(clock, seed=1), allow_unsafe_server=True
        )
        engine.open().wait(5)
        yield engine
        engine.close().wait(5)


def test_no_suite_hides_a_test_of_another() -> None:
    suites = (*PortableSuites.__bases__, NativeTransactionSuite)
    names = [name for suite in suites for name in vars(suite)]
    tests = [name for name in names if name.startswith("test_")]
    assert len(tests) > 100
    assert len(tests) == len(set(tests))
