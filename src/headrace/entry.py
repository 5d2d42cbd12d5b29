"""Entry: what every child process of ours begins with (`python -m headrace.entry`).

It is no command for people: its first message, over the channel that is its standard input, says
what it is to be.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import sys

from headrace import journal, order
from headrace.app import App
from headrace.child import Channel
from headrace.context import Workplace
from headrace.errors import HeadraceError, UsageError
from headrace.node import Node
from headrace.observe.wiring import wire
from headrace.pools.inside import Inside, Report
from headrace.signals import heeded, interrupting
from headrace.target import load
from headrace.webhooks import Webhooks
from headrace.worker import Exit

_SWITCH_SECONDS = 0.0005


def main() -> int:
    """Do what the first message says; return the exit code."""
    try:
        channel = Channel.of_parent()
    except OSError:  # its standard input is something else
        sys.stderr.write("headrace.entry is for child processes; people want `headrace worker`\n")
        return Exit.USAGE
    message = channel.receive()
    if message is None:
        return Exit.CLEAN  # the parent has changed its mind, or is gone
    wanted = order.decode(message)
    code, everything_ended = _obey(wanted, channel)
    if isinstance(wanted, order.Work):
        with contextlib.suppress(OSError):  # the supervisor is gone
            channel.send(order.farewell(code))
    if not everything_ended:
        # A thread goes on in its run and would keep this process from ending.
        logging.shutdown()
        sys.stderr.flush()
        sys.stdout.flush()
        os._exit(code)
    return code


def _obey(wanted: order.Serve | order.Work, channel: Channel) -> tuple[int, bool]:
    """Be what is wanted; return the exit code, and whether every run has ended."""
    try:
        match wanted:
            case order.Serve(target):
                _serve(target, channel)
            case order.Work() as work:
                return _work(work, channel)
    except HeadraceError as error:
        sys.stderr.write(f"headrace: {error}\n")
        # A program that must change is not started again; an engine in trouble may recover.
        return Exit.USAGE if isinstance(error, UsageError) else Exit.ENGINE, True
    return Exit.CLEAN, True


def _serve(target: str, channel: Channel) -> None:
    # The parent decides when this process ends, by closing the channel or by SIGKILL: a signal to
    # the whole group must not cut a run short. (A handler, since what the run starts would inherit
    # that a signal is ignored.)
    with heeded(lambda *_: None):
        _answer(load(target), channel)


def _answer(app: App, channel: Channel) -> None:
    journal.begin(app.config)
    wire(app)
    Webhooks(app)  # for what the runs submit

    def open_workplace(report: Report) -> Workplace:
        return Workplace(
            intake=app.intake,
            clock=app.clock,
            deadline=app.config.deadline,
            max_result=app.config.max_result,
            report=report,
        )

    Inside(
        app.registry,
        app.middleware,
        channel,
        clock=app.clock,
        open_workplace=open_workplace,
        max_result=app.config.max_result,
    ).run()


def _work(work: order.Work, channel: Channel) -> tuple[int, bool]:
    # Threads hand the interpreter over often, and each hand-over may wait this long for a thread
    # that only computes: with the default of 5 ms a drain was several times slower. It is a setting
    # of the whole process, so only processes that are all ours change it.
    sys.setswitchinterval(_SWITCH_SECONDS)
    if work.target is None:
        sys.stderr.write("headrace: a worker process needs to know where its App is\n")
        return Exit.USAGE, True
    try:
        with interrupting():
            app = load(work.target)
    except KeyboardInterrupt:
        return Exit.CLEAN, True  # it is told to end, and has not begun
    journal.begin(app.config)
    # What the program has imported stays. The collector of cycles would look through it time and
    # again, while every job waits.
    gc.freeze()
    return Node(app, work).run(channel)


if __name__ == "__main__":
    sys.exit(main())
