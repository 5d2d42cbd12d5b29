"""The power of a Redis server is cut under load: what it loses is within the window it states."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from headrace.engines.redis import RedisEngine
from tests.faults.lengths import lengths
from tests.faults.redis_load import Load, lost, repeated_tokens
from tests.faults.redis_power import powered, synced

WINDOW = 2.0
"""Seconds that `appendfsync everysec` may lose: Redis puts off a second sync by as much as one."""
SECONDS = 2.3
"""Of load before the cut: longer than the window."""


@dataclass
class Cut:
    """What a power cut did.

    Attributes:
        ages: for how long each lost job had been accepted.
        tokens: jobs whose later claims had no greater token.
    """

    ages: list[float]
    tokens: list[str]


def cut(traces: Path, appendfsync: str, seconds: float = SECONDS) -> Cut:
    """Cut the power after some seconds of load, and go on."""
    with powered(traces, appendfsync=appendfsync) as served:
        engine = RedisEngine(served.url, allow_volatile_server=True, poll=0.1, deadline=60)
        engine.open().wait(10)
        load = Load(engine)
        with load.running():
            time.sleep(seconds)
            moment = time.monotonic()
            served.cut()
            served.start()
            time.sleep(0.3)
        gone = lost(engine, load)
        load.work_off()
        engine.close().wait(60)
        ages = [moment - load.moments[job_id] for job_id in gone]
        return Cut(ages, repeated_tokens(load))


@pytest.mark.parametrize("rounds", lengths(1, 100))
def test_everysec_loses_no_more_than_its_window(tmp_path: Path, rounds: int) -> None:
    for _ in range(rounds):
        done = cut(tmp_path, "everysec")
        assert done.ages != []
        assert max(done.ages) < WINDOW
        assert done.tokens == []


@pytest.mark.parametrize("rounds", lengths(1, 100))
def test_always_loses_nothing(tmp_path: Path, rounds: int) -> None:
    for _ in range(rounds):
        assert cut(tmp_path, "always", 0.4) == Cut([], [])


def test_a_server_that_never_syncs_is_found(tmp_path: Path) -> None:
    assert max(cut(tmp_path, "no").ages) > WINDOW


TRACE = """\
7 write(8</a.incr.aof>, ""..., 10) = 10
7 write(9<socket:[1]>, ""..., 99) = 99
8 fdatasync(8</a.incr.aof> <unfinished ...>
7 write(8</a.incr.aof>, ""..., 5) = 5
8 <... fdatasync resumed>) = 0
7 write(8</a.incr.aof>, ""..., 3 <unfinished ...>
8 fdatasync(8</a.incr.aof> <unfinished ...>
7 <... write resumed>) = 3
7 +++ killed by SIGKILL +++
"""


@pytest.mark.parametrize(("lines", "expected"), [(1, 0), (4, 0), (5, 10), (9, 10)])
def test_a_sync_is_worth_what_was_written_before_it(lines: int, expected: int) -> None:
    trace = "\n".join(TRACE.splitlines()[:lines])
    assert synced(trace, {}).get("/a.incr.aof", 0) == expected
    assert synced(trace, {"/a.incr.aof": 100})["/a.incr.aof"] == 100 + expected
