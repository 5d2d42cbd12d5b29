"""What the fault tests start as a process of its own: `python -m tests.faults.program VERB PATH …`.

It says what it has come to on its standard output, a line each.
"""

import sys
from collections.abc import Callable
from pathlib import Path

from headrace.engines.sqlite import SQLiteEngine
from headrace.errors import HeadraceError
from tests.faults.history import History
from tests.faults.workload import PATIENCE, Workload


def say(text: str) -> None:
    """Write a line at once: the process may be killed before it could write it later."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def open_and_close(path: Path) -> None:
    """Open a database, new or not."""
    engine = SQLiteEngine(path, ballast=0)
    engine.open().wait(PATIENCE)
    say("opened")
    engine.close().wait(PATIENCE)
    say("closed")


def work(path: Path, history: str, seed: str, steps: str) -> None:
    """Do seeded work until it is done or refused, and write the history."""
    engine = SQLiteEngine(path, ballast=0)
    engine.open().wait(PATIENCE)
    say("opened")
    with History(Path(history)) as recorder:
        workload = Workload(engine, recorder, seed=int(seed))
        for _ in range(int(steps)):
            for error in workload.step():
                say(type(error).__name__)
    engine.close().wait(PATIENCE)
    say("closed")


VERBS: dict[str, Callable[..., None]] = {"open": open_and_close, "work": work}


def main(verb: str, path: str, *arguments: str) -> None:
    """Do what the command line says; what is refused is said by its name."""
    try:
        VERBS[verb](Path(path), *arguments)
    except HeadraceError as error:
        say(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
