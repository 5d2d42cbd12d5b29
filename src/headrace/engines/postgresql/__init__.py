"""The PostgreSQL engine: everything in one schema, any number of hosts."""

from headrace.engines.postgresql.engine import PostgreSQLEngine

__all__ = ["PostgreSQLEngine"]
