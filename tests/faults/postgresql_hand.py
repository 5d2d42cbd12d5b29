"""A process that claims and settles jobs on PostgreSQL, and writes down what it was given.

`postgresql_hand URL HISTORY HOLDER`: a line for each claimed job and for each settled one, in one
write, outside of the database. It ends when the file HISTORY.over is there.
"""

import json
import os
import sys
from pathlib import Path

from headrace.engines.postgresql import PostgreSQLEngine
from headrace.errors import EngineError
from headrace.record import State
from headrace.write import Lease, Settle, Settlement

LEASE_SECONDS = 2.0
LIMIT = 10


def note(history: int, what: str, lease: Lease) -> None:
    """Write a line that the kernel keeps whole."""
    line = json.dumps([what, lease.job_id, lease.token, lease.claim])
    os.write(history, f"{line}\n".encode())


def main(url: str, path: str, holder: str) -> None:
    """Claim and settle until there is a file that says it is over."""
    history = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    engine = PostgreSQLEngine(url, poll=0.1, allow_unsafe_server=True)
    engine.open().wait()
    over = Path(f"{path}.over")
    while not over.exists():
        try:
            work(engine, history, holder)
            engine.maintain().wait()
        except EngineError as error:
            sys.stderr.write(f"goes on after: {error!r}\n")
    engine.close().wait()


def work(engine: PostgreSQLEngine, history: int, holder: str) -> None:
    """Claim some jobs, and settle each by itself."""
    claim = engine.lease(["default"], limit=LIMIT, seconds=LEASE_SECONDS, holder=holder, wait=0.2)
    for lease in claim.wait():
        note(history, "claimed", lease)
        settlement = Settlement(lease=lease, to=State.SUCCEEDED)
        if not engine.apply(Settle((settlement,))).wait().lost:
            note(history, "settled", lease)


if __name__ == "__main__":
    main(*sys.argv[1:])
