"""What the script says becomes answers, or the reason why not."""

from __future__ import annotations

import pytest

from headrace.cargo import Cargo
from headrace.engines.redis.answering import answers_to, refusal
from headrace.engines.redis.asking import pack
from headrace.errors import (
    Conflict,
    DuplicateJob,
    EngineError,
    InvalidOption,
    LeaseLost,
    QueueFull,
)
from headrace.record import Failure, State
from headrace.write import (
    CancelJobs,
    Changed,
    Depart,
    Departed,
    Extend,
    Extended,
    PauseQueue,
    Put,
    Reclaim,
    Reclaimed,
    Restore,
    Send,
    Sent,
    Settle,
    Settled,
    Stored,
)

WRITES = {
    Send(()): (["old"], Sent(("old",))),
    Settle(()): (["a"], Settled(frozenset("a"))),
    Extend((), 1.0): ([["a"], ["b"]], Extended(frozenset("a"), frozenset("b"))),
    Reclaim("w", Failure(cause="x")): ([["a"], []], Reclaimed(("a",), ())),
    CancelJobs(("a",)): (
        [[["a", "dead"]], []],
        Changed({"a": State.DEAD}, frozenset()),
    ),
    Put("k", b""): (3, Stored(3)),
    PauseQueue("q"): (False, None),
    Depart("k", 1, 1): ([1, 0], Departed(jobs=1)),
    Restore(Cargo()): (False, None),
}


def test_each_write_is_answered_in_its_own_words() -> None:
    told = pack((True, [told for told, _ in WRITES.values()]))
    assert answers_to(list(WRITES), told) == tuple(answer for _, answer in WRITES.values())


def test_a_refusal_is_raised() -> None:
    with pytest.raises(DuplicateJob) as refused:
        answers_to([Send(())], pack((False, ["key-held", "k", "id-1", "ready"])))
    assert refused.value.job_id == "id-1"


@pytest.mark.parametrize(
    ("told", "kind", "words"),
    [
        (["id-taken", "id-1"], DuplicateJob, "id-1 is there already"),
        (["lease-lost", ["b", "a"]], LeaseLost, "job a, b is lost"),
        (["conflict", "k", 1, 0], Conflict, "expected version 1, found nothing"),
        (["conflict", "k", 1, 2], Conflict, "found version 2"),
        (["unreadable", "id-1"], InvalidOption, "id-1 cannot be read"),
        (["news"], EngineError, "unknown here"),
    ],
)
def test_each_refusal_has_its_error(told: list[object], kind: type, words: str) -> None:
    error = refusal(told)
    assert type(error) is kind
    assert words in str(error)


@pytest.mark.parametrize(
    ("excess", "rate", "wait"), [(10, 5.0, 2.0), (1, 1e9, 0.1), (1e9, 1.0, 60.0), (5, 0, 1.0)]
)
def test_a_full_queue_says_when_to_come_again(excess: float, rate: float, wait: float) -> None:
    error = refusal(["queue-full", "q", 3, 100, excess, rate])
    assert isinstance(error, QueueFull)
    assert (error.queue, error.retry_after) == ("q", wait)
