"""Quota: how many requests a caller may make, and what it is told of it.

The header fields are those of draft-ietf-httpapi-ratelimit-headers-10: lists of structured fields,
each with the name of the policy.
"""

from __future__ import annotations

import math
from collections import OrderedDict

import msgspec

from headrace.clock import Clock
from headrace.gateway.problem import Problem, retry_after

POLICY = "default"
"""The name of the one policy that there is."""

_CALLERS_LIMIT = 10_000


class Quota(msgspec.Struct, frozen=True):
    """So many requests in so many seconds, at any time.

    Attributes:
        requests: how many, and how many at once after a rest.
        seconds: the time in which they come back.
    """

    requests: int
    seconds: int = 60


class Bucket:
    """Has a token for each request that may be made now; they come back steadily.

    Args:
        quota: how many there are.
        clock: tells when they come back.
    """

    def __init__(self, quota: Quota, clock: Clock) -> None:
        self.quota = quota
        self._clock = clock
        self._tokens = float(quota.requests)
        self._at = clock.monotonic()

    def take(self) -> dict[str, str]:
        """Take a token, and return what the caller is told.

        Raises:
            Problem: there is none (429).
        """
        now, quota = self._clock.monotonic(), self.quota
        rate = quota.requests / quota.seconds
        self._tokens = min(quota.requests, self._tokens + (now - self._at) * rate)
        self._at = now
        if self._tokens < 1:
            seconds = (1 - self._tokens) / rate
            detail = f"{quota.requests} requests in {quota.seconds} s are the limit"
            headers = self._fields(0, seconds) | retry_after(seconds)
            raise Problem("quota-exceeded", detail, headers, **{"violated-policies": [POLICY]})
        self._tokens -= 1
        return self._fields(int(self._tokens), (quota.requests - self._tokens) / rate)

    def _fields(self, remaining: int, seconds: float) -> dict[str, str]:
        """Tell what is left, and when all of it is back; if nothing is left, when one is."""
        return {
            "RateLimit-Policy": f'"{POLICY}";q={self.quota.requests};w={self.quota.seconds}',
            "RateLimit": f'"{POLICY}";r={remaining};t={math.ceil(seconds)}',
        }


class Buckets:
    """The buckets of those who came last.

    Args:
        clock: tells when tokens come back.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def take(self, caller: str, quota: Quota) -> dict[str, str]:
        """Count one request, and return what its caller is told.

        Args:
            caller: its name.
            quota: what it may do; when that has changed, it begins anew.

        Raises:
            Problem: it may make none now (429).
        """
        bucket = self._buckets.pop(caller, None)
        if bucket is None or bucket.quota != quota:
            bucket = Bucket(quota, self._clock)
        self._buckets[caller] = bucket
        if len(self._buckets) > _CALLERS_LIMIT:
            self._buckets.popitem(last=False)
        return bucket.take()
