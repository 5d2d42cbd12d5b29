"""A worker that has done enough claims nothing more."""

import subprocess
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


def test_it_cannot_begin_with_less_memory_than_it_takes() -> None:
    assert "--max-memory 1 is no more than the " in Lifespan(most_mib=1).too_large
    assert Lifespan(most_mib=1 << 30).too_large == Lifespan().too_large == ""


def test_memory_is_told_in_mib() -> None:
    assert 5 < peak_mib() < 100_000


def test_memory_of_a_parent_does_not_count() -> None:
    code = "from headrace.worker.lifespan import peak_mib; print(peak_mib())"
    large = bytearray(b"x") * (300 << 20)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 200
    assert len(large) == 300 << 20
