"""The memory engine: everything in this process, for tests and for the model of all engines."""

from headrace.engines.memory.engine import MemoryEngine

__all__ = ["MemoryEngine"]
