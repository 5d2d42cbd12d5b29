"""The tasks that are measured; HEADRACE_URL says where their jobs are kept."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from benchmarks.stamps import stamp
from headrace import App, Task

app = App()


@app.task
def noop(n: int) -> int:
    """Run, and return a result to store."""
    stamp()
    return n


@app.task
async def noop_async(n: int) -> int:
    """Do the same on the loop."""
    stamp()
    return n


@app.task
def nap(seconds: float) -> None:
    """Hold a thread for a while."""
    time.sleep(seconds)
    stamp()


@app.task
async def nap_async(seconds: float) -> None:
    """Wait on the loop for a while."""
    await asyncio.sleep(seconds)
    stamp()


TASKS: dict[str, Task[..., Any, Any]] = {
    "noop": noop,
    "noop_async": noop_async,
    "nap": nap,
    "nap_async": nap_async,
}
