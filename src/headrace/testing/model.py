"""The model test: random histories, in which an engine must agree with the memory engine.

    rivals = Rivals(MemoryEngine(clock=clock), MyEngine(..., clock=clock), clock, Random(7))
    rivals.run(200)

Both engines are open, empty and take their time from the one clock. After every step, all answers,
records, queues and entries are compared. What the contract leaves open is not: which of several
reasons refuses a commit, the order between suspects and others, and the wording of failures.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from headrace.cargo import MOVE_PREFIX, Cargo, unpack
from headrace.engine import Engine, Tx
from headrace.errors import Refused
from headrace.message import Message
from headrace.record import Filter, Record, State
from headrace.testing.clock import ManualClock
from headrace.testing.script import HOLDERS, QUEUES, Dice, Leases, Script, Writes
from headrace.testing.steps import PATIENCE, job_id, label_of, labels, maintain
from headrace.write import Delete, Depart, Lease, PauseQueue, Reclaimed, Restore, Write

REFUSED = "refused"
_KEY = f"{MOVE_PREFIX}out/1"
_PLENTY = 1 << 30


class Rivals:
    """A reference and a subject that go through the same history.

    Args:
        reference: the engine that is right.
        subject: the engine that must agree.
        clock: what both take their time from.
        dice: decides what happens.
    """

    def __init__(self, reference: Engine, subject: Engine, clock: ManualClock, dice: Dice) -> None:
        self._engines = (reference, subject)
        self._clock = clock
        self._dice = dice
        self._script = Script(dice, clock)
        self._held: list[Leases] = []
        self.story: list[str] = []

    def run(self, steps: int) -> None:
        """Go through a history of so many steps.

        Raises:
            AssertionError: the engines disagree; the message ends with the last steps.
        """
        kinds = (
            *[self._commit] * 6,
            *[self._claim] * 5,
            *[self._let_time_pass] * 2,
            self._commit_many,
            self._transact,
            self._crash,
            self._move,
        )
        for _ in range(steps):
            self._dice.choice(kinds)()
            self._compare_everything()

    # Steps ----------------------------------------------------------------------------------------

    def _commit(self) -> None:
        self._apply([self._script.write(self._held)])

    def _commit_many(self) -> None:
        self._apply([self._script.write(self._held) for _ in range(3)])

    def _crash(self) -> None:
        write = self._script.reclaim()
        self._apply([(write, write)])

    def _move(self) -> None:
        """Let jobs of a queue, or else entries, leave for the other engine, and come from there."""
        queue, limit = self._dice.choice(QUEUES), 1 + self._dice.randrange(9)
        self._note("move", queue, limit)
        writes: list[Write[Any]] = [PauseQueue(queue), Depart(_KEY, limit, _PLENTY)]
        self._same("departures", lambda side: self._answer(side, [(w, w) for w in writes]))
        loaded = [engine.load([_KEY]).wait(PATIENCE).get(_KEY) for engine in self._engines]
        self._agree("loads", *[entry is not None for entry in loaded])
        for engine, entry in zip(self._engines, reversed(loaded), strict=True):
            back: list[Write[Any]] = [PauseQueue(queue, paused=False)]
            if entry is not None:
                back += [Restore(_alike(unpack(entry.value))), Delete(_KEY)]
            engine.commit(back).wait(PATIENCE)

    def _apply(self, writes: list[Writes]) -> None:
        self._note("commit", *[_short(ours) for ours, _ in writes])
        self._same("answers", lambda side: self._answer(side, writes))

    def _transact(self) -> None:
        if any(engine.capabilities.transaction == "never" for engine in self._engines):
            return
        parts = [[self._script.write(self._held)] for _ in range(2)]
        stays = self._dice.random() < 0.7
        self._note("begin", *[_short(part[0][0]) for part in parts])
        self._note("commit it" if stays else "roll it back")

        def transact(side: int) -> object:
            tx = self._engines[side].begin()
            answers = [self._answer(side, writes, tx) for writes in parts]
            end = tx.commit() if stays and REFUSED not in answers else tx.rollback()
            end.wait(PATIENCE)
            return answers[: answers.index(REFUSED) + 1] if REFUSED in answers else answers

        self._same("answers", transact)

    def _answer(self, side: int, writes: list[Writes], tx: Tx | None = None) -> object:
        engine = self._engines[side]
        try:
            answers = engine.commit([pair[side] for pair in writes], tx).wait(PATIENCE)
        except Refused:
            return REFUSED
        return [_unordered(answer) for answer in answers]

    def _claim(self) -> None:
        queue, holder = self._dice.choice(QUEUES), self._dice.choice(HOLDERS)
        # Not a sum of the steps of the clock: what holds at the very moment is left open, too.
        seconds = self._dice.choice((20.5, 100.5))
        if self._suspects(queue):
            self._claim_all(queue, holder, seconds)
            return
        limit = 1 + self._dice.randrange(4)
        self._note("claim", queue, limit)
        ours, theirs = (self._lease(side, queue, limit, holder, seconds) for side in (0, 1))
        self._agree("claims", labels(ours), labels(theirs))
        self._hold(ours, theirs)

    def _claim_all(self, queue: str, holder: str, seconds: float) -> None:
        """Claim until nothing is left: the order between suspects and others is left open."""
        self._note("claim all", queue)
        sides: list[list[Lease]] = [[], []]
        for side, claimed in enumerate(sides):
            while leases := self._lease(side, queue, 1, holder, seconds):
                claimed.extend(leases)
        for suspect in (True, False):
            ours, theirs = ([x for x in side if bool(x.lost) is suspect] for side in sides)
            self._agree("claims", labels(ours), labels(theirs))
            self._hold(tuple(ours), tuple(theirs))

    def _lease(
        self, side: int, queue: str, limit: int, holder: str, seconds: float
    ) -> tuple[Lease, ...]:
        reply = self._engines[side].lease([queue], limit=limit, seconds=seconds, holder=holder)
        return reply.wait(PATIENCE)

    def _hold(self, ours: tuple[Lease, ...], theirs: tuple[Lease, ...]) -> None:
        for pair in zip(ours, theirs, strict=True):
            self._agree("leases", *map(_visible, pair))
            self._held.append(pair)
        del self._held[:-12]  # stale leases among them are wanted, but not for ever

    def _let_time_pass(self) -> None:
        seconds = self._dice.choice((1.0, 6.0, 21.0, 70.0))
        self._note("advance", seconds)
        self._clock.advance(seconds)

    # Comparing ------------------------------------------------------------------------------------

    def _compare_everything(self) -> None:
        # When exactly a lease is reaped, or a late job ended, is left open until somebody does it.
        for engine in self._engines:
            maintain(engine)
        ids = self._script.known()
        self._same("records", lambda side: self._records(side, ids))
        self._same("states", lambda side: self._engines[side].states(ids).wait(PATIENCE))
        self._same("queues", self._queues)
        self._same("entries", lambda side: self._engines[side].scan("").wait(PATIENCE))
        where = Filter(
            states=tuple(self._script.some(tuple(State))), queues=(self._dice.choice(QUEUES),)
        )
        self._same("lists", lambda side: self._list(side, where))

    def _records(self, side: int, ids: list[str]) -> dict[str, object]:
        records = self._engines[side].get(ids).wait(PATIENCE)
        return {key: _told(record) for key, record in records.items()}

    def _queues(self, side: int) -> list[object]:
        statuses = self._engines[side].depth(QUEUES).wait(PATIENCE)
        return [msgspec.structs.replace(status, drain_rate=0.0) for status in statuses]

    def _list(self, side: int, where: Filter) -> list[str]:
        page = self._engines[side].find(where, limit=5).wait(PATIENCE)
        names = labels(page.records)
        while page.cursor is not None:
            page = self._engines[side].find(where, limit=5, cursor=page.cursor).wait(PATIENCE)
            names += labels(page.records)
        return names

    def _suspects(self, queue: str) -> bool:
        records = self._engines[0].get(self._script.known()).wait(PATIENCE).values()
        waiting = [r for r in records if r.state is State.READY and r.message.queue == queue]
        return any(record.lost for record in waiting)

    def _same(self, what: str, look: Callable[[int], object]) -> None:
        self._agree(what, look(0), look(1))

    def _agree(self, what: str, ours: object, theirs: object) -> None:
        if ours == theirs:
            return
        story = "\n  ".join(self.story[-15:])
        difference = _difference(ours, theirs)
        raise AssertionError(
            f"{what} differ: {difference}\nafter {len(self.story)} steps:\n  {story}"
        )

    def _note(self, *words: object) -> None:
        self.story.append(" ".join(map(str, words)))


def _visible(lease: Lease) -> object:
    envelope = _envelope(lease.message)
    return (envelope, lease.attempt, lease.lost, lease.claim.rpartition(".")[0])


def _unordered(answer: object) -> object:
    """Return an answer without the order between jobs of different queues."""
    if isinstance(answer, Reclaimed):
        return (set(answer.returned), set(answer.dead))
    return answer


def _envelope(message: Message) -> Message:
    """Return a message without what `EditJobs` may or may not write into it."""
    return msgspec.structs.replace(message, priority=0, delay=None, run_at=None)


def _alike(cargo: Cargo) -> Cargo:
    """Return cargo without what `EditJobs` may or may not write into a message: it has a size."""
    jobs = tuple(
        msgspec.structs.replace(
            job, message=msgspec.structs.replace(job.message, delay=None, run_at=None)
        )
        for job in cargo.jobs
    )
    return msgspec.structs.replace(cargo, jobs=jobs)


def _told(record: Record) -> dict[str, Any]:
    """Return what two engines must agree on about one job."""
    told = {name: getattr(record, name) for name in record.__struct_fields__}
    del told["failure"], told["history"]
    told["message"] = _envelope(record.message)
    told["result"] = None if record.result is None else msgspec.json.decode(record.result)
    if record.state is State.RUNNING:
        del told["attempt"]  # it may or may not count the run under way
    told["cause"] = record.failure.cause if record.failure and record.state.terminal else None
    told["past"] = [(entry.number, entry.ended_at, entry.counted) for entry in record.history]
    # What a run that was asked to cancel and failed is put down to is left open.
    causes = [entry.failure.cause for entry in record.history]
    told["causes"] = [] if record.state is State.CANCELLED else causes
    return told


def _short(write: Write[Any]) -> str:
    """Return a write as a line that can be read."""
    text = msgspec.json.encode(write).decode()
    text = re.sub(rf"{job_id('x')[:-12]}[0-9a-f]{{12}}", lambda found: label_of(found[0]), text)
    return f"{type(write).__name__} {text}"


def _difference(ours: object, theirs: object) -> str:
    """Return where two things differ, as near to the point as can be told."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in [*ours, *theirs]:
            if key not in ours or key not in theirs:
                return f"{key}: only {'the reference' if key in ours else 'the subject'} has it"
            if ours[key] != theirs[key]:
                return f"{key}: {_difference(ours[key], theirs[key])}"
    return f"{ours!r} != {theirs!r}"
