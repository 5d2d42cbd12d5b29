"""PostgreSQL keeps the contract when a pooler gives each transaction another connection."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from headrace.engine import Engine
from headrace.engines.postgresql import PostgreSQLEngine
from headrace.ids import Ids
from headrace.testing import ManualClock
from headrace.testing.keys_suite import UniqueKeySuite
from headrace.testing.lease_suite import LeaseSuite, WaitingLeaseSuite
from headrace.testing.lifecycle_suite import (
    ConcurrencySuite,
    LifecycleSuite,
    NativeTransactionSuite,
    TransactionSuite,
)
from headrace.testing.queue_suite import LimitsSuite
from tests.conformance.test_engines import AllSuites


class _Pooled:
    """An engine whose connections are the pooler's."""

    @pytest.fixture
    def clock(self) -> ManualClock:
        return ManualClock()

    @pytest.fixture
    def engine(self, clock: ManualClock, pooled: str) -> Iterator[Engine]:
        ids = Ids(clock, seed=1)
        engine = PostgreSQLEngine(pooled, clock=clock, ids=ids, poll=0.1, allow_unsafe_server=True)
        engine.open().wait(5)
        assert engine.inspect().wait(5).settings["connection"] == "through a pooler"
        yield engine
        engine.close().wait(5)


class TestWhatHoldsLocks(
    _Pooled,
    LimitsSuite,
    UniqueKeySuite,
    LeaseSuite,
    WaitingLeaseSuite,
    LifecycleSuite,
    TransactionSuite,
    NativeTransactionSuite,
    ConcurrencySuite,
):
    """What a session would be missed by first: transactions, locks, waiting, claims of many."""


@pytest.mark.soak
class TestAll(_Pooled, AllSuites):
    """Everything."""
