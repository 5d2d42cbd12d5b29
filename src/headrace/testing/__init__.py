"""What tests of programs, and of engines, are made with.

Programs: `ManualClock`. Engines: the conformance suites, which need pytest and are imported by
their own names — `queue_suite` (which tells how they are used), `keys_suite`, `lease_suite`,
`loss_suite`, `ledger_suite`, `store_suite`, `lifecycle_suite` — and the model test, `model`.
"""

from headrace.testing.clock import ManualClock

__all__ = ["ManualClock"]
