"""Questions are answered off the caller's thread, and again when the connection broke."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from headrace.engines.redis.asking import pack
from headrace.engines.redis.link import Away
from headrace.engines.redis.reader import Asker, Reader
from headrace.engines.redis.scripts import STATES
from headrace.errors import EngineBusy, EngineClosed, EngineError
from headrace.ids import Ids


@pytest.fixture
def reader(asker: Asker) -> Iterator[Reader]:
    reader = Reader(asker, Ids(), patience=5.0)
    reader.start()
    yield reader
    reader.close()


def test_a_script_is_run_with_a_body(asker: Asker) -> None:
    assert asker.run(STATES, pack(["a", "b"])) == [b"", b""]


def test_an_error_of_the_server_is_raised_as_ours(asker: Asker) -> None:
    with pytest.raises(EngineError, match="NOSUCHCOMMAND"):
        asker.call(("NOSUCHCOMMAND",))


def test_an_answer_comes_from_another_thread(reader: Reader) -> None:
    assert reader.look(lambda _: threading.current_thread().name).wait(5) == "headrace-reader"


def test_an_error_is_told_to_whoever_asked(reader: Reader) -> None:
    def fail(_: Asker) -> None:
        raise LookupError("nothing there")

    with pytest.raises(LookupError, match="nothing there"):
        reader.look(fail).wait(5)
    assert reader.look(lambda asker: asker.call(("PING",))).wait(5) == b"PONG"


def test_a_question_is_asked_again_until_the_server_is_back(reader: Reader) -> None:
    attempts: list[int] = []

    def look(_: Asker) -> int:
        attempts.append(1)
        if len(attempts) < 3:
            raise Away("gone for a moment", sent=True)
        return len(attempts)

    assert reader.look(look).wait(5) == 3


def test_it_is_not_asked_for_ever(asker: Asker) -> None:
    reader = Reader(asker, Ids(), patience=0.05)
    reader.start()

    def look(_: Asker) -> None:
        raise Away("gone", sent=False)

    with pytest.raises(EngineBusy, match="gone"):
        reader.look(look).wait(5)
    reader.close()


def test_a_closed_reader_answers_nothing_more(asker: Asker) -> None:
    reader = Reader(asker, Ids(), patience=5.0)
    reader.start()
    last = reader.look(lambda _: 7)
    reader.close()
    assert last.wait(5) == 7
    with pytest.raises(EngineClosed):
        reader.look(lambda _: 8).wait(5)
    reader.close()
