"""A small prefork server: `python -m tests.system.prefork`.

It uses its App, forks some children, by `os.fork` and by `multiprocessing`, while a thread goes on
using it, and uses it again when they have ended. Each child does the same jobs and ends as a
program ends, with all that was registered for its end.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading

from tests.system.program import app
from tests.system.ticket import draw

CHILDREN = 3
"""How many are forked in each way."""
JOBS = 10
"""How many jobs each child, and the parent before and after them, draws."""


def serve() -> None:
    """Draw some jobs."""
    for number in range(JOBS):
        draw(app, number)


def forked() -> int:
    """Fork a child that serves and then ends as a program does; return its pid."""
    pid = os.fork()
    if not pid:
        serve()
        sys.exit(0)
    return pid


def main() -> None:
    """Serve, fork, serve."""
    serve()
    stopping = threading.Event()

    def go_on() -> None:
        while not stopping.is_set():
            draw(app, 1000)

    thread = threading.Thread(target=go_on)
    thread.start()
    pids = [forked() for _ in range(CHILDREN)]
    fork = multiprocessing.get_context("fork")
    others = [fork.Process(target=serve) for _ in range(CHILDREN)]
    for other in others:
        other.start()
    for pid in pids:
        _, status = os.waitpid(pid, 0)
        assert status == 0, f"child {pid} ended with {status}"
    for other in others:
        other.join()
        assert other.exitcode == 0, f"child {other.pid} ended with {other.exitcode}"
    stopping.set()
    thread.join()
    serve()
    app.close()


if __name__ == "__main__":
    main()
