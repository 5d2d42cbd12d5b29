"""What the fault tests start as a process of its own: `program VERB PATH HISTORY SEED BUG …`.

It says what it has come to on its standard output, a line each, and ends when the file `PATH.end`
is there.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from headrace.engines.sqlite import SQLiteEngine
from headrace.errors import HeadraceError, OutcomeUnknown
from headrace.record import State
from headrace.testing.steps import message
from headrace.write import Send, Settle, Settlement
from tests.faults.history import History
from tests.faults.plants import planted
from tests.faults.workload import PATIENCE, QUEUES, Workload, answer_of

LEASE_SECONDS = 1.0


def say(text: str) -> None:
    """Write a line at once: the process may be killed before it could write it later."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class Program:
    """A process with an engine.

    Args:
        path: the database.
        history: the history to append to.
        seed: what to do, and the name under which jobs are held.
    """

    def __init__(self, path: Path, history: History, seed: int) -> None:
        self._end = Path(f"{path}.end")
        self._history = history
        self._seed = seed
        self._engine = SQLiteEngine(path, ballast=0, poll=0.05)
        self._engine.open().wait(PATIENCE)
        say("opened")

    def close(self) -> None:
        """Close the engine."""
        self._engine.close().wait(PATIENCE)
        say("closed")

    def open(self) -> None:
        """Open the database, and nothing else."""

    def work(self, steps: str) -> None:
        """Do mixed work, and say what is refused."""
        workload = self._workload()
        for _ in range(int(steps)):
            for error in workload.step():
                say(type(error).__name__)

    def hammer(self) -> None:
        """Do mixed work until the end, and take back what others lost."""
        workload, steps = self._workload(), 0
        while not self._end.exists():
            if any(isinstance(error, OutcomeUnknown) for error in workload.step()):
                say("unknown")
            self._engine.maintain().wait(PATIENCE)
            steps += 1
        say(f"did {steps} steps")

    def submit(self) -> None:
        """Submit small batches until the end; say how many and how long their answers took."""
        workload, waits = self._workload(), []
        while not self._end.exists():
            since = time.perf_counter()
            workload.submit()
            waits.append(time.perf_counter() - since)
        worst = sorted(waits)[-1 - len(waits) // 1000]
        say(f"submitted {len(waits)}, p99.9 {worst * 1000:.1f} ms")

    def flood(self, mebibytes: str) -> None:
        """Send one batch that is larger than SQLite's cache, and say what becomes of it."""
        body = msgspec.Raw(b'"%s"' % (b"x" * 2**20))
        batch = tuple(message(f"{n}", body=body) for n in range(int(mebibytes)))
        error = answer_of(self._engine.apply(Send(batch)))
        say("accepted" if error is None else type(error).__name__)

    def hold(self) -> None:
        """Claim jobs and settle them at the end, however late that is."""
        claim = self._engine.lease(QUEUES, limit=10, seconds=LEASE_SECONDS, holder="sleeper")
        leases = claim.wait(PATIENCE)
        say(f"holds {len(leases)}")
        while not self._end.exists():
            time.sleep(0.01)
        done = tuple(Settlement(lease=lease, to=State.SUCCEEDED) for lease in leases)
        answer = self._engine.apply(Settle(done)).wait(PATIENCE)
        say(f"lost {len(answer.lost)}")

    def _workload(self) -> Workload:
        return Workload(
            self._engine,
            self._history,
            seed=self._seed,
            holder=f"holder-{self._seed}",
            seconds=LEASE_SECONDS,
        )


VERBS: dict[str, Callable[..., None]] = {
    "open": Program.open,
    "work": Program.work,
    "hammer": Program.hammer,
    "submit": Program.submit,
    "flood": Program.flood,
    "hold": Program.hold,
}


def main(verb: str, path: str, history: str, seed: str, bug: str = "", *arguments: str) -> None:
    """Do what the command line says; what ends it early is said by its name."""
    with planted(bug), History(Path(history)) as recorder:
        try:
            program = Program(Path(path), recorder, int(seed))
            VERBS[verb](program, *arguments)
            program.close()
        except HeadraceError as error:
            say(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
