"""A caller may make so many requests in so much time, and is told how many are left."""

from __future__ import annotations

import pytest

from headrace.gateway.problem import Problem
from headrace.gateway.quota import Bucket, Buckets, Quota
from headrace.testing import ManualClock

QUOTA = Quota(requests=3, seconds=60)


def test_tokens_are_spent_and_come_back() -> None:
    clock = ManualClock()
    bucket = Bucket(QUOTA, clock)
    told = [bucket.take() for _ in range(3)]
    assert [fields["RateLimit"] for fields in told] == [
        '"default";r=2;t=20',
        '"default";r=1;t=40',
        '"default";r=0;t=60',
    ]
    assert told[0]["RateLimit-Policy"] == '"default";q=3;w=60'
    with pytest.raises(Problem, match="3 requests in 60 s are the limit") as caught:
        bucket.take()
    problem = caught.value
    assert problem.status == 429
    assert problem.headers["Retry-After"] == "20"
    assert problem.headers["RateLimit"] == '"default";r=0;t=20'
    assert (
        problem.content["type"] == "https://iana.org/assignments/http-problem-types#quota-exceeded"
    )
    assert problem.content["violated-policies"] == ["default"]
    clock.advance(20)
    assert bucket.take()


def test_no_more_than_a_quota_is_ever_saved() -> None:
    clock = ManualClock()
    bucket = Bucket(QUOTA, clock)
    bucket.take()
    clock.advance(6000)
    assert bucket.take()["RateLimit"].startswith('"default";r=2;')


def test_callers_do_not_share_and_a_new_quota_begins_anew() -> None:
    buckets = Buckets(ManualClock())
    one = Quota(requests=1)
    buckets.take("ann", one)
    buckets.take("bob", one)
    with pytest.raises(Problem):
        buckets.take("ann", one)
    assert buckets.take("ann", Quota(requests=2))


def test_only_those_who_came_last_are_remembered() -> None:
    buckets = Buckets(ManualClock())
    one = Quota(requests=1)
    for number in range(10_001):
        buckets.take(str(number), one)
    assert buckets.take("0", one)
    with pytest.raises(Problem):
        buckets.take("10000", one)
