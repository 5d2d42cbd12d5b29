"""Ids: in order, and never twice — over clock steps, threads and forks."""

from __future__ import annotations

import re
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.ids import Ids
from headrace.testing import ManualClock

CANONICAL = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def ascending(ids: list[str]) -> bool:
    return all(one < two for one, two in pairwise(ids))


def test_an_id_is_a_uuid_of_version_7_in_its_canonical_form() -> None:
    for name in Ids().job_ids(100):
        assert CANONICAL.fullmatch(name)
        assert uuid.UUID(name).version == 7
        assert uuid.UUID(name).variant == uuid.RFC_4122
        assert str(uuid.UUID(name)) == name


def test_an_id_tells_its_millisecond() -> None:
    clock = ManualClock(now=1_767_225_600.123)
    milliseconds = uuid.UUID(Ids(clock).job_id()).int >> 80
    assert milliseconds == 1_767_225_600_123


def test_ids_of_one_millisecond_are_in_order() -> None:
    ids = Ids(ManualClock())
    assert ascending([ids.job_id() for _ in range(1000)])


def test_many_at_once_and_one_by_one_are_one_sequence() -> None:
    ids = Ids(ManualClock())
    made = [ids.job_id(), *ids.job_ids(50), ids.job_id(), *ids.job_ids(3)]
    assert ascending(made)
    assert len(made) == 55


@pytest.mark.parametrize("count", [0, 1, 4095, 4096, 4097, 10_000])
def test_a_full_millisecond_flows_into_the_next(count: int) -> None:
    ids = Ids(ManualClock())
    made = ids.job_ids(count) + ids.job_ids(count)
    assert len(made) == 2 * count
    assert ascending(made)
    assert all(CANONICAL.fullmatch(name) for name in made)


def test_ids_stay_in_order_when_the_clock_steps_back() -> None:
    clock = ManualClock()
    ids = Ids(clock)
    made = []
    for step in (0.0, -3600.0, 1.0, -0.001, 7200.0, -10_000_000.0):
        clock.step(step)
        made += ids.job_ids(3)
    assert ascending(made)


@given(st.lists(st.tuples(st.floats(-10, 10), st.integers(0, 5000)), max_size=8))
def test_whatever_the_clock_does_ids_stay_in_order(moves: list[tuple[float, int]]) -> None:
    clock = ManualClock()
    ids = Ids(clock)
    made = []
    for step, count in moves:
        clock.step(step)
        made += ids.job_ids(count)
    assert ascending(made)


def test_threads_never_make_the_same_id() -> None:
    ids = Ids(ManualClock())
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: [ids.job_id() for _ in range(2000)], range(8)))
    assert len({name for part in made for name in part}) == 16_000


def test_two_makers_never_make_the_same_id() -> None:
    clock = ManualClock()
    one, two = Ids(clock).job_ids(4096), Ids(clock).job_ids(4096)
    assert not set(one) & set(two)


FORK = """
import os, sys
from headrace.ids import Ids
from headrace.testing import ManualClock
ids = Ids(ManualClock())
ids.job_id()
child = os.fork()
if child:
    os.waitpid(child, 0)
print(ids.job_id()[9:], ids.nonce(), ids.fraction(), flush=True)
"""


def test_a_forked_child_draws_anew() -> None:
    # In a process of its own: this one may have threads, and must not be forked.
    done = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, check=True)
    child, parent = (line.split() for line in done.stdout.splitlines())
    assert len(child) == len(parent) == 3
    assert not set(child) & set(parent)


def test_a_seed_makes_everything_repeatable() -> None:
    def make(seed: int) -> list[object]:
        ids = Ids(ManualClock(), seed=seed)
        return [ids.job_id(), *ids.job_ids(5), ids.nonce(), ids.fraction()]

    assert make(1) == make(1)
    assert not set(make(1)) & set(make(2))


def test_nonces_are_sixteen_digits_and_do_not_repeat() -> None:
    ids = Ids()
    nonces = {ids.nonce() for _ in range(1000)}
    assert len(nonces) == 1000
    assert all(re.fullmatch(r"[0-9a-f]{16}", nonce) for nonce in nonces)


def test_fractions_are_below_one() -> None:
    ids = Ids(seed=3)
    fractions = [ids.fraction() for _ in range(1000)]
    assert 0 <= min(fractions) < 0.05
    assert 0.95 < max(fractions) < 1


def test_a_secret_is_not_to_be_repeated() -> None:
    assert Ids(seed=1).secret() != Ids(seed=1).secret()
    assert len(Ids().secret()) == 32
    assert len(Ids().secret(24)) == 24
