"""A worker that has done enough claims nothing more."""

import sys

from headrace.worker.lifespan import Lifespan, peak_mib


def test_without_limits_there_is_always_more() -> None:
    assert Lifespan().left(10**9) == sys.maxsize


def test_it_ends_after_its_jobs() -> None:
    lifespan = Lifespan(most_jobs=10)
    assert [lifespan.left(claimed) for claimed in (0, 9, 10, 11)] == [10, 1, 0, 0]


def test_it_ends_when_it_has_grown_too_large() -> None:
    assert Lifespan(most_mib=1).left(0) == 0
    assert Lifespan(most_mib=1 << 30).left(0) > 0


def test_memory_is_told_in_mib() -> None:
    assert 5 < peak_mib() < 100_000
