"""A PostgreSQL server for the tests of this folder, and a pooler in front of it."""

from tests.pgbouncer import pooled, pooler
from tests.postgresql import postgresql, postgresql_place

__all__ = ["pooled", "pooler", "postgresql", "postgresql_place"]
