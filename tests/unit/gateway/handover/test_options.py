"""A client gives options in the query or in JSON; what makes no sense is named."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from headrace.gateway.caller import ANONYMOUS, Caller
from headrace.gateway.handover.options import (
    Misfit,
    Wish,
    Wishes,
    applied,
    explain,
    in_query,
    unknown,
)
from headrace.gateway.problem import Problem
from headrace.options import Options
from headrace.retry import Retry

NOW = 1_700_000_000.0
TENANT = Caller(name="k1", tenant="acme", scopes=frozenset({"jobs:submit"}))


def given(**wishes: Any) -> Options:
    declared = Options(queue="mail", tags=["nightly"], retry=Retry(attempts=7, delay=2))
    return applied(declared, Wishes(**wishes), ANONYMOUS, NOW)


def test_a_query_is_typed() -> None:
    query = b"queue=a&priority=-3&delay=1.5&expires=60&timeout=none&lease=5"
    assert in_query(query + b"&retry.attempts=3&tags=a,b&tags=c") == Wishes(
        queue="a",
        priority=-3,
        delay=1.5,
        expires=60.0,
        timeout=None,
        lease=5.0,
        retry=Wish(attempts=3),
        tags=["a", "b", "c"],
    )


def test_moments_have_a_time_zone() -> None:
    moment = datetime(2030, 1, 1, tzinfo=UTC)
    assert in_query(b"run_at=2030-01-01T01:00:00%2B01:00").run_at == moment
    assert in_query(b"expires=2030-01-01T00:00:00Z").expires == moment
    with pytest.raises(Problem, match="timezone"):
        in_query(b"run_at=2030-01-01T01:00:00")


@pytest.mark.parametrize(
    ("query", "name", "says"),
    [
        (b"prioritty=1", "prioritty", "did you mean priority?"),
        (b"tx=1", "tx", "there are queue, "),
        (b"wait=5", "wait", "there is no 'wait'"),
        (b"headers=a", "headers", "there is no 'headers'"),
        (b"priority=1&priority=2", "priority", "more than once"),
        (b"priority=high", "priority", "expected `int`, got `str`"),
        (b"retry.delay=x", "retry.delay", "expected `float`, got `str`"),
        (b"on_conflict=ignore", "on_conflict", "invalid enum value"),
        (b"delay=1e3", "delay", "expected `float`"),
    ],
)
def test_what_is_wrong_in_a_query_is_named(query: bytes, name: str, says: str) -> None:
    with pytest.raises(Problem, match=says) as caught:
        in_query(query)
    assert caught.value.status == 422
    assert caught.value.members["errors"][0]["parameter"] == name


def test_a_query_is_utf_8() -> None:
    with pytest.raises(Problem) as caught:
        in_query(b"queue=%ff")
    assert caught.value.status == 400


def test_what_is_not_given_is_as_declared() -> None:
    options = given(priority=5, retry=Wish(attempts=2))
    assert (options.queue, options.priority, options.tags) == ("mail", 5, ("nightly",))
    assert (options.retry.policy.attempts, options.retry.policy.delay) == (2, 2.0)


@pytest.mark.parametrize(
    ("wishes", "name"),
    [
        ({"priority": 2**31}, "priority"),
        ({"queue": "a b"}, "queue"),
        ({"delay": -1.0}, "delay"),
        ({"retry": Wish(attempts=0)}, "retry.attempts"),
        ({"retry": Wish(factor=1e308)}, "retry.factor"),
        ({"tags": ["trace:1"]}, "tags"),
        ({"tags": ["x"] * 33}, "tags"),
        ({"run_at": datetime(9999, 1, 1, tzinfo=UTC)}, "run_at"),
        ({"expires": datetime(1969, 1, 1, tzinfo=UTC)}, "expires"),
        ({"unique_key": ""}, "unique_key"),
        ({"headers": {"a": "\ud800"}}, "headers"),
    ],
)
def test_what_makes_no_sense_is_named(wishes: dict[str, Any], name: str) -> None:
    with pytest.raises(Misfit) as caught:
        given(**wishes)
    assert caught.value.name == name
    assert caught.value.pointer("/options") == "/options/" + name.replace(".", "/")
    assert caught.value.in_query().members["errors"][0]["parameter"] == name


def test_two_that_do_not_go_together_are_nobodys_fault() -> None:
    with pytest.raises(Misfit, match="say the same thing") as caught:
        given(delay=1.0, run_at=datetime(2030, 1, 1, tzinfo=UTC))
    assert caught.value.pointer("/options") == "/options"


def test_tenants_do_not_get_into_each_others_way() -> None:
    options = applied(Options(), Wishes(unique_key="k", order_key="o"), TENANT, NOW)
    assert (options.unique_key, options.order_key) == ("acme/k", "acme/o")
    free = applied(Options(), Wishes(unique_key="k"), ANONYMOUS, NOW)
    assert free.unique_key == "k"
    declared = applied(Options(unique_key="k", order_key="o"), Wishes(), TENANT, NOW)
    assert (declared.unique_key, declared.order_key) == ("acme/k", "acme/o")


@pytest.mark.parametrize(
    "name",
    ["headrace-parent", "headrace-received", "Headrace-Received", "tracestate", "traceparent"],
)
def test_nobody_says_where_a_job_comes_from_but_us(name: str) -> None:
    with pytest.raises(Misfit, match="is reserved") as caught:
        given(headers={name: "0.0"})
    assert caught.value.name == "headers"


def test_the_names_are_those_of_the_options() -> None:
    names = set(Wishes.__struct_fields__) - {"callback"}  # which becomes a header
    assert names < set(Options.__dataclass_fields__)


def test_an_unknown_member_is_explained() -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode(b'{"prioritty": 1}', type=Wishes)
    assert explain(caught.value, ["priority"]) == "there is no 'prioritty': did you mean priority?"
    assert unknown("x", []) == "there is no 'x': there are none"
