"""`headrace move` in a process that kills itself at a commit: `moving N before|after BUG ARGS`.

Also the program whose jobs are moved: each run is noted in a file outside.
"""

import os
import signal
import sys
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
    """Return a `Mover._commit` that ends the process at its n-th call."""
    original, calls = Mover._commit, [0]

    def commit(self: Mover, engine: Any, *writes: Any) -> Any:
        calls[0] += 1
        if bug == "no numbers" and isinstance(writes[-1], Restore):
            writes = writes[1:]
        if calls[0] == number and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        answers = original(self, engine, *writes)
        if calls[0] == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return answers

    return commit


def main(number: str, when: str, bug: str, *arguments: str) -> None:
    """Run the command line."""
    from headrace import mover  # noqa: PLC0415 - to change it
    from headrace.cli.main import main as command  # noqa: PLC0415 - a worker imports this module, too

    mover._JOBS = JOBS
    Mover._commit = killing(int(number), when, bug)  # type: ignore[method-assign] # that is its use
    command(list(arguments))


if __name__ == "__main__":
    main(*sys.argv[1:])
