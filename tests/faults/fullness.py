"""Stories on a disk that fills up: `python -m tests.faults.fullness STORY DIRECTORY HISTORY [BUG]`.

They run as a process of their own, because only such a one sees the small disk. Each tells what it
saw as one JSON object, its last line; the test judges it.
"""

import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from headrace.engines.sqlite import SQLiteEngine
from headrace.message import VERSION, Message
from headrace.record import State
from headrace.reply import Reply
from headrace.write import Extend, Lease, Send, Settle, Settlement
from tests.faults.history import History
from tests.faults.plants import planted
from tests.faults.workload import PATIENCE, Workload, answer_of

MEBIBYTE = 2**20
BALLAST = 4 * MEBIBYTE
ROUNDS = 400

Story = Callable[[Path, Path], dict[str, Any]]


class Room:
    """Takes up space on a disk, and gives it back.

    Args:
        directory: a directory on that disk.
    """

    def __init__(self, directory: Path) -> None:
        self._filler = directory / "filler"

    def fill(self) -> None:
        """Take all the space there is."""
        with self._filler.open("ab", buffering=0) as filler:
            try:
                while filler.write(bytes(4096)):
                    pass
            except OSError:
                return

    def free(self) -> None:
        """Give back what was taken."""
        self._filler.unlink(missing_ok=True)


class Narrator:
    """An engine on a small disk, with short forms of what the stories do with it."""

    def __init__(self, directory: Path) -> None:
        self.room = Room(directory)
        self.engine = SQLiteEngine(directory / "jobs.db", ballast=BALLAST)
        self.engine.open().wait(PATIENCE)
        self.accepted: list[str] = []
        self.leases: list[Lease] = []

    def send(self, size: int = 100) -> str:
        """Send one job; return how that ended."""
        job_id = f"job-{len(self.accepted)}-{random.getrandbits(64):016x}"
        body = msgspec.Raw(b'"%s"' % (b"x" * size))
        ended = outcome(
            self.engine.apply(Send((Message(v=VERSION, id=job_id, task="noop", body=body),)))
        )
        if ended == "done":
            self.accepted.append(job_id)
        return ended

    def claim(self, limit: int) -> None:
        """Hold the leases of some jobs."""
        self.leases += self.engine.lease(
            ["default"], limit=limit, seconds=3600.0, holder="worker"
        ).wait(PATIENCE)

    def settle(self, size: int = 100) -> str:
        """Settle one job, with a result of some size; on failure its lease is kept."""
        result = msgspec.Raw(b'"%s"' % (b"y" * size))
        lease = self.leases[-1]
        done = Settlement(lease=lease, to=State.SUCCEEDED, result=result)
        ended = outcome(self.engine.apply(Settle((done,))))
        if ended == "done":
            self.leases.pop()
        return ended

    def lost(self) -> int:
        """Return how many accepted jobs cannot be read."""
        states = self.engine.states(self.accepted).wait(PATIENCE)
        return len(self.accepted) - len(states)

    def ballast(self) -> int:
        """Return the bytes of the reserve that are left."""
        return (self.engine.path.parent / "jobs.db-ballast").stat().st_size

    def close(self) -> dict[str, Any]:
        """Close the engine; say how many jobs are not there."""
        lost = self.lost()
        self.engine.close().wait(PATIENCE)
        return {"lost": lost}


def outcome(reply: Reply[Any]) -> str:
    """Wait for an answer and return the name of its error, or `done`."""
    error = answer_of(reply)
    return "done" if error is None else type(error).__name__


def until_not(wanted: str, act: Callable[[], str]) -> str:
    """Act until it ends otherwise than `wanted`; return how."""
    for _ in range(ROUNDS):
        ended = act()
        if ended != wanted:
            return ended
    return wanted


def reserve(directory: Path, _history: Path) -> dict[str, Any]:
    """Fill the disk; settle from the reserve until it is spent; free the disk and go on."""
    narrator = Narrator(directory)
    for _ in range(200):
        narrator.send()
    narrator.claim(150)
    narrator.room.fill()
    seen: dict[str, Any] = {"send on a full disk": until_not("done", narrator.send)}
    seen["lost while it is full"] = narrator.lost()
    seen["settle from the reserve"] = [narrator.settle(10_000) for _ in range(20)]
    seen["extend from the reserve"] = outcome(
        narrator.engine.apply(Extend(tuple(narrator.leases), 3600.0))
    )
    seen["reserve is touched"] = narrator.ballast() < BALLAST
    seen["maintain on a full disk"] = outcome(narrator.engine.maintain())
    seen["send while the reserve is touched"] = narrator.send()
    seen["settle without a reserve"] = until_not("done", lambda: narrator.settle(300_000))
    seen["reserve that is spent"] = narrator.ballast()
    seen["read without a reserve"] = narrator.lost()
    narrator.room.free()
    seen["settle with space again"] = narrator.settle()
    seen["send before the reserve is whole"] = narrator.send()
    seen["maintain with space again"] = outcome(narrator.engine.maintain())
    seen["reserve is whole"] = narrator.ballast() == BALLAST
    seen["send with space again"] = narrator.send()
    while narrator.leases:
        seen["settle the rest"] = narrator.settle()
    return seen | narrator.close()


def reopen(directory: Path, _history: Path) -> dict[str, Any]:
    """Open the file on a full disk, as a worker does that is started again."""
    narrator = Narrator(directory)
    for _ in range(50):
        narrator.send()
    accepted = narrator.accepted
    narrator.engine.close().wait(PATIENCE)
    narrator.room.fill()
    seen: dict[str, Any] = {"open": outcome(narrator.engine.open())}
    narrator.accepted = accepted
    narrator.claim(20)
    seen["claimed"] = len(narrator.leases)
    seen["settle"] = [narrator.settle() for _ in range(len(narrator.leases))]
    seen["send"] = narrator.send()
    narrator.room.free()
    seen["maintain"] = outcome(narrator.engine.maintain())
    seen["send with space again"] = narrator.send()
    return seen | narrator.close()


def squeeze(directory: Path, history: Path) -> dict[str, Any]:
    """Do mixed work while the disk is filled and freed at random."""
    room = Room(directory)
    engine = SQLiteEngine(directory / "jobs.db", ballast=MEBIBYTE)
    engine.open().wait(PATIENCE)
    rng = random.Random(1)
    errors: dict[str, int] = {}
    with History(history) as recorder:
        workload = Workload(engine, recorder, seed=1)
        for _ in range(ROUNDS):
            rng.choice((room.fill, room.free, engine.maintain, str, str))()
            for error in workload.step():
                name = type(error).__name__
                errors[name] = errors.get(name, 0) + 1
        room.free()
    engine.maintain().wait(PATIENCE)
    engine.close().wait(PATIENCE)
    return {"errors": errors}


STORIES: dict[str, Story] = {"reserve": reserve, "reopen": reopen, "squeeze": squeeze}


def main(story: str, directory: str, history: str, bug: str = "") -> None:
    """Tell one story, with a planted bug if one is named."""
    with planted(bug):
        seen = STORIES[story](Path(directory), Path(history))
    sys.stdout.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
