"""A writer repeats what rivals and networks break, and finds out what it cannot repeat."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from headrace.engines.postgresql.address import Address
from headrace.engines.postgresql.hints import Herald
from headrace.engines.postgresql.link import Link
from headrace.engines.postgresql.plan import Moment, Plan
from headrace.engines.postgresql.request import Request
from headrace.engines.postgresql.writer import Thinking, Writer
from headrace.errors import Conflict, EngineBusy, EngineClosed, HeadraceError, OutcomeUnknown
from headrace.ids import Ids
from headrace.reply import Reply
from tests.postgresql import Place

WAIT = 20
PUT = (
    "insert into headrace.entry (key, value, version) values ($1::text, '', 1)"
    " on conflict (key) do update set version = entry.version + 1 returning version"
)
RUN = "insert into headrace.running (seq, token, claim, lease_until) values (1, 1, 'w.1', 0)"


class Frail(Link):
    """A connection that is lost at a commit, before it or after it."""

    losses: list[str]

    def say(self, text: str) -> list[tuple[Any, ...]]:
        loss = self.losses.pop(0) if text == "commit" and self.losses else ""
        if loss == "before":
            super().say("rollback")
        elif loss == "after":
            super().say("commit")
        if loss:
            self.raw.close()
            raise psycopg.OperationalError("the connection is lost")
        return super().say(text)


class Bench:
    """A writer on connections that can be made to fail."""

    def __init__(self, place: Place, *, synced: bool = True, poll: float = 0.05) -> None:
        self.place = place
        self.losses: list[str] = []
        self.refusals = 0
        self.hints: list[str] = []
        self.looks = 0
        self.news = ""
        self.jobs = True
        self.writer = Writer(
            connect=self._connect,
            thinking=Thinking(
                moment=lambda now: Moment(now, now),
                join=lambda messages, _: answer(len(messages)),
                waits=lambda *_: self._look(),
            ),
            herald=Herald(self.hints.extend, self.hints.extend, lambda _: self.news),
            poll=poll,
            ids=Ids(),
            synced=synced,
            name="test",
        )
        self.writer.start()

    def _look(self) -> Plan[float]:
        self.looks += 1
        return answer(0.0 if self.jobs else 3600.0)

    def claim(self, plan: Callable[[Moment], Plan[Any]], patience: float) -> Reply[Any]:
        """Claim from a queue, as a worker does."""
        now = self.writer._time()
        request = Request(
            plan=plan, reply=Reply(), until=now + 10.0, queues=("q",), patience=now + patience
        )
        self.writer.put(request)
        return request.reply

    def _connect(self) -> Link:
        if self.refusals:
            self.refusals -= 1
            raise psycopg.OperationalError("connection refused")
        link = Frail(Address(self.place.url))
        link.losses = self.losses
        return link

    def put(self, plan: Callable[[Moment], Plan[Any]], seconds: float = 10.0) -> Reply[Any]:
        request = Request(
            plan=plan,
            reply=Reply(),
            until=self.writer._time() + seconds,
            ids=lambda: ["job"],
            topics=("stored",),
        )
        self.writer.put(request)
        return request.reply


def answer(value: Any) -> Plan[Any]:
    yield from ()
    return value


def count(key: str) -> Callable[[Moment], Plan[int]]:
    """Return a plan that answers how often it took effect."""

    def plan(_: Moment) -> Plan[int]:
        ((version,),) = yield PUT, (key,)
        return int(version)

    return plan


def refused(_: Moment) -> Plan[None]:
    yield PUT, ("refused",)
    raise Conflict("no")


@pytest.fixture
def bench(postgresql: Place) -> Iterator[Bench]:
    bench = Bench(postgresql)
    yield bench
    bench.writer.close()


def test_who_is_refused_takes_nobody_with_him(bench: Bench) -> None:
    replies = [bench.put(count("a")), bench.put(refused), bench.put(count("a"))]
    assert [replies[0].wait(WAIT), replies[2].wait(WAIT)] == [1, 2]
    with pytest.raises(Conflict):
        replies[1].wait(WAIT)
    assert bench.put(count("refused")).wait(WAIT) == 1
    assert set(bench.hints) == {"stored"}


@pytest.mark.parametrize("loss", ["before", "after"])
def test_a_commit_whose_connection_is_lost_happens_once(bench: Bench, loss: str) -> None:
    bench.losses.append(loss)
    assert bench.put(count("a")).wait(WAIT) == 1
    assert bench.put(count("a")).wait(WAIT) == 2


def test_it_is_found_out_even_if_the_server_is_away_for_a_while(bench: Bench) -> None:
    bench.put(count("a")).wait(WAIT)
    bench.losses.append("after")
    bench.refusals = 3
    assert bench.put(count("a")).wait(WAIT) == 2


def test_what_cannot_be_found_out_in_time_is_unknown(bench: Bench) -> None:
    bench.put(count("a")).wait(WAIT)
    bench.losses.append("after")
    bench.refusals = 1000
    with pytest.raises(OutcomeUnknown) as unknown:
        bench.put(count("a"), 0.3).wait(WAIT)
    assert unknown.value.job_ids == ("job",)
    bench.refusals = 0
    assert bench.put(count("a")).wait(WAIT) == 3


def test_a_server_that_is_away_is_waited_for_until_the_deadline(bench: Bench) -> None:
    bench.refusals = 3
    assert bench.put(count("a")).wait(WAIT) == 1
    bench.writer._disconnect()
    bench.refusals = 1000
    with pytest.raises(EngineBusy, match="server is away"):
        bench.put(count("a"), 0.3).wait(WAIT)
    bench.refusals = 0


def test_deadlocks_are_repeated(bench: Bench) -> None:
    attempts: list[int] = []

    def plan(_: Moment) -> Plan[int]:
        yield PUT, ("a",)
        attempts.append(1)
        if len(attempts) < 3:
            raise psycopg.errors.DeadlockDetected("deadlock detected")
        return len(attempts)

    assert bench.put(plan).wait(WAIT) == 3
    assert bench.put(count("a")).wait(WAIT) == 2


def test_rivals_that_never_let_go_are_told_of(bench: Bench) -> None:
    def plan(_: Moment) -> Plan[None]:
        yield PUT, ("a",)
        raise psycopg.errors.SerializationFailure("could not serialize")

    with pytest.raises(EngineBusy, match="rivals"):
        bench.put(plan).wait(WAIT)


def test_a_claim_whose_answer_was_lost_is_found_again(postgresql: Place) -> None:
    bench = Bench(postgresql, synced=False)
    bench.losses.append("after")

    def plan(_: Moment) -> Plan[str]:
        yield RUN, ()
        return "claimed"

    for name, happened in (("w.1", True), ("w.2", False)):
        request = Request(
            plan=plan if happened else count("a"),
            reply=Reply(),
            until=bench.writer._time() + 10,
            queues=("q",),
            claim=name,
        )
        if not happened:
            bench.losses.append("before")
        bench.writer.put(request)
        if happened:
            assert request.reply.wait(WAIT) == "claimed"
        else:
            with pytest.raises(EngineBusy, match="while jobs were claimed"):
                request.reply.wait(WAIT)
    bench.writer.close()


def test_closing_answers_everybody(postgresql: Place) -> None:
    bench = Bench(postgresql)
    patient = Request(
        plan=lambda _: answer(()), reply=Reply(), until=1e18, queues=("q",), patience=1e18
    )
    bench.writer.put(patient)
    reply = bench.put(count("a"))
    bench.writer.close()
    assert reply.wait(WAIT) == 1
    assert patient.reply.wait(WAIT) == ()
    with pytest.raises(EngineClosed):
        bench.put(count("a")).wait(WAIT)


# Fewer round trips --------------------------------------------------------------------------------


def calls(link: type[Link], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows by what is said to the server, a round trip each."""
    heard: list[str] = []

    def begin(self: Link, **given: Any) -> float:
        heard.append("begin")
        return begun(self, **given)

    def say(self: Link, text: str) -> Any:
        heard.append(text)
        return said(self, text)

    begun, said = link.begin, link.say
    monkeypatch.setattr(link, "begin", begin)
    monkeypatch.setattr(link, "say", say)
    return heard


def test_a_transaction_begins_with_its_first_statement(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments: list[float] = []

    def plan(moment: Moment) -> Plan[Any]:
        moments.append(moment.now)
        return (yield "select extract(epoch from now())::float8", ())

    bench.put(plan).wait(WAIT)
    heard = calls(Link, monkeypatch)
    ((now,),) = bench.put(plan).wait(WAIT)
    assert heard == ["commit"]
    assert -0.001 <= now - moments[-1] <= 0.05
    assert bench.put(lambda _: answer("nothing")).wait(WAIT) == "nothing"
    assert heard == ["commit"]


def test_a_wrong_guess_of_the_time_is_not_gone_by(bench: Bench) -> None:
    assert bench.put(count("k")).wait(WAIT) == 1
    for step in (-60.0, 60.0):
        bench.writer._server_time += step  # as if somebody had set the server's clock
        moments: list[float] = []

        def plan(moment: Moment, moments: list[float] = moments) -> Plan[float]:
            moments.append(moment.now)
            yield from count("k")(moment)
            ((now,),) = yield "select extract(epoch from now())::float8", ()
            return float(now)

        now = bench.put(plan).wait(WAIT)
        assert len(moments) == 2
        assert abs(now - moments[-1]) < 0.05
    assert bench.put(count("k")).wait(WAIT) == 4


def test_slow_transactions_do_not_spoil_the_guess(bench: Bench) -> None:
    bench.put(count("k")).wait(WAIT)
    begun: list[float] = []

    def slow(moment: Moment) -> Plan[None]:
        begun.append(moment.now)
        for _ in range(2):
            yield "select pg_sleep(0.15)::text", ()

    for _ in range(3):
        bench.put(slow).wait(WAIT)
    assert len(begun) == 3


def test_what_is_refused_at_the_beginning_takes_nobody_with_it(bench: Bench) -> None:
    bench.put(count("k")).wait(WAIT)

    def nonsense(_: Moment) -> Plan[Any]:
        return (yield "select 1 / $1::integer", (0,))

    with pytest.raises(HeadraceError, match="division by zero"):
        bench.put(nonsense).wait(WAIT)
    assert bench.put(count("k")).wait(WAIT) == 2


def test_news_that_fail_leave_no_doubt_about_the_commit(bench: Bench) -> None:
    bench.news = "select 1 / 0"
    assert [bench.put(count("k")).wait(WAIT) for _ in range(2)] == [1, 2]
    assert bench.hints == ["stored"] * 2
    bench.news = "select 1"
    assert bench.put(count("k")).wait(WAIT) == 3


# Quiet queues -------------------------------------------------------------------------------------


@pytest.fixture
def quiet(postgresql: Place) -> Iterator[Bench]:
    """Give a writer that looks once, and then hardly ever."""
    bench = Bench(postgresql, synced=False, poll=3600.0)
    bench.jobs = False
    yield bench
    bench.writer.close()


def test_queues_that_are_quiet_are_not_asked_about_by_every_claim(quiet: Bench) -> None:
    for _ in range(5):
        assert quiet.claim(lambda _: answer(()), 0.01).wait(WAIT) == ()
    assert quiet.looks == 1


def test_a_hint_between_two_claims_ends_the_quiet(quiet: Bench) -> None:
    assert quiet.claim(lambda _: answer(()), 0.01).wait(WAIT) == ()
    quiet.writer.look()
    assert quiet.claim(lambda _: answer(("job",)), 3600.0).wait(WAIT) == ("job",)


def test_a_claim_that_does_not_wait_looks_for_itself(quiet: Bench) -> None:
    assert quiet.claim(lambda _: answer(()), 0.01).wait(WAIT) == ()
    assert quiet.claim(lambda _: answer(("job",)), 0.0).wait(WAIT) == ("job",)
