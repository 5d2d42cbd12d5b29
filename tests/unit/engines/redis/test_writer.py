"""The writer gathers, joins, repeats and answers; the server here is made up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from redis.exceptions import ReadOnlyError, ResponseError

from headrace.clock import SystemClock
from headrace.engine import Topic
from headrace.engines.redis.address import parse
from headrace.engines.redis.answering import answers_to
from headrace.engines.redis.asking import facts_of, pack
from headrace.engines.redis.link import Away, Call, Link
from headrace.engines.redis.request import Request
from headrace.engines.redis.scripts import ACCEPT, COMMIT, LEASE
from headrace.engines.redis.writer import Wire, Writer
from headrace.errors import DuplicateJob, EngineBusy, EngineClosed, EngineError, OutcomeUnknown
from headrace.ids import Ids
from headrace.reply import Reply
from headrace.testing.steps import message
from headrace.write import Send, Sent

Answer = Callable[[Call], Any]
DONE = pack((True, [[]]))
REFUSED = pack((False, ["id-taken", "x"]))


class Fake(Link):
    """A link to nowhere: `answer` says what each script call is answered; a raised error too."""

    def __init__(self) -> None:
        super().__init__(parse("redis://nowhere"))
        self.answer: Answer = lambda _: DONE
        self.calls: list[Call] = []
        self.trips: list[int] = []
        self.may_answer = threading.Event()
        self.may_answer.set()

    def connect(self) -> Any:
        self.run = "run-1"

    def ask(self, calls: Sequence[Call]) -> list[Any]:
        assert self.may_answer.wait(5)
        scripts = [call for call in calls if call[0] == "EVALSHA"]
        self.calls += scripts
        self.trips.append(len(scripts))
        return [self.answer(call) for call in scripts] + [0] * (len(calls) - len(scripts))

    def close(self) -> None:
        """Nothing to close."""


@pytest.fixture
def fake() -> Fake:
    return Fake()


@pytest.fixture
def hinted() -> list[Topic]:
    return []


def make(fake: Fake, hinted: list[Topic], replicas: int = 0) -> Writer:
    wire = Wire(
        key="{k}",
        header=lambda note, run: f"{note} {run}".encode(),
        publish=lambda topics: ("PUBLISH", *topics),
        hint=hinted.extend,
        replicas=replicas,
    )
    writer = Writer(fake, wire, Ids(), poll=0.02)
    writer.start()
    return writer


@pytest.fixture
def writer(fake: Fake, hinted: list[Topic]) -> Iterator[Writer]:
    made = make(fake, hinted)
    yield made
    made.close()


def request(label: str = "", **more: Any) -> Request:
    write = Send((message(label),)) if label else Send(())
    settings: dict[str, Any] = {
        "script": ACCEPT if label else COMMIT,
        "note": Ids().nonce(),
        "body": b"" if label else pack([("send", [])]),
        "decode": lambda told: answers_to([write], told)[0],
        "reply": Reply(),
        "until": SystemClock().monotonic() + 5,
        "facts": facts_of(write.messages),
        "ids": lambda: [label],
    }
    return Request(**settings | more)


def claim(wait: float = 0.0) -> Request:
    now = SystemClock().monotonic()
    return request(
        script=LEASE, decode=lambda told: tuple(told[0]), queues=("q",), repeatable=True,
        patience=now + wait if wait else 0.0,
    )  # fmt: skip


def test_a_request_is_one_call_with_its_note(writer: Writer, fake: Fake) -> None:
    asked = request(blobs=(b"v",))
    writer.put(asked)
    assert asked.reply.wait(5) == Sent()
    header = f"{asked.note} run-1".encode()
    assert fake.calls == [("EVALSHA", COMMIT.sha, 1, "{k}", header, asked.body, b"v")]


def test_what_gathers_is_one_trip_and_small_sends_are_one_call(writer: Writer, fake: Fake) -> None:
    fake.may_answer.clear()
    first = request()
    writer.put(first)
    while not writer._asleep and writer._waiting:
        pass
    others = [claim(), request("a"), request("b"), request(), request("c")]
    for other in others:
        writer.put(other)
    fake.may_answer.set()
    for other in others[1:]:
        other.reply.wait(5)
    assert sum(fake.trips) <= 4
    shas = [call[1] for call in fake.calls[-3:]]
    assert shas == [COMMIT.sha, ACCEPT.sha, LEASE.sha]


def test_of_joined_sends_only_the_guilty_one_is_refused(fake: Fake, hinted: list[Topic]) -> None:
    guilty = request("bad")
    fake.answer = lambda call: REFUSED if b"bad".hex().encode() in call[5] else DONE  # type: ignore[operator] # bytes
    writer = Writer(fake, Wire("", lambda *_: b"", lambda _: (), hinted.extend), Ids(), 0.02)
    good = request("good")
    writer.put(good)
    writer.put(guilty)
    writer.start()
    assert good.reply.wait(5) == Sent()
    with pytest.raises(DuplicateJob):
        guilty.reply.wait(5)
    assert fake.trips == [1, 2]
    writer.close()


def test_after_a_broken_connection_the_same_note_is_put_again(writer: Writer, fake: Fake) -> None:
    def answer(_: Call) -> Any:
        if len(fake.calls) < 3:
            raise Away("cut", sent=True)
        return DONE

    fake.answer = answer
    asked = request()
    writer.put(asked)
    assert asked.reply.wait(5) == Sent()
    assert len(fake.calls) == 3
    assert len({call[4] for call in fake.calls}) == 1


@pytest.mark.parametrize(
    ("sent", "repeatable", "kind"),
    [(True, False, OutcomeUnknown), (False, False, EngineBusy), (True, True, EngineBusy)],
)
def test_what_cannot_be_told_in_time_is_said_so(
    writer: Writer, fake: Fake, *, sent: bool, repeatable: bool, kind: type[Exception]
) -> None:
    def answer(_: Call) -> Any:
        raise Away("gone", sent=sent)

    fake.answer = answer
    asked = request(until=SystemClock().monotonic() + 0.1, repeatable=repeatable)
    behind = request(until=SystemClock().monotonic() + 0.1)
    writer.put(asked)
    writer.put(behind)
    with pytest.raises(kind):
        asked.reply.wait(5)
    with pytest.raises(EngineError):
        behind.reply.wait(5)


def test_who_was_told_that_nothing_was_written_is_right(fake: Fake, hinted: list[Topic]) -> None:
    def answer(_: Call) -> Any:
        if len(fake.trips) < 6:
            raise Away("not there", sent=False)
        return DONE

    fake.answer = answer
    writer = Writer(fake, Wire("", lambda *_: b"", lambda _: (), hinted.extend), Ids(), 0.02)
    late = request("late", until=SystemClock().monotonic())
    early = request("early")
    writer.put(late)
    writer.put(early)
    writer.start()
    with pytest.raises(EngineBusy):
        late.reply.wait(5)
    assert early.reply.wait(5) == Sent()
    assert b"late".hex().encode() not in fake.calls[-1][5]  # type: ignore[operator] # bytes
    writer.close()


def test_a_demoted_server_is_asked_again_and_another_error_is_told(
    writer: Writer, fake: Fake
) -> None:
    fake.answer = lambda _: ReadOnlyError("demoted") if len(fake.calls) < 2 else DONE
    asked = request()
    writer.put(asked)
    assert asked.reply.wait(5) == Sent()
    fake.answer = lambda _: ResponseError("WRONGTYPE of a key")
    refused = request()
    writer.put(refused)
    with pytest.raises(EngineError, match="WRONGTYPE"):
        refused.reply.wait(5)


def test_hints_are_given_before_the_answer(writer: Writer, hinted: list[Topic]) -> None:
    seen: list[list[Topic]] = []
    asked = request(topics=("ready", "stored"))
    asked.reply.listen(lambda _: seen.append(list(hinted)))
    writer.put(asked)
    asked.reply.wait(5)
    assert seen == [["ready", "stored"]]


def test_a_refusal_is_hinted_at_by_nobody(writer: Writer, fake: Fake, hinted: list[Topic]) -> None:
    fake.answer = lambda _: REFUSED
    asked = request(topics=("ready",))
    writer.put(asked)
    with pytest.raises(DuplicateJob):
        asked.reply.wait(5)
    assert hinted == []


def test_a_patient_claim_is_put_again_until_there_is_a_job(writer: Writer, fake: Fake) -> None:
    fake.answer = lambda _: [[], b""] if len(fake.calls) < 4 else [["job"], b""]
    patient, hasty = claim(wait=60), claim()
    writer.put(patient)
    writer.put(hasty)
    assert hasty.reply.wait(5) == ()
    assert patient.reply.wait(5) == ("job",)


def test_a_patient_claim_ends_empty(writer: Writer, fake: Fake) -> None:
    fake.answer = lambda _: [[], b"1000"]
    patient = claim(wait=0.05)
    writer.put(patient)
    assert patient.reply.wait(5) == ()


def test_too_few_replicas_leave_it_open(fake: Fake, hinted: list[Topic]) -> None:
    writer = make(fake, hinted, replicas=1)
    asked, fenced = request(), request(repeatable=True)
    writer.put(asked)
    writer.put(fenced)
    with pytest.raises(OutcomeUnknown, match="fewer than 1 replicas"):
        asked.reply.wait(5)
    assert fenced.reply.wait(5) == Sent()
    writer.close()


def test_closing_writes_what_was_handed_over_and_takes_no_more(writer: Writer, fake: Fake) -> None:
    fake.may_answer.clear()
    asked, patient = request(), claim(wait=60)
    writer.put(asked)
    fake.may_answer.set()
    asked.reply.wait(5)
    fake.answer = lambda _: [[], b""]
    writer.put(patient)
    writer.close()
    writer.close()
    assert patient.reply.wait(5) == ()
    late = request()
    writer.put(late)
    with pytest.raises(EngineClosed):
        late.reply.wait(5)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_fault_of_its_own_leaves_nobody_waiting(writer: Writer, fake: Fake) -> None:
    def answer(_: Call) -> Any:
        raise LookupError("a fault of our own")

    fake.answer = answer
    asked = request()
    writer.put(asked)
    with pytest.raises(EngineClosed, match="a fault of our own"):
        asked.reply.wait(5)
    assert writer.failed
