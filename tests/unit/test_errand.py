"""Errands and answers arrive as they were sent."""

from msgspec import Raw

from headrace.ending import Ending
from headrace.errand import Answer, Errand, decode_answer, decode_errand, decode_note, encode
from headrace.job import Progress
from tests.unit.worker.stage import lease


def test_an_errand_arrives() -> None:
    errand = Errand(lease(7, body=b'{"n": [1, 2]}', attempt=2, headers={"a": "b"}), 2.5)
    arrived = decode_errand(encode(errand))
    assert arrived.seconds == 2.5
    assert (arrived.lease.job_id, arrived.lease.attempt) == ("job-7", 2)
    assert arrived.lease.message.headers == {"a": "b"}
    assert arrived.lease.message.body == Raw(b'{"n": [1, 2]}')


def test_an_answer_arrives() -> None:
    answer = decode_answer(
        encode(Answer(Ending(kind="done", result=Raw(b'{"a":1}')), settled=True))
    )
    assert answer.settled
    assert answer.ending.result == Raw(b'{"a":1}')


def test_progress_arrives() -> None:
    assert decode_note(encode(Progress(1, 2, "half"))) == Progress(1, 2, "half")
