"""A PostgreSQL server for the tests of this folder, and engines and connections on one schema."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from headrace.engines.postgresql import PostgreSQLEngine
from headrace.engines.postgresql.address import Address
from headrace.engines.postgresql.link import Link
from tests.postgresql import Place, postgresql, postgresql_place

__all__ = ["postgresql", "postgresql_place"]


def opened(place: Place) -> PostgreSQLEngine:
    """Return an open engine."""
    engine = PostgreSQLEngine(place.url, poll=0.1, allow_unsafe_server=True)
    engine.open().wait(10)
    return engine


@pytest.fixture
def engine(postgresql: Place) -> Iterator[PostgreSQLEngine]:
    """Give an engine."""
    engine = opened(postgresql)
    yield engine
    engine.close().wait(10)


@pytest.fixture
def rival(postgresql: Place) -> Iterator[PostgreSQLEngine]:
    """Give another engine on the same schema, as another host has."""
    engine = opened(postgresql)
    yield engine
    engine.close().wait(10)


@pytest.fixture
def link(postgresql: Place) -> Iterator[Link]:
    """Give a connection, on which transactions can be left open."""
    link = Link(Address(postgresql.url))
    yield link
    link.rollback()
    link.close()
