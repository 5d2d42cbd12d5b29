"""What the worker-level fault tests start: `python -m tests.faults.mill VERB …`.

`headrace worker` keeps its children running; the worker of this program is on its own.
"""

import os
import sys
import time
from collections.abc import Callable
from itertools import count, islice
from pathlib import Path
from random import Random

from headrace.errors import EngineError, HeadraceError, OutcomeUnknown, Refused
from headrace.node import Node
from headrace.order import Work
from tests.faults import labour
from tests.faults.history import Type

LARGEST_BATCH = 12
PATIENCE = 60.0


def submit(first: str, last: str, seconds: str, *tasks: str) -> int:
    """Submit jobs with these numbers to these tasks, in batches; each run takes some seconds."""
    numbers = range(int(first), int(last))
    kinds = [labour.app.registry.get(name) for name in tasks]
    rng = Random(first)
    while numbers:
        size = rng.randint(1, LARGEST_BATCH)
        batch, numbers = numbers[:size], numbers[size:]
        with labour.history().operation("submit", list(batch), refused=(Refused,)):
            labour.app.submit([rng.choice(kinds).call(n, float(seconds)) for n in batch])
        time.sleep(rng.uniform(0.0, 0.03))
    return 0


def offer(end: str, first: str, *tasks: str) -> int:
    """Submit jobs, numbered from `first`, until there is a file `end`; go on after every error.

    What nobody knew is read back after that. How long each answer took is written down, too.
    """
    numbers, rng = count(int(first)), Random(first)
    kinds = [labour.app.registry.get(name) for name in tasks]
    unknown: dict[str, int] = {}
    while not Path(end).exists():
        batch = list(islice(numbers, rng.randint(1, LARGEST_BATCH)))
        since, error = time.monotonic(), ""
        labour.history().record(Type.INVOKE, "submit", batch)
        try:
            labour.app.submit([rng.choice(kinds).call(n, rng.uniform(0.0, 0.1)) for n in batch])
            kind = Type.OK
        except OutcomeUnknown as unsure:
            unknown.update(zip(unsure.job_ids, batch, strict=True))
            kind, error = Type.INFO, f"OutcomeUnknown: {unsure}"
        except HeadraceError as refused:  # each of them says that nothing was written
            kind, error = Type.FAIL, f"{type(refused).__name__}: {refused}"
        labour.history().record(kind, "submit", batch)
        told = {"seconds": time.monotonic() - since, "error": error}
        labour.history().record(Type.OK, "answer", told)
        time.sleep(rng.uniform(0.0, 0.1))
    _read_back(unknown)
    return 0


def _read_back(unknown: dict[str, int]) -> None:
    """Write down of each of these jobs whether it was accepted."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            states = labour.app.engine.states(list(unknown)).wait(PATIENCE)
        except EngineError:
            continue  # on a connection that nobody had told us was lost
        for job_id, number in unknown.items():
            labour.history().record(Type.OK if job_id in states else Type.FAIL, "submit", [number])
        return


def work() -> int:
    """Work until a signal, without a supervisor."""
    code, everything_ended = Node(labour.app, Work()).run()
    if not everything_ended:
        os._exit(code)
    return code


VERBS: dict[str, Callable[..., int]] = {"submit": submit, "offer": offer, "work": work}


def main(verb: str, *arguments: str) -> int:
    """Do what the command line says."""
    try:
        return VERBS[verb](*arguments)
    except HeadraceError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
