"""The raw ceiling on Redis: the fastest durable queue that one script call a batch can be.

It is not a task queue: no validation, no options, no order keys, no ledger to look through. It
stores what a job needs, hands out the oldest ones with a token and a lease, checks the token when
it stores the result, and forgets finished jobs after an hour. What its server's `appendfsync`
gives is all the durability there is.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import msgspec
from redis import Redis

from benchmarks.raw_sqlite import BATCH, Ceiling
from benchmarks.report import Rates

SEND = """
local first, jobs = redis.call('INCRBY', KEYS[1] .. ':seq', #ARGV / 2), {}
for at = 1, #ARGV, 2 do
  redis.call('HSET', KEYS[1] .. ':' .. ARGV[at], 'task', 'noop', 'body', ARGV[at + 1], 'token', 0)
  redis.call('ZADD', KEYS[1] .. ':ready', first + at, ARGV[at])
end
"""

CLAIM = """
local claimed, now = {}, redis.call('TIME')[1]
for _, id in ipairs(redis.call('ZRANGE', KEYS[1] .. ':ready', 0, ARGV[1] - 1)) do
  local job = KEYS[1] .. ':' .. id
  claimed[#claimed + 1] = {id, redis.call('HINCRBY', job, 'token', 1),
    redis.call('HGET', job, 'body')}
  redis.call('ZADD', KEYS[1] .. ':leased', now + 30, id)
end
if #claimed > 0 then redis.call('ZREMRANGEBYRANK', KEYS[1] .. ':ready', 0, #claimed - 1) end
return claimed
"""

SETTLE = """
local settled = 0
for at = 1, #ARGV, 3 do
  local job = KEYS[1] .. ':' .. ARGV[at]
  if redis.call('HGET', job, 'token') == ARGV[at + 1] then
    redis.call('HSET', job, 'result', ARGV[at + 2])
    redis.call('EXPIRE', job, 3600)
    settled = settled + redis.call('ZREM', KEYS[1] .. ':leased', ARGV[at])
  end
end
return settled
"""

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder().decode


class Raw:
    """A queue of a few keys.

    Args:
        client: the server.
        key: what the keys begin with.
    """

    def __init__(self, client: Redis, key: str) -> None:
        self._client = client
        self._key = key
        self._send = client.register_script(SEND)
        self._claim = client.register_script(CLAIM)
        self._settle = client.register_script(SETTLE)

    def send(self, count: int) -> None:
        """Accept `count` jobs, a call a batch."""
        for start in range(0, count, BATCH):
            batch = range(start, min(start + BATCH, count))
            self._call(self._send, [word for n in batch for word in (uuid4().hex, encode([n]))])

    def process(self) -> int:
        """Claim, run and settle until nothing waits; return how many were settled."""
        settled = 0
        while jobs := self._call(self._claim, [BATCH]):
            settled += self._call(
                self._settle,
                [word for i, token, body in jobs for word in (i, token, encode(decode(body)[0]))],
            )
        return settled

    def remove(self) -> None:
        """Leave nothing behind."""
        for key in self._client.scan_iter(f"{self._key}:*", BATCH):
            self._client.delete(key)

    def _call(self, script: Any, words: Sequence[object]) -> Any:
        return script(keys=[self._key], args=words)


def measure(url: str, jobs: int, repetitions: int) -> Ceiling:
    """Send and process `jobs` jobs, each repetition with new keys.

    Raises:
        RuntimeError: something was not settled, so the rates would mean nothing.
    """
    sends, processes = [], []
    with Redis.from_url(url) as client:
        for _ in range(repetitions):
            raw = Raw(client, f"raw-{uuid4().hex}")
            start = time.perf_counter()
            raw.send(jobs)
            sent = time.perf_counter()
            settled = raw.process()
            processes.append(jobs / (time.perf_counter() - sent))
            sends.append(jobs / (sent - start))
            raw.remove()
            if settled != jobs:
                raise RuntimeError(f"the raw ceiling settled {settled} of {jobs} jobs")
    return Ceiling(Rates(tuple(sends)), Rates(tuple(processes)))


def durability(url: str) -> str:
    """Say what the server does with what it is given."""
    with Redis.from_url(url) as client:
        if client.config_get("appendonly")["appendonly"] == "no":
            return "no AOF"
        return f"appendfsync {client.config_get('appendfsync')['appendfsync']}"


if __name__ == "__main__":
    ceiling = measure(sys.argv[1], jobs=20_000, repetitions=9)
    print(f"{durability(sys.argv[1])}: send {ceiling.send}, process {ceiling.process}")
