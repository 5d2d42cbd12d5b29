"""Each checker passes a good history and finds each planted fault in a bad one."""

from typing import Any

import pytest

from tests.faults.checkers import (
    attributed_duplicates,
    conservation,
    effect_once,
    lease_log,
    total_queue,
)
from tests.faults.history import Event, Type

P, Q = 100, 200  # two workers


def history(*rows: tuple[Any, ...]) -> list[Event]:
    """Make a history of rows `(type, f, value)` or `(type, f, value, process)`, 1 s apart."""
    return [
        Event(
            time=second(n),
            type=Type(row[0]),
            f=row[1],
            value=row[2],
            process=row[3] if row[3:] else P,
        )
        for n, row in enumerate(rows)
    ]


def second(number: float) -> int:
    return int(number * 1e9)


def end(number: int, state: str = "succeeded") -> tuple[str, str, dict[str, object]]:
    return ("ok", "end", {"number": number, "state": state})


ACCEPTED = (("invoke", "submit", 1), ("ok", "submit", 1))
RAN = (("invoke", "run", 1), ("ok", "run", 1))


@pytest.mark.parametrize(
    "rows",
    [
        (*ACCEPTED, *RAN, end(1)),
        (("invoke", "submit", [1, 2]), ("ok", "submit", [1, 2]), *RAN, end(1), end(2, "dead")),
        (("invoke", "submit", 1), ("info", "submit", 1)),
        (("invoke", "submit", 1), ("info", "submit", 1), *RAN, end(1)),
        (("invoke", "submit", 1), ("fail", "submit", 1)),
        (*ACCEPTED, *RAN, *RAN, end(1)),
    ],
)
def test_total_queue_passes(rows: tuple[tuple[Any, ...], ...]) -> None:
    assert total_queue(history(*rows)) == []


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ((*ACCEPTED,), "never ran"),
        ((*ACCEPTED, *RAN), "unknown in the end"),
        ((*ACCEPTED, *RAN, end(1, "running")), "not finished"),
        ((*ACCEPTED, end(1)), "never ran to its end"),
        ((*RAN, end(1)), "never submitted"),
        ((("invoke", "submit", 1), ("fail", "submit", 1), *RAN, end(1)), "was refused"),
    ],
)
def test_total_queue_finds(rows: tuple[tuple[Any, ...], ...], found: str) -> None:
    assert any(found in violation for violation in total_queue(history(*rows)))


BEGIN, AGAIN = ("invoke", "run", 1, P), ("invoke", "run", 1, Q)


@pytest.mark.parametrize(
    "cause",
    [
        (("fail", "run", 1, P),),
        (("invoke", "kill", P),),
        (("invoke", "stop", P),),
        (("invoke", "stop", P), ("ok", "stop", P)),
        *[((("info", f, 1)),) for f in ("lose", "retry", "snooze", "release", "redrive")],
    ],
)
def test_attributed_duplicates_passes(cause: tuple[tuple[Any, ...], ...]) -> None:
    assert attributed_duplicates(history(BEGIN, *cause, AGAIN)) == []


@pytest.mark.parametrize(
    "rows",
    [
        (BEGIN, AGAIN),
        (BEGIN, ("ok", "run", 1, P), AGAIN),
        (BEGIN, ("invoke", "kill", Q), AGAIN),
        (BEGIN, ("info", "lose", 2), AGAIN),
        (("info", "lose", 1), BEGIN, AGAIN),
        (("invoke", "stop", P), ("ok", "stop", P), BEGIN, AGAIN),
        (BEGIN, ("invoke", "kill", P), AGAIN, ("invoke", "run", 1, 300)),
        (BEGIN, ("ok", "run", 1, P), ("ok", "result", 1), ("invoke", "kill", P), AGAIN),
    ],
)
def test_attributed_duplicates_finds(rows: tuple[tuple[Any, ...], ...]) -> None:
    assert len(attributed_duplicates(history(*rows))) == 1


def lease(
    f: str, token: int, asked: float, told: float, kind: str = "ok", *, final: bool = True
) -> Event:
    """Make an event of a lease of job "a", asked for at one second and told at another."""
    value = {"job": "a", "token": token, "since": second(asked)}
    value |= {"seconds": 10} if f in {"claim", "extend"} else {"final": final}
    return Event(time=second(told), process=P, type=Type(kind), f=f, value=value)


@pytest.mark.parametrize(
    "events",
    [
        [lease("claim", 1, 0, 1), lease("settle", 1, 2, 3)],
        [lease("claim", 1, 0, 1), lease("claim", 2, 11, 12), lease("settle", 1, 13, 14, "fail")],
        [lease("claim", 1, 0, 1), lease("settle", 1, 2, 5, final=False), lease("claim", 2, 3, 4)],
        [lease("claim", 1, 0, 1), lease("reclaim", 0, 2, 3), lease("claim", 2, 3, 4)],
        [lease("claim", 1, 0, 1), lease("settle", 1, 9, 10, "info"), lease("claim", 2, 10, 11)],
        [lease("claim", 2, 11, 12), lease("claim", 1, 0, 13)],
    ],
)
def test_lease_log_passes(events: list[Event]) -> None:
    assert lease_log(events) == []


@pytest.mark.parametrize(
    ("events", "found"),
    [
        ([lease("claim", 1, 0, 1), lease("claim", 1, 20, 21)], "given twice"),
        ([lease("claim", 2, 0, 1), lease("claim", 1, 20, 21)], "token 1 was given after 2"),
        (
            [lease("claim", 1, 0, 1), lease("claim", 2, 11, 12), lease("settle", 1, 13, 14)],
            "token 1 settled it after 2",
        ),
        (
            [lease("claim", 1, 0, 1), lease("settle", 1, 2, 3), lease("claim", 2, 4, 5)],
            "claimed again after token 1 had finished",
        ),
        (
            [lease("claim", 1, 0, 1), lease("settle", 1, 2, 3), lease("settle", 1, 4, 5)],
            "finished more than once",
        ),
        ([lease("claim", 1, 0, 1), lease("claim", 2, 8, 9)], "while 1 held"),
        (
            [lease("claim", 1, 0, 1), lease("extend", 1, 8, 9), lease("claim", 2, 11, 12)],
            "while 1 held",
        ),
    ],
)
def test_lease_log_finds(events: list[Event], found: str) -> None:
    assert any(found in violation for violation in lease_log(events))


def sample(since: float, **states: int) -> tuple[str, str, dict[str, int]]:
    return ("ok", "sample", {"since": second(since), **states})


@pytest.mark.parametrize(
    "rows",
    [
        (sample(0),),
        (*ACCEPTED, sample(1.5, ready=1)),
        (*ACCEPTED, sample(0.5, ready=0)),
        (("invoke", "submit", [1, 2]), sample(0.5, ready=2)),
        (("invoke", "submit", 1), ("info", "submit", 1), sample(1.5), sample(2.5, dead=1)),
    ],
)
def test_conservation_passes(rows: tuple[tuple[Any, ...], ...]) -> None:
    assert conservation(history(*rows)) == []


@pytest.mark.parametrize(
    "rows",
    [
        (*ACCEPTED, sample(1.5, ready=0, running=0)),
        (*ACCEPTED, sample(1.5, ready=1, running=1)),
        (("invoke", "submit", [1, 2]), ("ok", "submit", [1, 2]), sample(1.5, ready=1)),
        (sample(0, ready=1), *ACCEPTED),
    ],
)
def test_conservation_finds(rows: tuple[tuple[Any, ...], ...]) -> None:
    assert len(conservation(history(*rows))) == 1


EFFECT = ("ok", "effect", 1)


@pytest.mark.parametrize("rows", [(EFFECT, end(1)), (end(1, "dead"),), ()])
def test_effect_once_passes(rows: tuple[tuple[Any, ...], ...]) -> None:
    assert effect_once(history(*rows)) == []


@pytest.mark.parametrize(
    "rows", [(EFFECT, EFFECT, end(1)), (end(1),), (EFFECT, end(1, "dead")), (EFFECT,)]
)
def test_effect_once_finds(rows: tuple[tuple[Any, ...], ...]) -> None:
    assert len(effect_once(history(*rows))) == 1
