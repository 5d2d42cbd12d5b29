"""`headrace move` in a process to which something happens at commits: `moving N WHEN BUG ARGS`.

It kills itself `before` or `after` its n-th commit; or with `beside` it waits before each n-th one,
until the test has done something to a server. Also the program whose jobs are moved: each run is
noted in a file outside.
"""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from headrace import App
from headrace.mover import Mover
from headrace.write import Restore

JOBS = 8
"""So many a batch, that a few jobs make many commits."""

app = App(poll=0.1)


@app.task
def note(n: int) -> None:
    """Tell the world outside that this ran."""
    file = os.open(os.environ["MOVING_NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{n}\n".encode())
    os.close(file)


def killing(number: int, when: str, bug: str) -> Any:
    """Return a `Mover._commit` that ends the process, or waits, at its n-th call."""
    original, calls = Mover._commit, [0]

    def commit(self: Mover, engine: Any, *writes: Any) -> Any:
        calls[0] += 1
        if bug == "no numbers" and isinstance(writes[-1], Restore):
            writes = writes[1:]
        if when == "beside" and calls[0] % number == 0:
            _wait_at(calls[0])
        if calls[0] == number and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        answers = original(self, engine, *writes)
        if calls[0] == number and when == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return answers

    return commit


def _wait_at(commit: int) -> None:
    """Say which commit comes next, and wait for a file of that name to go."""
    file = Path(f"{os.environ['MOVING_NOTES']}.{commit}")
    file.touch()
    while file.exists():
        time.sleep(0.01)


def main(number: str, when: str, bug: str, *arguments: str) -> None:
    """Run the command line."""
    from headrace import mover  # noqa: PLC0415 - to change it
    from headrace.cli.main import main as command  # noqa: PLC0415 - a worker imports this module, too

    mover._JOBS = JOBS
    Mover._commit = killing(int(number), when, bug)  # type: ignore[method-assign] # that is its use
    command(list(arguments))


if __name__ == "__main__":
    main(*sys.argv[1:])
