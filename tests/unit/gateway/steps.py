"""What workers do to jobs, one step at a time, from coroutines that talk to a gateway."""

from __future__ import annotations

from typing import Any

import msgspec

from headrace.app import App
from headrace.engine import Engine
from headrace.job import Progress, progress_key
from headrace.record import Failure, State
from headrace.write import Lease, Put, Settle, Settlement

QUEUES = ("default", "boxes", "mail")


async def engine_of(app: App) -> Engine:
    """Return the engine, open."""
    return (await app.aintake()).engine


async def submit(app: App, task: str = "add", **options: Any) -> str:
    """Submit one job of a task of the fixtures, and return its id."""
    declared = app.registry.get(task)
    args = {"add": (1,), "echo": (1,), "report": ("may",), "divide": (2,)}[task]
    chosen = declared.using(**options) if options else declared
    return (await app.asubmit([chosen.call(*args)]))[0].id


async def claim(app: App) -> Lease:
    """Claim the job that is next."""
    engine = await engine_of(app)
    (lease,) = await engine.lease(QUEUES, limit=1, seconds=60, holder="tester")
    return lease


async def settle(app: App, lease: Lease, to: State = State.SUCCEEDED, **more: Any) -> None:
    """End a run: with the result 3, unless it is said otherwise."""
    if to is State.SUCCEEDED:
        more = {"result": msgspec.Raw(b"3"), **more}
    if to is State.DEAD:
        failure = Failure(cause="attempts-spent", type="E", message="no", traceback="secret")
        more = {"failure": failure, **more}
    settlement = Settlement(lease=lease, to=to, **more)
    await (await engine_of(app)).apply(Settle((settlement,)))


async def finish(app: App, to: State = State.SUCCEEDED, **more: Any) -> str:
    """Run the job that is next, and return its id."""
    lease = await claim(app)
    await settle(app, lease, to, **more)
    return lease.job_id


async def report(app: App, job_id: str, done: float) -> None:
    """Tell how far a run has come."""
    put = Put(progress_key(job_id), msgspec.json.encode(Progress(done, 10, "on")))
    await (await engine_of(app)).apply(put)
