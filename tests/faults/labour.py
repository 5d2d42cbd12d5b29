"""The tasks that the worker-level fault tests run, and the App that declares them.

A worker process imports this module by its name, as it would a user's program. What the tasks do
is written to the history that the environment names, and if it names one of the bugs of `planted`
as well, the process has it.
"""

import asyncio
import ctypes
import functools
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headrace import App, Context, Retry
from headrace.errors import LeaseLost
from tests.faults import plants, witness
from tests.faults.history import History, Type

CHILDREN = 1_000_000_000
"""What is added to a job's number for the number of the job that it submits."""
EFFECTS = "create table effects (number integer not null)"
EFFECT = "insert into effects values (?)"
LAST_WORDS = "this job is poison"
EXIT_CODE = 41

if witness.HISTORY in os.environ:  # a process that a test started, and not the test itself
    witness.testify()
    plants.plant(os.environ.get(plants.BUG, ""))

app = App()
SOON = Retry(attempts=100, delay=0.05, factor=1.0)


@functools.cache
def history() -> History:
    """Return the history that this process writes."""
    return History(Path(os.environ[witness.HISTORY]))


@contextmanager
def running(number: int) -> Iterator[None]:
    """Record a run."""
    with history().operation("run", number, refused=(Exception,)):
        yield


def _stumble(ctx: Context, number: int) -> None:
    """Fail, in its first attempt, one job of ten."""
    if ctx.attempt == 1 and number % 10 == 0:
        raise RuntimeError("it fails at first")


@app.task(retry=SOON)
async def note(ctx: Context, number: int, seconds: float = 0.0) -> int:
    """Take some time, as a coroutine, and return who ran it."""
    with running(number):
        await asyncio.sleep(seconds)
        _stumble(ctx, number)
    return os.getpid()


@app.task(retry=SOON)
def note_in_thread(ctx: Context, number: int, seconds: float = 0.0) -> int:
    """Take some time, in a thread, and return who ran it."""
    with running(number):
        time.sleep(seconds)
        _stumble(ctx, number)
    return os.getpid()


@app.task
async def hesitate(ctx: Context, number: int, seconds: float) -> int:
    """Take some time, but none after a lost lease."""
    with running(number):
        await asyncio.sleep(0.0 if ctx.lost else seconds)
    return os.getpid()


@app.task
async def write_much(number: int, seconds: float, size: int = 50_000) -> str:
    """Return a large result."""
    with running(number):
        await asyncio.sleep(seconds)
    return "x" * size


@app.task
async def block(number: int, seconds: float) -> int:
    """Block the event loop."""
    with running(number):
        time.sleep(seconds)  # noqa: ASYNC251 - it is what no coroutine should do
    return os.getpid()


@app.task
async def listen(ctx: Context, number: int, seconds: float) -> int:
    """Go on until it is told that the lease is lost; the next run ends at once."""
    with running(number):
        try:
            await asyncio.sleep(0.0 if ctx.lost else seconds)
        except asyncio.CancelledError:
            _tell(ctx, number)
            raise
    return os.getpid()


@app.task
def listen_in_thread(ctx: Context, number: int, seconds: float) -> int:
    """Do the same in a thread."""
    until = time.monotonic() + (0.0 if ctx.lost else seconds)
    with running(number):
        while time.monotonic() < until:
            time.sleep(0.02)
            if ctx.cancelled:
                _tell(ctx, number)
                ctx.check()
    return os.getpid()


def _tell(ctx: Context, number: int) -> None:
    try:
        ctx.check()
    except LeaseLost:
        history().record(Type.OK, "told", number)


# Effects ------------------------------------------------------------------------------------------


@app.task(retry=SOON)
async def affect(ctx: Context, number: int, seconds: float = 0.0) -> None:
    """Have an effect and submit a job, in one transaction with the completion."""
    _begin(number)
    try:
        _stumble(ctx, number)
        await asyncio.sleep(seconds)
        async with ctx.transaction() as tx:
            await tx.execute(EFFECT, (number,))
            await tx.submit([note.call(CHILDREN + number)])
            # Before the commit: it is the last thing that surely happens in this process.
            history().record(Type.OK, "run", number)
    except Exception:
        history().record(Type.FAIL, "run", number)
        raise
    _end(number)


@app.task(retry=SOON)
def affect_in_thread(ctx: Context, number: int, seconds: float = 0.0, held: float = 0.0) -> None:
    """Do the same in a thread; hold the write lock for some seconds."""
    _begin(number)
    try:
        _stumble(ctx, number)
        time.sleep(seconds)
        with ctx.transaction() as tx:
            tx.execute(EFFECT, (number,))
            history().record(Type.OK, "hold", number)
            time.sleep(held)
            tx.submit([note.call(CHILDREN + number)])
            history().record(Type.OK, "run", number)
    except Exception:
        history().record(Type.FAIL, "run", number)
        raise
    _end(number)


def _begin(number: int) -> None:
    history().record(Type.INVOKE, "run", number)
    history().record(Type.INVOKE, "submit", CHILDREN + number)


def _end(number: int) -> None:
    history().record(Type.OK, "submit", CHILDREN + number)
    if number % 7 == 0:
        raise RuntimeError("it fails after the commit, which undoes nothing")


@app.task(retry=SOON)
def affect_apart(number: int, seconds: float = 0.0) -> None:
    """Have the effect in a transaction of its own: the mistake that `ctx.transaction()` avoids."""
    with running(number):
        tx = app.engine.begin()
        tx.execute(EFFECT, (number,)).wait()
        tx.commit().wait()
        time.sleep(seconds)


# Poison -------------------------------------------------------------------------------------------


@app.task
def exit_at_once(number: int, seconds: float = 0.0) -> None:
    """End the worker process, with last words."""
    _last_words(number, seconds)
    os._exit(EXIT_CODE)


@app.task
def crash(number: int, seconds: float = 0.0) -> None:
    """Make the worker process crash (SIGSEGV)."""
    _last_words(number, seconds)
    ctypes.string_at(0)


def _last_words(number: int, seconds: float) -> None:
    history().record(Type.INVOKE, "run", number)
    time.sleep(seconds)
    sys.stderr.write(f"{LAST_WORDS}\n")
    sys.stderr.flush()
