"""A client sees of a job what it may know, and nothing of the inside."""

from __future__ import annotations

import msgspec

from headrace.gateway.portrait import (
    accepted,
    encode,
    etag,
    failure_of,
    links,
    moment,
    outline,
    portrait,
)
from headrace.job import Progress
from headrace.message import VERSION, Message
from headrace.record import Attempt, Failure, Record, State

MESSAGE = Message(
    v=VERSION, id="1", task="x", body=msgspec.Raw(b'"secret"'), tags=("a", "tenant:acme")
)
FAILURE = Failure(
    cause="error", type="E", message="no", traceback="secret", logs=("secret",), holder="secret"
)
RECORD = Record(
    message=MESSAGE,
    state=State.DEAD,
    accepted_at=0.0,
    finished_at=1.5,
    holder="secret",
    failure=FAILURE,
    history=(Attempt(number=1, ended_at=1.0, failure=FAILURE),),
)
TOLD = {"cause": "error", "type": "E", "message": "no"}


def test_moments_are_rfc_3339() -> None:
    assert moment(None) is None
    assert moment(1.5) == "1970-01-01T00:00:01.500Z"


def test_nothing_of_the_inside_is_told() -> None:
    told = portrait(RECORD, None, 100)
    assert b"secret" not in encode(told)
    assert told["tags"] == ["a"]
    assert told["failure"] == failure_of(RECORD) == TOLD
    assert told["history"][0]["failure"] == TOLD
    assert told["finished_at"] == "1970-01-01T00:00:01.500Z"


def test_an_outline_leaves_out_what_may_be_large() -> None:
    whole = portrait(RECORD, Progress(1.0), 100)
    rest = {"progress", "result", "history"}
    assert outline(RECORD) == {name: whole[name] for name in whole.keys() - rest}


def test_a_result_is_told_up_to_its_limit() -> None:
    done = msgspec.structs.replace(RECORD, state=State.SUCCEEDED, result=msgspec.Raw(b"1234"))
    assert portrait(done, None, 4)["result"] == msgspec.Raw(b"1234")
    assert portrait(done, None, 3)["result"] is None


def test_what_has_just_been_accepted_waits() -> None:
    assert accepted(MESSAGE, 0.0)["state"] == "ready"
    assert accepted(msgspec.structs.replace(MESSAGE, delay=5.0), 0.0)["state"] == "scheduled"


def test_links_carry_the_place_of_the_mount() -> None:
    assert links("1")["result"] == "/v1/jobs/1/result"
    assert links("1", "/work")["self"] == "/work/v1/jobs/1"


def test_a_tag_tells_texts_apart() -> None:
    assert etag(b"a") == etag(b"a") != etag(b"b")
    assert etag(b"a").startswith('"')
