"""The one writer of a process: it gathers what waits and puts it to the server in one round trip.

Each request is a script call of its own, so that one that is refused takes nobody with it. When the
connection breaks, requests are put again under the same note: the server does each once, and tells
again what it answered. Nothing is guessed; what cannot be told in time is an unknown outcome.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from redis.exceptions import ResponseError

from headrace.clock import SystemClock
from headrace.engine import Topic
from headrace.engines.redis.answering import unpack
from headrace.engines.redis.asking import pack
from headrace.engines.redis.link import Away, Call, Link
from headrace.engines.redis.patience import Backoff
from headrace.engines.redis.request import Request
from headrace.engines.redis.trouble import trouble
from headrace.errors import EngineClosed, OutcomeUnknown
from headrace.ids import Ids
from headrace.reply import Reply, resolve_all
from headrace.write import Sent

_GROUP_LIMIT = 4096
_JOINED_LIMIT = 2000

Outcome = tuple[Reply[Any], Any, BaseException | None]


class Wire(NamedTuple):
    """What the writer needs to make calls and to give hints.

    Attributes:
        key: what all keys begin with.
        header: makes the first argument of a call from its note and the server's run.
        publish: makes the call that hints at topics to other processes.
        hint: hints at topics in this one.
        replicas: how many replicas have to confirm new work.
    """

    key: str
    header: Callable[[str, str], bytes]
    publish: Callable[[Iterable[Topic]], Call]
    hint: Callable[[Iterable[Topic]], None]
    replicas: int = 0


class Unit(NamedTuple):
    """Requests that are one call."""

    requests: Sequence[Request]
    note: str
    body: bytes


class Writer:
    """Writes requests, many at a time, on a thread and a connection of its own.

    Args:
        link: the connection.
        wire: makes calls and hints.
        ids: where notes and jitter come from.
        poll: seconds between looks for jobs while somebody waits for them.
    """

    def __init__(self, link: Link, wire: Wire, ids: Ids, poll: float) -> None:
        self._link = link
        self._wire = wire
        self._ids = ids
        self._poll = poll
        self._time = SystemClock().monotonic
        self._changed = threading.Condition(threading.Lock())
        self._waiting: deque[Request] = deque()
        self._parked: list[Request] = []
        self._under_way: list[Request] = []
        self._next_look = 0.0
        self._look = False
        self._asleep = False
        self._closing = threading.Event()
        self._failure: EngineClosed | None = None
        self._thread = threading.Thread(target=self._run, name="headrace-writer", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def put(self, request: Request) -> None:
        """Hand over a request; its reply is resolved when the server has answered."""
        with self._changed:
            refusal = self._failure or (
                EngineClosed("the engine is closed") if self._closing.is_set() else None
            )
            if refusal is None:
                self._waiting.append(request)
                if self._asleep:
                    self._changed.notify()
                return
        request.reply.fail(refusal)

    @property
    def failed(self) -> bool:
        """Whether it stopped after a failure of its own."""
        return self._failure is not None

    def look(self) -> None:
        """Look for jobs on behalf of those who wait: somebody hinted that there are some."""
        with self._changed:
            self._look = True
            if self._asleep and self._parked:
                self._changed.notify()

    def close(self) -> None:
        """Write what was handed over, then stop. Harmless when repeated."""
        with self._changed:
            self._closing.set()
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()

    # On the writer's thread -----------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while (group := self._gather()) is not None:
                self._under_way = group
                self._write(self._units(group))
        except BaseException as error:
            with self._changed:
                self._failure = EngineClosed(f"the writer stopped ({error!r}): open it again")
            raise
        finally:
            self._link.close()
            self._let_go()

    def _gather(self) -> list[Request] | None:
        """Wait for work; return what there is, or None when it is time to go."""
        with self._changed:
            if not self._waiting and not (self._parked and self._look):
                if self._closing.is_set():
                    return None
                self._asleep = True
                self._changed.wait(self._time_to_next_look())
                self._asleep = False
            count = min(len(self._waiting), _GROUP_LIMIT)
            group = [self._waiting.popleft() for _ in range(count)]
            look, self._look = self._look, False
        wakes = look or any("ready" in request.topics for request in group)
        if self._parked and (wakes or self._time() >= self._next_look):
            group += self._parked
            self._parked = []
        return group

    def _time_to_next_look(self) -> float | None:
        return max(0.0, self._next_look - self._time()) if self._parked else None

    def _units(self, group: Sequence[Request]) -> list[Unit]:
        """Part a group into calls: small sends together; claims come last."""
        units = [_alone(r) for r in group if not r.facts and not r.queues]
        sends = [r for r in group if r.facts]
        while sends:
            joined, size = [sends.pop(0)], 0
            while sends and (size := size + len(sends[0].facts)) <= _JOINED_LIMIT:
                joined.append(sends.pop(0))
            units.append(self._joined(joined))
        return units + [_alone(r) for r in group if r.queues]

    def _joined(self, sends: Sequence[Request]) -> Unit:
        if len(sends) == 1:
            return _alone(sends[0])
        facts = [fact for request in sends for fact in request.facts]
        return Unit(sends, self._ids.nonce(), pack([("send", facts)]))

    def _write(self, units: list[Unit]) -> None:
        """Put calls to the server until each is answered, or it is too late for it."""
        backoff = Backoff(self._ids)
        while units:
            try:
                self._link.connect()
                answers = self._link.ask(self._calls(units))
            except Away as away:
                units = self._those_in_time(units, away)
                self._refuse_overdue(away)
                if units:
                    backoff.pause()
            else:
                units, passing = self._finish(units, answers)
                if passing:
                    self._link.close()  # a server that was demoted, say: find the one that serves
                    units = self._those_in_time(units, passing)
                    self._refuse_overdue(passing)
                    backoff.pause()

    def _calls(self, units: Sequence[Unit]) -> list[Call]:
        wire, run = self._wire, self._link.run
        calls: list[Call] = []
        topics: dict[Topic, None] = {}
        for requests, note, body in units:
            first = requests[0]
            header = wire.header(note, run)
            calls += [("EVALSHA", first.script.sha, 1, wire.key, header, body, *first.blobs)]
            topics.update(dict.fromkeys(topic for r in requests for topic in r.topics))
        if wire.replicas:
            milliseconds = int(1000 * self._poll)
            calls.append(("WAIT", wire.replicas, milliseconds))
        if topics:
            calls.append(wire.publish(topics))
        return calls

    def _those_in_time(self, units: list[Unit], away: Exception) -> list[Unit]:
        """Tell those for whom it is too late; return the others' calls, unchanged."""
        now = self._time()
        sent = isinstance(away, Away) and away.sent
        left: list[Unit] = []
        for unit in units:
            for request in unit.requests:
                request.sent = request.sent or sent
                if request.until <= now:
                    request.reply.fail(request.overdue(away))
            in_time = [request for request in unit.requests if request.until > now]
            if len(in_time) == len(unit.requests) or (in_time and in_time[0].sent):
                left.append(unit)
            else:  # whoever was told that nothing was written must be right
                left += [_alone(request) for request in in_time]
        return left

    def _refuse_overdue(self, away: Exception) -> None:
        """Answer those who wait behind, when it is too late for them."""
        now = self._time()
        with self._changed:
            overdue = [request for request in self._waiting if request.until <= now]
            self._waiting = deque(r for r in self._waiting if r.until > now)
        resolve_all((request.reply, None, request.overdue(away)) for request in overdue)

    def _finish(
        self, units: list[Unit], answers: Sequence[Any]
    ) -> tuple[list[Unit], Exception | None]:
        """Tell everybody what became of their requests; return what has to be put again."""
        again: list[Unit] = []
        passing: Exception | None = None
        outcomes: list[tuple[Request, Outcome]] = []
        unconfirmed = bool(self._wire.replicas) and not self._confirmed(answers[len(units)])
        self._next_look = self._time() + self._poll
        for unit, answer in zip(units, answers, strict=False):
            if isinstance(answer, ResponseError):
                told = trouble(answer)
                if told.passing:
                    passing = told.error
                    again.append(unit)
                else:
                    outcomes += [(r, (r.reply, None, told.error)) for r in unit.requests]
            elif len(unit.requests) > 1 and not unpack(answer)[0]:
                again += [_alone(request) for request in unit.requests]
            else:
                outcomes += [
                    (r, self._outcome(r, answer, unit, unconfirmed)) for r in unit.requests
                ]
        self._tell(outcomes)
        return again, passing

    def _confirmed(self, replicas: Any) -> bool:
        return isinstance(replicas, int) and replicas >= self._wire.replicas

    def _outcome(self, request: Request, answer: Any, unit: Unit, unconfirmed: bool) -> Outcome:  # noqa: FBT001 - it is an answer passed on
        if unconfirmed and not request.repeatable and not request.queues:
            text = (
                f"written, but fewer than {self._wire.replicas} replicas confirmed it: whether it"
                " survives the loss of this server is not known"
            )
            return (request.reply, None, OutcomeUnknown(text, request.ids()))
        if len(unit.requests) > 1:
            return (request.reply, Sent(), None)
        try:
            return (request.reply, request.decode(answer), None)
        except Exception as error:  # noqa: BLE001 - it is told to whoever asked for it
            return (request.reply, None, error)
        finally:
            if request.queues and answer[1]:
                self._next_look = min(self._next_look, self._time() + float(answer[1]))

    def _tell(self, outcomes: Sequence[tuple[Request, Outcome]]) -> None:
        now = self._time()
        told: list[Outcome] = []
        topics: dict[Topic, None] = {}
        for request, outcome in outcomes:
            if outcome[1] == () and outcome[2] is None and request.patience > now:
                self._parked.append(request)
                self._next_look = min(self._next_look, request.patience)
                continue
            told.append(outcome)
            if outcome[2] is None:
                topics.update(dict.fromkeys(request.topics))
        if topics:
            self._wire.hint(topics)  # first: whoever is answered may end the process
        resolve_all(told)

    def _let_go(self) -> None:
        """Answer whoever still waits: nobody waits for ever."""
        left = [*self._under_way, *self._parked, *self._waiting]
        self._under_way, self._parked, self._waiting = [], [], deque()
        for request in left:
            if self._failure is not None:
                request.reply.fail(self._failure)
            elif request.patience:
                request.reply.resolve(())
            else:
                request.reply.fail(EngineClosed("the engine was closed before this was written"))


def _alone(request: Request) -> Unit:
    body = request.body or pack([("send", request.facts)])
    return Unit([request], request.note, body)
