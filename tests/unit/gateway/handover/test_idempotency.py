"""A key is read, scoped to its caller and route, and remembered with a fingerprint."""

from __future__ import annotations

import pytest

from headrace.gateway.caller import ANONYMOUS, Caller
from headrace.gateway.handover.idempotency import Claim, InFlight, entry_of, fingerprint
from headrace.gateway.problem import Problem
from tests.unit.gateway.arriving import arriving


def entry(key: bytes, caller: Caller = ANONYMOUS, path: str = "/v1/jobs") -> str | None:
    return entry_of(arriving(fields=[(b"idempotency-key", key)], path=path), caller)


@pytest.mark.parametrize("key", [b"abc", b'"abc"', b' "abc" '])
def test_a_string_and_a_bare_word_are_one_key(key: bytes) -> None:
    assert entry(key) == entry(b"abc")


def test_no_key_is_none() -> None:
    assert entry_of(arriving(), ANONYMOUS) is None


def test_quotes_may_be_escaped() -> None:
    assert entry(rb'"a\"b\\"') == entry(rb'"a\"b\\"')
    assert entry(rb'"a\"b\\"') != entry(rb'"ab"')


@pytest.mark.parametrize(
    "key",
    [b"", b'""', b'"a', b'"a", "b"', b"a b", b"k" * 256, b'"\xd0"', rb'"a\b"', b"a,b", b'"a";p'],
)
def test_what_is_no_key_is_refused(key: bytes) -> None:
    with pytest.raises(Problem, match="1 to 255 characters") as caught:
        entry(key)
    assert caught.value.status == 400


def test_two_keys_are_refused() -> None:
    fields = [(b"idempotency-key", b"a"), (b"idempotency-key", b"b")]
    with pytest.raises(Problem):
        entry_of(arriving(fields=fields), ANONYMOUS)


def test_nobody_meets_another_in_an_entry() -> None:
    callers = [
        ANONYMOUS,
        Caller(name="a"),
        Caller(name="a", tenant="t"),
        Caller(name="a", tenant="u"),
    ]
    entries = {entry(b"k", caller) for caller in callers}
    entries |= {entry(b"k", path="/v1/tasks/add"), entry(b"l")}
    assert len(entries) == 6


def test_fingerprints_tell_requests_apart() -> None:
    plain = arriving(path="/v1/jobs")
    marks = {
        fingerprint(plain, "application/json", b"{}"),
        fingerprint(plain, "application/jsonl", b"{}"),
        fingerprint(plain, "application/json", b"[]"),
        fingerprint(arriving(path="/v1/jobs", query=b"a=1"), "application/json", b"{}"),
        fingerprint(arriving(path="/v1/job"), "application/json", b"{}"),
    }
    assert len(marks) == 5
    assert fingerprint(arriving(path="/v1/jobs"), "application/json", b"{}") in marks


def test_a_claim_is_recalled_by_the_same_request_only() -> None:
    claim = Claim("idempotency/1", "mark", 60.0)
    put = claim.write(("a", "b"))
    assert (put.key, put.expect, put.expires_after) == ("idempotency/1", 0, 60.0)
    assert claim.recall(put.value) == ("a", "b")
    with pytest.raises(Problem, match="use a new key") as caught:
        Claim("idempotency/1", "another", 60.0).recall(put.value)
    assert caught.value.status == 422


def test_a_key_is_held_by_one_request_at_a_time() -> None:
    in_flight = InFlight()
    with in_flight.hold("a"), in_flight.hold("b"), in_flight.hold(None), in_flight.hold(None):
        again = pytest.raises(Problem, match="not answered yet")
        with again as caught, in_flight.hold("a"):
            pass
    assert (caught.value.status, caught.value.headers) == (409, {"Retry-After": "1"})
    with in_flight.hold("a"):
        pass
