"""The raw ceiling, measured: the fastest durable queue that one table of SQLite can be from Python.

`headrace.engines.sqlite.ceiling` says what it does and what was tried; `headrace bench` measures
the same.
"""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import Rates
from headrace.engines.sqlite import ceiling

BATCH = 500


@dataclass(frozen=True)
class Ceiling:
    """Jobs per second: sent, and claimed, run and settled with a result."""

    send: Rates
    process: Rates


def new_ids(count: int, now: int) -> bytes:
    """Return `count` UUIDv7 (RFC 9562) that grow, 16 bytes each; `now` in milliseconds."""
    first = now << 80 | 7 << 76 | 2 << 62 | int.from_bytes(os.urandom(7))
    return b"".join([(first + i).to_bytes(16) for i in range(count)])


def measure(jobs: int, repetitions: int) -> Ceiling:
    """Send and process `jobs` jobs, each repetition in a new file.

    Raises:
        RuntimeError: a result is missing or wrong, so the rates would mean nothing.
    """
    sends, processes = [], []
    for _ in range(repetitions):
        with tempfile.TemporaryDirectory() as folder:
            table = ceiling.Ceiling(Path(folder) / "raw.db", BATCH, "power")
            start = time.perf_counter()
            ids = new_ids(jobs, time.time_ns() // 1_000_000)
            table.send(ids, [{"n": n} for n in range(jobs)], time.time())
            sent = time.perf_counter()
            table.drain(time.time())
            processes.append(jobs / (time.perf_counter() - sent))
            sends.append(jobs / (sent - start))
            proven = table.proven()
            table.close()
        if proven != jobs:
            raise RuntimeError(f"the raw ceiling stored {proven} of {jobs} results")
    return Ceiling(Rates(tuple(sends)), Rates(tuple(processes)))


if __name__ == "__main__":
    measured = measure(jobs=20_000, repetitions=9)
    print(f"send {measured.send}, process {measured.process}")
