"""What tests of programs, and of engines, are made with.

Programs: `Harness` puts an App on an engine of its own and runs its jobs when told to, `drain` does
the latter alone, `context` makes a Context for a plain call, and time is a `ManualClock`.

Engines: the conformance suites, which need pytest and are imported by their own names —
`queue_suite` (which tells how they are used), `keys_suite`, `lease_suite`, `loss_suite`,
`ledger_suite`, `store_suite`, `lifecycle_suite`, `move_suite` — and the model test, `model`.
"""

from headrace.testing.clock import ManualClock
from headrace.testing.harness import Harness, arguments
from headrace.testing.manual_context import ManualContext, context
from headrace.testing.worker import adrain, drain

__all__ = [
    "Harness",
    "ManualClock",
    "ManualContext",
    "adrain",
    "arguments",
    "context",
    "drain",
]
