"""Stop signals wait until they can be heeded, and then come."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from headrace.signals import STOP_SIGNALS, heeded, held, hold, interrupting, release


@pytest.fixture(autouse=True)
def mask() -> Iterator[None]:
    """Leave this thread's mask as it was."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def blocked() -> set[int]:
    return set(signal.pthread_sigmask(signal.SIG_BLOCK, ()))


# Signals are raised in this very thread: others may be there that hold none back.


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_signal_that_is_held_back_comes_when_it_is_heeded(number: signal.Signals) -> None:
    came: list[int] = []
    with held():
        signal.raise_signal(number)
        assert came == []
        with heeded(lambda number, _: came.append(number)):
            assert came == [number]
            signal.raise_signal(number)
            assert came == [number, number]
        assert set(STOP_SIGNALS) <= blocked()


def test_handlers_and_mask_are_as_before() -> None:
    handlers, mask = [signal.getsignal(number) for number in STOP_SIGNALS], blocked()
    with held(), heeded(lambda *_: None):
        pass
    with pytest.raises(ZeroDivisionError), held(), heeded(lambda *_: None):
        raise ZeroDivisionError
    assert [signal.getsignal(number) for number in STOP_SIGNALS] == handlers
    assert blocked() == mask


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_one_that_was_held_back_interrupts(number: signal.Signals) -> None:
    hold()
    signal.raise_signal(number)
    handlers = [signal.getsignal(each) for each in STOP_SIGNALS]
    with pytest.raises(KeyboardInterrupt), interrupting():
        raise AssertionError("the block began")
    assert [signal.getsignal(each) for each in STOP_SIGNALS] == handlers
    assert set(STOP_SIGNALS) <= blocked()


def test_release_lets_a_signal_do_what_it_does() -> None:
    hold()
    signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        release()


def test_a_process_is_born_with_signals_held_back() -> None:
    program = (
        "import sys; from headrace.signals import release\n"
        "sys.stdin.read()\n"
        "print('heeds', flush=True)\n"
        "release()\n"
        "print('not this')"
    )
    with held():
        process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate("", timeout=60)
    assert (output, process.returncode) == ("heeds\n", -signal.SIGTERM)
