"""What tests of programs, and of engines, are made with.

Programs: `ManualClock`. Engines: the suites `headrace.testing.queue_suite`, `ledger_suite`,
`store_suite`, `lifecycle_suite` and `model`, which need pytest and are imported by their own names.
"""

from headrace.testing.clock import ManualClock

__all__ = ["ManualClock"]
