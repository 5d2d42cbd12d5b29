"""Patience: waits for a job as long as its client would like to, and is still there."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.requests import Request

from headrace.errors import HeadraceError
from headrace.gateway.desk import Desk
from headrace.gateway.problem import Problem
from headrace.record import Record
from headrace.reply import Unanswered
from headrace.watcher import Watcher


async def finished(request: Request, desk: Desk, job_id: str, seconds: float) -> Record | None:
    """Return the final record of a job; None if it is not finished in time, or too many wait.

    Args:
        request: whose body is read; when its client leaves, nobody waits any longer.
        desk: tells when jobs are finished.
        job_id: the job.
        seconds: how long to wait.
    """
    try:
        with desk.load.pausing():
            return await _finished(request, (await desk.app.aintake()).watcher, job_id, seconds)
    except (HeadraceError, Problem):  # whatever it is: the job is accepted
        return None


async def _finished(request: Request, watcher: Watcher, job_id: str, seconds: float) -> Record:
    reply = watcher.wait(job_id)
    gone = asyncio.ensure_future(_gone(request))
    gone.add_done_callback(lambda _: reply.fail(Unanswered(seconds)))
    timer = asyncio.get_running_loop().call_later(seconds, reply.fail, Unanswered(seconds))
    try:
        return await reply
    finally:
        timer.cancel()
        gone.cancel()
        watcher.forget(job_id, reply)
        with suppress(asyncio.CancelledError):
            await gone


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
