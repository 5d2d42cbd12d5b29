"""A PostgreSQL server for the tests of this folder."""

from tests.postgresql import postgresql, postgresql_place

__all__ = ["postgresql", "postgresql_place"]
