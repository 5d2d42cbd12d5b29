"""A worker of a few lines, for tests of what surrounds the real one."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

from msgspec import Raw

from headrace.app import App
from headrace.record import Failure, State
from headrace.write import Lease, Settle, Settlement


def claim(app: App, limit: int = 100) -> tuple[Lease, ...]:
    """Claim what is ready, in every queue."""
    queues = [status.name for status in app.engine.depth().wait(5)]
    return app.engine.lease(queues, limit=limit, seconds=30, holder="tester").wait(5)


def settle(app: App, lease: Lease, to: State, **more: Any) -> None:
    """End one run."""
    settlement = Settlement(lease=lease, to=to, **more)
    app.engine.apply(Settle((settlement,))).wait(5)


def run_all(app: App) -> int:
    """Run every ready job of tasks that take no Context; say how many there were."""
    leases = claim(app)
    for lease in leases:
        task = app.registry.get(lease.message.task)
        args, kwargs = task.parameters.decode(lease.message.body)
        try:
            value = task(*args, **kwargs)
            if inspect.iscoroutine(value):
                value = asyncio.run(value)
        except ZeroDivisionError as error:
            failure = Failure(cause="attempts-spent", message=str(error), traceback="the traceback")
            settle(app, lease, State.DEAD, failure=failure)
        else:
            settle(app, lease, State.SUCCEEDED, result=Raw(task.returns.encode(value)))
    return len(leases)
