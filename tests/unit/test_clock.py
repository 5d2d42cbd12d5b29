"""The clocks: the machine's, and the one that tests move."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from headrace.clock import Clock, SystemClock


def test_now_is_the_wall_clock() -> None:
    before = time.time()
    now = SystemClock().now()
    assert before <= now <= time.time()


def test_monotonic_only_grows() -> None:
    clock = SystemClock()
    moments = [clock.monotonic() for _ in range(1000)]
    assert moments == sorted(moments)


def test_every_process_of_a_boot_names_it_alike_and_shares_its_seconds() -> None:
    code = (
        "from headrace.clock import SystemClock; c = SystemClock();"
        "print(c.boot()); print(c.monotonic())"
    )
    before = SystemClock().monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    boot, seconds = done.stdout.split()
    assert boot == SystemClock().boot()
    assert before <= float(seconds) <= SystemClock().monotonic()


def test_a_boot_has_a_name_where_the_kernel_gives_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "exists", lambda _: False)
    boot = SystemClock().boot()
    assert boot.startswith("minute-")
    assert boot == SystemClock().boot()


def test_the_system_clock_is_a_clock() -> None:
    clock: Clock = SystemClock()
    assert clock.boot()
