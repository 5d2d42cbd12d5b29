"""Ticket: what a process prints of each job it was given, for the test that reads its output."""

from __future__ import annotations

import os
import sys

import msgspec

from headrace.app import App
from headrace.job import Job

PATIENCE = 60.0
"""Seconds to wait for a result; more than a run should ever need."""


class Ticket(msgspec.Struct, frozen=True):
    """One accepted job.

    Attributes:
        job: its id.
        number: what was asked for.
        result: what came of it; None: it was not there yet.
        pid: the process that has submitted it.
    """

    job: str
    number: int
    result: int | None
    pid: int


def draw(app: App, number: int) -> Ticket:
    """Submit a job and wait for its result; print both steps."""
    job: Job[int] = app.registry.get("quick").submit(number)
    _print(Ticket(job.id, number, None, os.getpid()))
    ticket = Ticket(job.id, number, job.result(PATIENCE), os.getpid())
    _print(ticket)
    return ticket


def tickets(output: str) -> list[Ticket]:
    """Read what was printed, in this order; other lines, or half of one, are none of ours."""
    lines = [line for line in output.splitlines(keepends=True) if line.startswith('{"job"')]
    lines = [line for line in lines if line.endswith("\n")]
    return [msgspec.json.decode(line, type=Ticket) for line in lines]


def _print(ticket: Ticket) -> None:
    # One write: several processes share the file.
    os.write(sys.stdout.fileno(), msgspec.json.encode(ticket) + b"\n")
