"""A program whose tasks are slow, deadly or quick, for workers in processes of their own."""

import asyncio
import os
import signal
import time

from headrace import App, Retry

app = App(os.environ.get("SYSTEM_URL", "sqlite:///jobs.db"), poll=0.1, lease=60.0, grace=20.0)


@app.task
def quick(n: int) -> int:
    """End at once."""
    return n


@app.task
async def aquick(n: int) -> int:
    """End at once, as a coroutine."""
    return n


@app.task
def slow(seconds: float) -> float:
    """Take its time."""
    time.sleep(seconds)
    return seconds


@app.task
async def aslow(seconds: float) -> float:
    """Take its time, as a coroutine."""
    await asyncio.sleep(seconds)
    return seconds


@app.task(retry=Retry(attempts=5, delay=0.01))
def deadly(n: int) -> None:
    """Kill the worker process, every time."""
    os._exit(n)


@app.task(process=True, timeout=1.0, retry=Retry(attempts=2, delay=0.01))
def stubborn(n: int) -> None:
    """Outlive its timeout in a child process, deaf to every polite signal."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(3600 + n)
