"""Somebody holds a snapshot open for ten minutes: jobs go on at nearly the same pace.

Its short form is `python -m benchmarks snapshot`.
"""

import sys

import pytest

from benchmarks.snapshot import KEPT_SHARE, SLOWDOWN, paces
from tests.faults.lengths import SOAK_SECONDS
from tests.postgresql import own_server

SECONDS = 800.0
"""Of which three quarters, ten minutes, are spent with the snapshot held."""


@pytest.mark.soak
@pytest.mark.timeout(SOAK_SECONDS)
def test_a_snapshot_held_for_ten_minutes_slows_nobody_down() -> None:
    with own_server() as server:
        before, after = paces(server.url, server.url, SECONDS)
    sys.stdout.write(f"before: {before}\nafter ten minutes: {after}\n")
    assert after.rate >= KEPT_SHARE * before.rate
    assert after.p99 <= SLOWDOWN * before.p99
