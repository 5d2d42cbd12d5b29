"""Signals and words of other threads arrive in one queue."""

import os
import signal
import threading

import pytest

from headrace.inbox import Inbox
from headrace.signals import held


def test_messages_arrive_in_order() -> None:
    inbox = Inbox()
    for number in range(3):
        inbox.put(number)
    assert [inbox.get() for _ in range(3)] == [0, 1, 2]


def test_a_message_of_another_thread_is_waited_for() -> None:
    inbox = Inbox()
    timer = threading.Timer(0.05, inbox.put, ("late",))
    timer.start()
    assert inbox.get() == "late"
    timer.join()


def test_signals_arrive_while_the_block_lasts() -> None:
    inbox = Inbox()
    before = signal.getsignal(signal.SIGTERM)
    with inbox.signals(signal.SIGTERM, signal.SIGINT):
        os.kill(os.getpid(), signal.SIGTERM)
        assert inbox.get() is signal.SIGTERM
        os.kill(os.getpid(), signal.SIGINT)
        assert inbox.get() is signal.SIGINT
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_that_was_held_back_arrives() -> None:
    inbox = Inbox()
    with held():
        signal.raise_signal(signal.SIGTERM)  # to this thread: others hold nothing back
        with inbox.signals(signal.SIGTERM):
            assert inbox.get() is signal.SIGTERM


def test_a_signal_that_wakes_nobody_arrives_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.inbox._LOOK_SECONDS", 0.05)
    inbox = Inbox()

    def send() -> None:  # to this thread: the main thread sleeps on
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

    with inbox.signals(signal.SIGTERM):
        timer = threading.Timer(0.1, send)
        timer.start()
        assert inbox.get() is signal.SIGTERM
        timer.join()
