"""What belongs together says so, in the words of W3C Trace Context."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path

import msgspec
import pytest

from headrace import App
from headrace.ids import Ids
from headrace.message import TAGS_LIMIT, Message
from headrace.testing import drain
from headrace.trace import (
    PARENT,
    RECEIVED,
    TRACESTATE,
    Origin,
    Trace,
    beginning,
    current,
    here,
    marked,
    new,
    of,
    of_run,
    origin,
    parse,
    received,
)

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN_ID = "00f067aa0ba902b7"
PARENT_FIELD = f"00-{TRACE_ID}-{SPAN_ID}-01"
JOB_ID = "018f3c5e-7a10-7000-8000-00000000006a"


def message(**fields: object) -> Message:
    plain = Message(v=1, id=JOB_ID, task="t", body=msgspec.Raw(b"{}"))
    return msgspec.structs.replace(plain, **fields)


@contextmanager
def coming_from(trace: Trace | None, **headers: str) -> Iterator[None]:
    token = current.set(Origin(trace=trace, headers=headers))
    yield
    current.reset(token)


# Reading ------------------------------------------------------------------------------------------


def test_a_traceparent_is_read_and_written_as_it_was() -> None:
    trace = parse(PARENT_FIELD)
    assert trace == Trace(trace_id=TRACE_ID, span_id=SPAN_ID, flags=1)
    assert str(trace) == PARENT_FIELD


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        PARENT_FIELD.upper(),
        PARENT_FIELD + " ",
        PARENT_FIELD + "\n",
        PARENT_FIELD[:-1],
        f"00-{TRACE_ID[1:]}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{SPAN_ID}-01-more",
        f"00-{TRACE_ID}-{SPAN_ID}-01-",
        f"ff-{TRACE_ID}-{SPAN_ID}-01",
        f"00-{'0' * 32}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"00-{TRACE_ID[:-1]}g-{SPAN_ID}-01",
        f"00-{TRACE_ID[:-1]}٣-{SPAN_ID}-01",
    ],
)
def test_what_is_no_traceparent_is_none(text: str) -> None:
    assert parse(text, "a=1") is None


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    trace = parse(f"cc-{TRACE_ID}-{SPAN_ID}-ff-what-the-future-brings")
    assert trace is not None
    assert str(trace) == f"00-{TRACE_ID}-{SPAN_ID}-03"
    assert parse(f"cc-{TRACE_ID}-{SPAN_ID}-01what") is None


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
        (" a=1 ,\t, b@v=2 ", "a=1,b@v=2"),
        ("1a=x", "1a=x"),
        ("a=1,a=2", ""),
        ("A=1", ""),
        ("a=1=2", ""),
        ("a", ""),
        ("a=", ""),
        (",".join(f"k{n}=v" for n in range(32)), ",".join(f"k{n}=v" for n in range(32))),
        (",".join(f"k{n}=v" for n in range(33)), ""),
        (f"a={'x' * 256}", f"a={'x' * 256}"),
        (f"a={'x' * 257}", ""),
    ],
)
def test_a_tracestate_is_kept_if_it_is_one(given: str, kept: str) -> None:
    trace = parse(PARENT_FIELD, given)
    assert trace is not None
    assert trace.state == kept


def test_of_a_long_tracestate_whole_members_go_large_ones_first() -> None:
    large = f"large={'x' * 200}"
    small = [f"k{n:02}={'y' * 40}" for n in range(10)]
    trace = parse(PARENT_FIELD, ",".join([large, *small]))
    assert trace is not None
    assert trace.state == ",".join(small)
    many = [f"k{n:02}={'y' * 40}" for n in range(12)]
    trace = parse(PARENT_FIELD, ",".join(many))
    assert trace is not None
    assert trace.state == ",".join(many[:11])


# Making -------------------------------------------------------------------------------------------


def test_new_ids_are_random_and_say_so() -> None:
    one, other = new(Ids()), new(Ids())
    assert one.trace_id != other.trace_id
    assert parse(str(one)) == one
    assert str(one).endswith("-03")


def test_a_child_is_in_the_same_trace_at_another_place() -> None:
    trace = Trace(trace_id=TRACE_ID, span_id=SPAN_ID, state="a=1")
    child = trace.child(Ids())
    assert (child.trace_id, child.state) == (TRACE_ID, "a=1")
    assert child.span_id != SPAN_ID


def test_a_job_without_a_trace_begins_one() -> None:
    assert of(message()).trace_id == JOB_ID.replace("-", "")
    assert parse(str(of(message()))) == of(message())
    assert of(message(trace="broken")) == beginning(JOB_ID)


def test_a_job_with_a_trace_carries_it() -> None:
    trace = Trace(trace_id=TRACE_ID, span_id=SPAN_ID, state="a=1")
    carrying = marked(message(), trace, Origin(headers={"k": "v"}, tags=(trace.tag,)))
    assert carrying.trace == PARENT_FIELD
    assert carrying.headers == {"k": "v", TRACESTATE: "a=1"}
    assert carrying.tags == (f"trace:{TRACE_ID}",)
    assert of(carrying) == trace


def test_a_trace_is_one_more_tag_than_users_may_have() -> None:
    tags = tuple(f"t{n}" for n in range(TAGS_LIMIT))
    carrying = marked(message(tags=tags), Trace(trace_id=TRACE_ID, span_id=SPAN_ID), Origin())
    assert len(carrying.tags) == TAGS_LIMIT + 1


def test_each_run_is_a_place_of_its_own() -> None:
    places = {
        of_run(message(), attempt, lost).span_id for attempt, lost in [(1, 0), (1, 1), (2, 0)]
    }
    assert len(places) == 3
    assert of_run(message(), 1) == of_run(message(), 1)
    assert of_run(message(trace=PARENT_FIELD), 1).trace_id == TRACE_ID


def test_what_is_handed_on_is_the_trace_and_nothing_else() -> None:
    assert Trace(trace_id=TRACE_ID, span_id=SPAN_ID).headers == {"traceparent": PARENT_FIELD}
    told = Trace(trace_id=TRACE_ID, span_id=SPAN_ID, state="a=1").headers
    assert told == {"traceparent": PARENT_FIELD, "tracestate": "a=1"}


def test_when_a_request_came_is_read() -> None:
    assert received({}) is None
    assert received({RECEIVED: "soon"}) is None
    assert received({RECEIVED: "12.500000"}) == (12.5, "")
    assert received({RECEIVED: f"12.5 {SPAN_ID}"}) == (12.5, SPAN_ID)


# Submitting ---------------------------------------------------------------------------------------


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    app = App(f"sqlite:///{tmp_path}/jobs.db")

    @app.task(tags=["mine"])
    def leaf() -> None:
        pass

    @app.task
    def parent() -> str:
        place = here()
        assert place is not None
        leaf.submit()
        return place.span_id

    @app.task
    async def aparent() -> str:
        place = here()
        assert place is not None
        await asyncio.create_task(leaf.asubmit())
        return place.span_id

    with app:
        yield app


def sent(app: App, name: str) -> Message:
    (job,) = app.submit([app.registry.get(name).call()])
    return found(app, job.id)


def found(app: App, job_id: str) -> Message:
    return app.engine.get([job_id]).wait(5)[job_id].message


def test_a_submit_from_nowhere_carries_nothing(app: App) -> None:
    plain = sent(app, "leaf")
    assert (plain.trace, plain.headers, plain.tags) == (None, {}, ("mine",))
    assert here() is None
    assert origin() is None


def test_a_submit_carries_the_place_it_comes_from(app: App) -> None:
    with coming_from(Trace(trace_id=TRACE_ID, span_id=SPAN_ID), k="v"):
        carrying = sent(app, "leaf")
    trace = of(carrying)
    assert trace.trace_id == TRACE_ID
    assert trace.span_id != SPAN_ID, "the submit is a place of its own"
    assert carrying.headers == {"k": "v"}
    assert carrying.tags == ("mine", f"trace:{TRACE_ID}")


def test_jobs_that_come_together_without_a_trace_share_a_new_one(app: App) -> None:
    call = app.registry.get("leaf").call()
    with coming_from(None, k="v"):
        alone = sent(app, "leaf")
        jobs = app.submit([call, call])
    assert (alone.trace, alone.headers) == (None, {"k": "v"})
    assert {of(found(app, job.id)).trace_id for job in jobs} == {jobs[0].id.replace("-", "")}


@pytest.mark.parametrize("name", ["parent", "aparent"])
def test_a_run_hands_its_trace_on(app: App, name: str) -> None:
    message = sent(app, name)
    ran = copy_context().run(drain, app)
    (child,) = [record for record in ran if record.message.task == "leaf"]
    (run,) = [record for record in ran if record.message.task == name]
    assert of(child.message).trace_id == message.id.replace("-", "")
    assert child.message.headers == {PARENT: message.id}
    assert run.result is not None
    assert msgspec.json.decode(run.result) == of_run(message, 1).span_id
    assert here() is None, "a run that has ended hands nothing on"
