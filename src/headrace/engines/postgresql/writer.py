"""A writer of a process: it gathers what waits into one transaction, and commits it once.

Requests come from any thread and are answered when the transaction that holds them is committed.
Most transactions meet no refusal, so none is prepared for: when a request is refused, the
transaction is repeated with a savepoint around each, and the one refused takes nobody with it. It
is repeated, too, after a deadlock, and when the connection was lost before the commit; when it was
lost during the commit, a row that the transaction wrote tells what became of it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec
import psycopg

from headrace.clock import SystemClock
from headrace.engine import Topic
from headrace.engines.postgresql.hints import Herald
from headrace.engines.postgresql.link import Link, Misguessed
from headrace.engines.postgresql.plan import (
    Moment,
    NewQueues,
    Plan,
    do,
    document,
    make_queues,
    run,
)
from headrace.engines.postgresql.request import Request, parts, units
from headrace.engines.postgresql.trouble import Kind, first_line, kind_of, told
from headrace.errors import EngineBusy, EngineClosed, OutcomeUnknown
from headrace.ids import Ids
from headrace.message import Message
from headrace.reply import Reply, resolve_all

_GROUP_LIMIT = 4096
_REPEATS = 20
_ANEW = 4
_BACKOFF_FIRST = 0.05
_BACKOFF_LAST = 2.0
_LEAST_SECONDS = 2.0

Outcome = tuple[Reply[Any], Any, BaseException | None]


class Thinking(msgspec.Struct, frozen=True):
    """What a writer needs to know of what it writes.

    Attributes:
        moment: makes what plans go by of the server's seconds.
        join: makes one plan of the messages of many requests.
        waits: tells in how many seconds queues may have a job to claim; 0 means now.
    """

    moment: Callable[[float], Moment]
    join: Callable[[Sequence[Message], Moment], Plan[Any]]
    waits: Callable[[Sequence[str], Moment], Plan[float]]


class _Unsure(Exception):
    """The connection was lost during the commit."""

    def __init__(self, error: BaseException, receipt: str, outcomes: list[Any]) -> None:
        super().__init__(str(error))
        self.error = error
        self.receipt = receipt
        self.outcomes = outcomes


class _Quiet(NamedTuple):
    """What a look for jobs showed: that some queues have none, until a moment or a hint."""

    queues: frozenset[str] = frozenset()
    until: float = 0.0

    def covers(self, request: Request, now: float) -> bool:
        """Whether a request would find nothing."""
        return now < self.until and self.queues.issuperset(request.queues)


class Writer:
    """Writes requests, many at a time, on a thread and a connection of its own.

    Args:
        connect: opens a connection; called on the writer's thread, when it is needed.
        thinking: what it needs of the engine.
        herald: told the topics of what was committed.
        poll: seconds between looks at the database while somebody waits for jobs.
        ids: makes receipts and jitter.
        synced: whether commits are on the disk before they are answered. Those that are not leave
            no receipts: nobody needs to know what became of them.
        name: of its thread.
    """

    def __init__(  # noqa: PLR0913 - all given by name
        self,
        *,
        connect: Callable[[], Link],
        thinking: Thinking,
        herald: Herald,
        poll: float,
        ids: Ids,
        synced: bool = True,
        name: str,
    ) -> None:
        self._connect = connect
        self._thinking = thinking
        self._herald = herald
        self._poll = poll
        self._ids = ids
        self._synced = synced
        self._time = SystemClock().monotonic
        self._changed = threading.Condition(threading.Lock())
        self._waiting: deque[Request] = deque()
        self._parked: list[Request] = []
        self._look = False
        self._quiet = _Quiet()
        self._asleep = False
        self._closing = threading.Event()
        self._link: Link | None = None
        self._pause = _BACKOFF_FIRST
        self._server_time = 0.0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def put(self, request: Request) -> None:
        """Hand over a request; its reply is resolved when it is committed."""
        with self._changed:
            if not self._closing.is_set():
                self._waiting.append(request)
                if self._asleep:
                    self._changed.notify()
                return
        request.reply.fail(EngineClosed("the engine is closed"))

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
                for part in parts(group):
                    self._write(part)
        finally:
            self._disconnect()
            self._let_go()

    def _gather(self) -> list[Request] | None:
        """Wait for work; return what there is, or None when it is time to go."""
        timeout = self._time_to_next_look()
        with self._changed:
            if not self._waiting and self._closing.is_set():
                return None
            if not self._waiting and not self._look:
                self._asleep = True
                self._changed.wait(timeout)
                self._asleep = False
            count = min(len(self._waiting), _GROUP_LIMIT)
            group = [self._waiting.popleft() for _ in range(count)]
            hinted, self._look = self._look, False
        if hinted:
            self._quiet = _Quiet()
        now = self._time()
        calm = [r for r in group if r.patience > now and self._quiet.covers(r, now)]
        self._parked += calm
        group = [request for request in group if request not in calm]
        if self._parked:
            group += self._unpark(known=hinted)
        return group

    def _time_to_next_look(self) -> float | None:
        if not self._parked:
            return None
        look = self._may_claim_in()
        patience = min(request.patience for request in self._parked) - self._time()
        return max(0.0, min(patience, look))

    def _may_claim_in(self) -> float:
        """Return in how many seconds the parked requests may find something.

        The database is asked once in a while, however many come and go meanwhile.
        """
        now = self._time()
        if all(self._quiet.covers(request, now) for request in self._parked):
            return self._quiet.until - now
        queues = sorted({queue for request in self._parked for queue in request.queues})
        try:
            ask = self._linked().ask
            wait = run(ask, self._thinking.waits(queues, self._thinking.moment(self._now())))
        except psycopg.Error:
            self._drop_broken()
            return self._poll  # the transaction that comes next says what is the matter
        wait = min(wait, self._poll)
        self._quiet = _Quiet(frozenset(queues), now + wait)
        return wait

    def _now(self) -> float:
        """Return about what the server's clock says, without asking: it did so before."""
        return self._server_time + self._time()

    def _unpark(self, *, known: bool) -> list[Request]:
        """Return the parked requests if there may be jobs for them; answer the impatient ones."""
        found = known or self._may_claim_in() <= 0
        parked, self._parked = self._parked, []
        if found:
            return parked
        now = self._time()
        self._parked = [request for request in parked if request.patience > now]
        resolve_all((request.reply, (), None) for request in parked if request.patience <= now)
        return []

    def _write(self, group: list[Request]) -> None:
        """Write a group, repeating the transaction for as long as that makes sense."""
        guarded, attempt = False, 0
        while group and attempt < _REPEATS:
            try:
                self._transact(group, guarded=guarded)
            except _Unsure as unsure:
                if self._resolve(unsure, group):
                    return
                attempt += 1
            except Exception as error:  # noqa: BLE001 - it is told to all whom it concerns
                match kind_of(error, lost=self._lost()):
                    case Kind.AWAY:
                        group = self._away(group, error)
                    case Kind.REPEAT:
                        attempt += 1
                        self._rest(_BACKOFF_FIRST * attempt * self._ids.fraction())
                    case _ if guarded or len(group) == 1:
                        resolve_all((request.reply, None, told(error)) for request in group)
                        return
                guarded = True
            else:
                return
        failure = EngineBusy("rivals stood in the way all the time: nothing was written; try again")
        resolve_all((request.reply, None, failure) for request in group)

    def _transact(self, group: list[Request], *, guarded: bool) -> None:
        """Run requests in one transaction, and tell their outcomes once it is committed.

        It begins anew at once when it lacked what rivals have no part in.

        Raises:
            psycopg.Error: nothing was written.
            HeadraceError: a request was refused, and nothing was written; unless `guarded`.
        """
        for _ in range(_ANEW):
            try:
                return self._transact_once(group, guarded=guarded)
            except Misguessed:
                self._server_time = 0.0
            except NewQueues as new:
                self._make(new.names)
        raise EngineBusy("queues and clock change all the time: nothing was written; try again")

    def _transact_once(self, group: list[Request], *, guarded: bool) -> None:
        link = self._linked()
        receipt = self._new_receipt() if self._synced else ""
        outcomes: list[tuple[Request, Outcome]] = []
        # A silence at either end leaves time for another try, or to find out what happened.
        left = max(_LEAST_SECONDS, max(request.until for request in group) - self._time())
        link.answer_within(left / 2)
        try:
            moment = self._thinking.moment(self._begin(link, receipt, guarded=guarded))
            for unit in units(group):
                link.answer_within(left / 2 if link.opens else left)
                outcomes += self._run_unit(link, unit, moment, guarded=guarded)
        except BaseException:
            link.rollback()
            raise
        # What was told with a first statement is as late as that took: late is never early.
        self._server_time = max(self._server_time, link.began - self._time())
        link.answer_within(left / 2)
        told = self._commit(link, receipt, outcomes, guarded=guarded)
        self._pause = _BACKOFF_FIRST
        self._finish(outcomes, told=told)

    def _begin(self, link: Link, receipt: str, *, guarded: bool) -> float:
        """Begin a transaction; return what the time is, or, to save a round trip, must be."""
        if guarded or not link.direct or not link.began or not self._server_time:
            now = link.begin(synced=self._synced, receipt=receipt)
            self._server_time = now - self._time()
            return now
        guess = self._now()
        link.begin_later(guess, synced=self._synced, receipt=receipt)
        return guess

    def _commit(
        self, link: Link, receipt: str, outcomes: list[tuple[Request, Outcome]], *, guarded: bool
    ) -> bool:
        """Commit; return whether other processes were told at once.

        Raises:
            _Unsure: the connection was lost, or telling them failed.
            psycopg.Error: nothing was written.
        """
        topics = self._topics(outcomes) if receipt and not guarded else {}
        news = self._herald.news(topics) if topics else ""
        try:
            link.commit(news)
        except psycopg.Error as error:
            if news or kind_of(error, lost=link.broken) is Kind.AWAY:
                self._disconnect()
                raise _Unsure(error, receipt, outcomes) from error
            link.rollback()
            raise
        return bool(news)

    def _make(self, names: Sequence[str]) -> None:
        """Make queues in a transaction of their own."""
        link = self._linked()
        try:
            moment = self._thinking.moment(link.begin(synced=False))
            run(link.ask, make_queues(names, moment))
            link.commit()
        except BaseException:
            link.rollback()
            raise

    def _run_unit(
        self, link: Link, unit: list[Request], moment: Moment, *, guarded: bool
    ) -> list[tuple[Request, Outcome]]:
        """Run requests that are written as one; each by itself when that is refused."""
        if guarded:
            link.say("savepoint unit")
        try:
            if len(unit) == 1:
                answer = run(link.ask, unit[0].plan(moment))
            else:
                messages = [message for request in unit for message in request.messages]
                answer = run(link.ask, self._thinking.join(messages, moment))
        except NewQueues:
            raise
        except Exception as error:
            if not guarded or kind_of(error, lost=link.broken) is not Kind.REFUSED:
                raise
            link.say("rollback to savepoint unit; release savepoint unit")
            if len(unit) == 1:
                return [(unit[0], (unit[0].reply, None, told(error)))]
            return [o for r in unit for o in self._run_unit(link, [r], moment, guarded=True)]
        if guarded:
            link.say("release savepoint unit")
        return [(request, (request.reply, answer, None)) for request in unit]

    # Connections that come and go -----------------------------------------------------------------

    def _linked(self) -> Link:
        self._drop_broken()
        if self._link is None:
            self._link = self._connect()
        return self._link

    def _lost(self) -> bool:
        return self._link is None or self._link.broken

    def _drop_broken(self) -> None:
        if self._lost():
            self._disconnect()

    def _disconnect(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()

    def _away(self, group: list[Request], error: BaseException) -> list[Request]:
        """Wait for a server that is away, answering those who cannot; return the others."""
        self._disconnect()
        now = self._time()
        away = EngineBusy(
            f"the server is away ({first_line(error)}): nothing was written; try again later"
        )
        resolve_all((r.reply, None, away) for r in group if r.until <= now)
        left = [request for request in group if request.until > now]
        if left:
            self._back_off(min(request.until for request in left) - now)
        return left

    def _back_off(self, left: float) -> None:
        """Wait before the next attempt: less than others do, or more, but ever longer."""
        self._rest(max(0.0, min(self._pause * (0.5 + self._ids.fraction()), left)))
        self._pause = min(_BACKOFF_LAST, self._pause * 2)

    def _rest(self, seconds: float) -> None:
        if self._closing.is_set():
            seconds = min(seconds, _BACKOFF_FIRST)
        self._closing.wait(seconds)

    def _new_receipt(self) -> str:
        return f"{self._ids.nonce()}{self._ids.nonce()}"

    def _resolve(self, unsure: _Unsure, group: list[Request]) -> bool:
        """Find out whether a transaction was committed, and tell; False if it was not.

        Whoever inserts the receipt anew waits for the transaction that did, if it is still open,
        and keeps it from ever being committed, if it was not. Such a denial has a mark of its own:
        its answer may be lost as well, and is then no proof of a commit.
        """
        until = max(request.until for request in group)
        while self._time() < until:
            try:
                if not unsure.receipt:
                    self._find_claims(unsure)
                    return True
                link = self._linked()
                link.answer_within(max(_LEAST_SECONDS, until - self._time()))
                if link.ask(do("receipt_claim", unsure.receipt)):
                    return False
            except psycopg.Error:
                self._drop_broken()
                self._back_off(until - self._time())
            else:
                self._finish(unsure.outcomes)
                return True
        resolve_all((r.reply, None, _unknown(unsure, r.ids())) for r in group)
        return True

    def _find_claims(self, unsure: _Unsure) -> None:
        """Answer claims that happened; whoever made another is told, and claims again."""
        names = document([request.claim for request, _ in unsure.outcomes])
        found = {claim for (claim,) in self._linked().ask(do("claims_found", names))}
        self._finish([one for one in unsure.outcomes if one[0].claim in found or not one[1][1]])
        failure = EngineBusy(f"the connection was lost while jobs were claimed ({unsure})")
        resolve_all((request.reply, None, failure) for request, _ in unsure.outcomes)

    # Answers --------------------------------------------------------------------------------------

    def _finish(self, outcomes: list[tuple[Request, Outcome]], *, told: bool = False) -> None:
        """Tell everybody what became of their requests; keep the patient ones.

        Args:
            outcomes: what became of each.
            told: whether other processes were told.
        """
        now = self._time()
        answers: list[Outcome] = []
        for request, outcome in outcomes:
            if outcome[1] == () and outcome[2] is None and request.patience > now:
                self._parked.append(request)
            else:
                answers.append(outcome)
        if topics := self._topics(outcomes):
            # First: whoever is answered may end the process.
            (self._herald.call if told else self._herald.give)(topics)
        resolve_all(answers)

    def _topics(self, outcomes: list[tuple[Request, Outcome]]) -> dict[Topic, None]:
        """Return what others may want to look at; claims have none."""
        done = (request for request, (_, _, error) in outcomes if error is None)
        return dict.fromkeys(topic for request in done for topic in request.topics)

    def _let_go(self) -> None:
        """Answer whoever still waits: nobody waits for ever."""
        left = [*self._parked, *self._waiting]
        self._parked, self._waiting = [], deque()
        for request in left:
            if request.patience:
                request.reply.resolve(())
            else:
                request.reply.fail(EngineClosed("the engine was closed before this was written"))


def _unknown(unsure: _Unsure, ids: Sequence[str]) -> OutcomeUnknown:
    return OutcomeUnknown(
        f"the connection was lost during the commit of {len(ids)} jobs, and the server did not come"
        f" back in time to tell whether it happened ({first_line(unsure.error)}): ask"
        " `app.job(id)` for each",
        ids,
    )
