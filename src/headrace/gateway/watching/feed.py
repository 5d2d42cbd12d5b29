"""Feed: one look at the engine for all who wait for news of jobs; a waiter costs memory, no query.

A look asks for the states of all watched jobs at once, and only for the records of those that
changed. It is taken after a hint of the engine, or when none came for a while, and all looks
together take a fifth of the time, unless that would leave who waits without news for a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice

from headrace.engine import Engine, Entry, Topic
from headrace.errors import EngineClosed, HeadraceError
from headrace.gateway.desk import Desk
from headrace.gateway.watching.channel import Channel, Waiter
from headrace.gateway.watching.newcomers import Newcomers
from headrace.gateway.watching.sight import Sight
from headrace.job import Progress, progress_key, read_progress
from headrace.record import Record, State

POLL_SECONDS = 0.5
"""How often it looks without a hint, about."""

_GENTLY_SECONDS = 0.05
_REST_SECONDS = 0.002
_REST_FACTOR = 4
_LONGEST_REST_SECONDS = 1.0
_JITTER = 0.25
_FEW = 64
_CHUNK = 2000
_SWEEP = 256
_TOLD_AT_ONCE = 500
_JOBS_LIMIT = 200_000

_TOPICS: tuple[Topic, ...] = ("finished", "ready", "stored")
_log = logging.getLogger("headrace")


class _Watched:
    """A job, those who wait for news of it, and what is known of it."""

    __slots__ = ("sight", "waiters")

    def __init__(self) -> None:
        self.sight: Sight | None = None
        self.waiters: set[Waiter] = set()


class Feed:
    """Tells waiters what happens to jobs. It works on the event loop, while somebody waits.

    Changes of state are found by asking for all states. What changes without them (a run that
    began and ended between two looks, a new moment) is found within seconds, by going through all
    records, a part of them at each poll.

    Args:
        desk: serves.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._waiters: set[Waiter] = set()
        self._watched: dict[str, _Watched] = {}
        self._fresh: set[str] = set()
        self._due: set[Topic] = set()
        self._hinted: set[Topic] = set()
        self._swept = 0
        self._took = 0.0
        self._turn: Iterable[str] = ()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._newcomers = Newcomers(desk, self.watch, self.unwatch)

    def start(self) -> None:
        """Begin to listen for hints; harmless if it does. Who waits first is then told at once."""
        loop, task = asyncio.get_running_loop(), self._task
        if task is None or task.done() or task.get_loop() is not loop:
            self._wake = asyncio.Event()  # of the loop that runs now
            self._wake.set()
            self._task = loop.create_task(self._run())

    @contextmanager
    def waiting(self, waiter: Waiter) -> Iterator[None]:
        """Let somebody wait, in a `with` block; what it watches it has to let go of itself.

        Raises:
            Problem: too many wait already (503).
        """
        self._loop = asyncio.get_running_loop()
        with self._desk.load.pausing():
            self._waiters.add(waiter)
            if self._desk.load.draining:
                waiter.stop()
            try:
                yield
            finally:
                self._waiters.discard(waiter)

    def watch(self, job_id: str, waiter: Waiter, sight: Sight | None = None) -> bool:
        """Tell a waiter how a job is, soon, and then whenever it changes.

        Args:
            job_id: the job.
            waiter: is told.
            sight: how it was seen just now, if it was; then it is told at once.

        Returns:
            Whether it is watched; not if there are far too many.
        """
        watched = self._watched.get(job_id)
        if watched is None:
            if len(self._watched) >= _JOBS_LIMIT:
                return False
            watched = self._watched[job_id] = _Watched()
        watched.waiters.add(waiter)
        if watched.sight is None and sight is not None:
            watched.sight = sight
            self._tell(job_id, watched, sight)
        else:
            # What is known may be older than what the waiter knows, or newer: look.
            self._fresh.add(job_id)
            self._wake.set()
        self.start()
        return True

    def unwatch(self, job_id: str, waiter: Waiter) -> None:
        """Tell a waiter nothing more of a job; harmless if it was not told."""
        watched = self._watched.get(job_id)
        if watched is not None:
            watched.waiters.discard(waiter)
            if not watched.waiters:
                del self._watched[job_id]
                self._fresh.discard(job_id)

    def join(self, channel: Channel, waiter: Waiter) -> None:
        """Tell a waiter of the unfinished jobs of a channel, and of those that come."""
        for job_id in self._newcomers.join(channel, waiter):
            watched = self._watched.get(job_id)
            if watched is not None and watched.sight is not None:
                waiter.tell(job_id, watched.sight)
        self._due.add("ready")
        self._wake.set()
        self.start()

    def part(self, channel: Channel, waiter: Waiter) -> None:
        """Tell a waiter nothing more of a channel; harmless if it was not told."""
        audience = self._newcomers.part(channel, waiter)
        if audience is not None:
            for job_id in tuple(audience.members):
                self.unwatch(job_id, audience)

    def drain(self) -> None:
        """Tell whoever waits that there will be no more news, and let nobody wait any more.

        It may be called from any thread.
        """
        self._desk.load.draining = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it was closed: nobody waits on it
                self._loop.call_soon_threadsafe(self._stop_all)

    async def close(self) -> None:
        """Stop looking. Idempotent."""
        self._desk.load.draining = True
        self._stop_all()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    # Looking --------------------------------------------------------------------------------------

    @property
    def _wanted(self) -> bool:
        return bool(self._watched) or self._newcomers.wanted

    async def _run(self) -> None:
        try:
            engine = await self._desk.engine()
        except HeadraceError as error:
            _log.warning("nobody can be told of changes: %s", error)
            self._stop_all()
            return
        loop = asyncio.get_running_loop()
        self._hinted.clear()
        hints = [engine.watch(topic, partial(self._hint, loop, topic)) for topic in _TOPICS]
        try:
            while True:
                if not self._wanted:
                    await self._wake.wait()
                began = loop.time()
                if not await self._try_to_look(engine):
                    return
                await self._rest(loop.time() - began)
        finally:
            for forget in hints:
                forget()

    def _stop_all(self) -> None:
        for waiter in tuple(self._waiters):
            waiter.stop()

    async def _try_to_look(self, engine: Engine) -> bool:
        """Look, whatever comes; return False if there is nothing to look at any more."""
        try:
            await self._look(engine)
        except EngineClosed:
            self._stop_all()
            return False
        except HeadraceError as error:
            self._due.update(_TOPICS)
            _log.info("nobody is told of changes now: %s", error)
        except Exception:  # noqa: BLE001 - whoever waits must not hang because of it
            self._due.update(_TOPICS)
            _log.exception("looking for changes failed; it goes on")
        return True

    async def _rest(self, took: float) -> None:
        """Let others have the engine; then wait for a hint, or until it is time to look anyway."""
        usual, self._took = min(took, self._took), took  # one look may be slow by accident
        rest = min(_REST_FACTOR * usual, _LONGEST_REST_SECONDS)
        await asyncio.sleep(max(rest, _REST_SECONDS))
        spread = 1 + _JITTER * (2 * self._desk.app.ids.fraction() - 1)
        try:
            async with asyncio.timeout(POLL_SECONDS * spread):
                await self._wake.wait()
        except TimeoutError:
            self._due.update(_TOPICS)
            self._turn = self._sweep()
        self._wake.clear()

    def _hint(self, loop: asyncio.AbstractEventLoop, topic: Topic) -> None:
        """Take a hint of the engine, in one of its threads; one at a time is enough."""
        if self._wanted and topic not in self._hinted:
            self._hinted.add(topic)
            with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits on it
                loop.call_soon_threadsafe(self._note, topic)

    def _note(self, topic: Topic) -> None:
        self._due.add(topic)
        if topic == "finished":
            self._wake.set()
        else:  # news that can wait until there are more of them
            asyncio.get_running_loop().call_later(_GENTLY_SECONDS, self._wake.set)

    async def _look(self, engine: Engine) -> None:
        due, self._due = self._due, set()
        fresh, self._fresh = self._fresh, set()
        turn, self._turn = self._turn, ()
        self._hinted.clear()
        changed = (fresh | set(turn)) & self._watched.keys()
        if due and len(self._watched) <= _FEW:
            changed.update(self._watched)  # one question instead of two
        elif due - {"stored"}:
            changed |= await self._moved(engine)
        await self._see(engine, changed, fresh, reported="stored" in due)
        if "ready" in due:
            await self._newcomers.look(engine, partial(self._ask, engine))

    async def _moved(self, engine: Engine) -> set[str]:
        """Return the jobs that are in another state than when they were seen."""
        moved: set[str] = set()
        for ids in _chunks(tuple(self._watched)):
            states = await self._desk.answer(engine.states(ids))
            for job_id in ids:
                watched = self._watched.get(job_id)
                known = watched.sight.state if watched and watched.sight else None
                if states.get(job_id) is not known:
                    moved.add(job_id)
        return moved

    async def _ask(self, engine: Engine, ids: Sequence[str]) -> dict[str, Sight]:
        """Return how jobs are, as far as the ledger alone knows."""
        at = self._desk.app.clock.now()
        records: dict[str, Record] = {}
        for part in _chunks(ids):
            found = await self._desk.answer(engine.get(part))
            records.update(found)
        return {job_id: self._sight(record, None, at) for job_id, record in records.items()}

    async def _see(
        self, engine: Engine, changed: set[str], fresh: set[str], *, reported: bool
    ) -> None:
        """Look at jobs, and at the progress of those that run; tell who waits for them.

        Who has just begun to wait is told of a fresh job, be it as before or not.
        """
        sights = await self._ask(engine, tuple(changed)) if changed else {}
        seen = {job_id: sight.record for job_id, sight in sights.items()}
        if reported:
            for job_id, watched in self._watched.items():
                if watched.sight is not None and job_id not in changed:
                    seen[job_id] = watched.sight.record
        running = {key: record for key, record in seen.items() if record.state is State.RUNNING}
        at = self._desk.app.clock.now()
        progress = await self._progress(engine, tuple(running))
        for job_id, record in running.items():
            sights[job_id] = self._sight(record, progress.get(job_id), at)
        for number, job_id in enumerate(changed | sights.keys(), 1):
            self._update(job_id, sights.get(job_id), anyway=job_id in fresh)
            if number % _TOLD_AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _progress(self, engine: Engine, ids: Sequence[str]) -> dict[str, Progress]:
        entries: dict[str, Entry] = {}
        for part in _chunks(ids):
            keys = [progress_key(job_id) for job_id in part]
            found = await self._desk.answer(engine.load(keys))
            entries.update(found)
        told = {job_id: entries.get(progress_key(job_id)) for job_id in ids}
        return {job_id: read_progress(entry) for job_id, entry in told.items() if entry}

    def _sight(self, record: Record, progress: Progress | None, at: float) -> Sight:
        return Sight(record, progress, self._desk.settings.inline_result, at)

    def _update(self, job_id: str, sight: Sight | None, *, anyway: bool) -> None:
        watched = self._watched.get(job_id)
        if watched is None:
            return
        if sight is None:
            del self._watched[job_id]
            self._tell(job_id, watched, None)
        elif anyway or not sight.like(watched.sight):
            watched.sight = sight
            self._tell(job_id, watched, sight)

    def _tell(self, job_id: str, watched: _Watched, sight: Sight | None) -> None:
        for waiter in tuple(watched.waiters):
            waiter.tell(job_id, sight)

    def _sweep(self) -> Iterable[str]:
        """Return the jobs whose records are looked at in this turn, whatever their states say."""
        start = self._swept if self._swept < len(self._watched) else 0
        self._swept = start + _SWEEP
        return tuple(islice(self._watched, start, start + _SWEEP))


def _chunks(ids: Sequence[str]) -> Iterable[Sequence[str]]:
    return (ids[start : start + _CHUNK] for start in range(0, len(ids), _CHUNK))
