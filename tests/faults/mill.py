"""What the worker-level fault tests start: `python -m tests.faults.mill VERB …`.

`headrace worker` keeps its children running; the worker of this program is on its own.
"""

import os
import sys
import time
from collections.abc import Callable
from random import Random

from headrace.errors import HeadraceError, Refused
from headrace.node import Node
from headrace.order import Work
from tests.faults import labour

LARGEST_BATCH = 12


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


def work() -> int:
    """Work until a signal, without a supervisor."""
    code, everything_ended = Node(labour.app, Work()).run()
    if not everything_ended:
        os._exit(code)
    return code


VERBS: dict[str, Callable[..., int]] = {"submit": submit, "work": work}


def main(verb: str, *arguments: str) -> int:
    """Do what the command line says."""
    try:
        return VERBS[verb](*arguments)
    except HeadraceError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
