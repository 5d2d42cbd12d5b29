"""The SQLite engine: one file, no server, several processes."""

from headrace.engines.sqlite.engine import SQLiteEngine

__all__ = ["SQLiteEngine"]
