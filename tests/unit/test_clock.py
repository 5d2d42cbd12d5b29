"""The clocks: the machine's, and the one that tests move."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from headrace.clock import Clock, SystemClock, rfc3339
from headrace.errors import StorageUnfit


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


class Kernel:
    """A C library as a BSD has it, for `ctypes`."""

    def __init__(self, **answers: bytes) -> None:
        self.answers = answers

    def sysctlbyname(self, name: bytes, buffer: Any, size: Any, _: None, length: Any) -> int:
        answer = self.answers.get(name.decode().removeprefix("kern."))
        assert length.value == 0  # nothing is to be set
        if answer is None or len(answer) > size._obj.value:
            return -1
        buffer[: len(answer)] = answer
        size._obj.value = len(answer)
        return 0


@pytest.fixture
def without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "exists", lambda _: False)


UUID = b"2C2F2B6E-2D43-4D3C-9E38-6A7C5B1F0E55\0"
SECONDS = b"\x10\x20\0\0\0\0\0\0\x01\0\0\0\0\0\0\0"


@pytest.mark.usefixtures("without_proc")
@pytest.mark.parametrize("answers", [{"bootsessionuuid": UUID}, {"boottime": SECONDS}])
def test_a_bsd_names_its_boot_whatever_the_clocks_say(
    monkeypatch: pytest.MonkeyPatch, answers: dict[str, bytes]
) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: Kernel(**answers))
    boot = SystemClock().boot()
    monkeypatch.setattr(time, "time", lambda: 4e9)  # it was corrected
    monkeypatch.setattr(time, "monotonic", lambda: 1.0)  # it stood still: the machine slept
    assert SystemClock().boot() == boot
    others = {
        name: answer.replace(b"\x10", b"\x11").replace(b"2C", b"3C")
        for name, answer in answers.items()
    }
    monkeypatch.setattr(ctypes, "CDLL", lambda _: Kernel(**others))
    assert SystemClock().boot() != boot


@pytest.mark.usefixtures("without_proc")
def test_the_name_of_a_boot_is_preferred_to_its_moment_which_may_be_corrected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: Kernel(bootsessionuuid=UUID))
    named = SystemClock().boot()
    monkeypatch.setattr(ctypes, "CDLL", lambda _: Kernel(bootsessionuuid=UUID, boottime=SECONDS))
    assert SystemClock().boot() == named


@pytest.mark.usefixtures("without_proc")
@pytest.mark.parametrize("library", [Kernel(), object()])
def test_a_system_that_does_not_name_its_boot_is_refused(
    monkeypatch: pytest.MonkeyPatch, library: object
) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: library)
    with pytest.raises(StorageUnfit, match="which boot"):
        SystemClock().boot()


def test_the_system_clock_is_a_clock() -> None:
    clock: Clock = SystemClock()
    assert clock.boot()


def test_a_moment_is_written_to_the_millisecond() -> None:
    assert rfc3339(1.5) == "1970-01-01T00:00:01.500Z"
    assert rfc3339(1.9999996) == "1970-01-01T00:00:02.000Z"
