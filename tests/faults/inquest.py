"""The judge of what workers did: everything that `checkers` demands, from one history.

What a killed process left unfinished may have happened or not; what a job's claims tell of lost
leases excuses its further runs, and whether those leases were really over is judged as well.
"""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from tests.faults import labour
from tests.faults.checkers import (
    attributed_duplicates,
    conservation,
    effect_once,
    lease_log,
    total_queue,
)
from tests.faults.history import Event, Type


def violations(history: Sequence[Event]) -> list[str]:
    """Return what is wrong with a history whose books are closed."""
    whole = [*_with_losses(history), *_unanswered(history)]
    return [
        *total_queue(whole),
        *attributed_duplicates(whole),
        *lease_log(whole),
        *conservation(whole),
        *_phantoms(whole),
    ]


def effect_violations(history: Sequence[Event]) -> list[str]:
    """Return what is wrong, also with the effects; the jobs of `CHILDREN` have none."""
    parents = [
        event
        for event in history
        if event.f == "effect" or (event.f == "end" and event.value["number"] < labour.CHILDREN)
    ]
    return [*violations(history), *effect_once(parents)]


def figures(history: Sequence[Event]) -> dict[str, int]:
    """Return how much happened, for whoever wants to know how hard a test was."""
    runs = Counter(e.value for e in history if (e.f, e.type) == ("run", Type.INVOKE))
    states = Counter(e.value["state"] for e in history if e.f == "end")
    failures = sum((e.f, e.type) == ("run", Type.FAIL) for e in history)
    losses = [e for e in _with_losses(history) if e.f == "lose"]
    return {
        "kills": sum(event.f == "kill" for event in history),
        "pauses": sum((e.f, e.type) == ("stop", Type.INVOKE) for e in history),
        "jobs": sum(states.values()),
        **states,
        "runs": runs.total(),
        "runs again": runs.total() - len(runs),
        "failed runs": failures,
        "lost leases": len(losses),
        "refused settlements": sum((e.f, e.type) == ("settle", Type.FAIL) for e in history),
    }


def tell(history: Sequence[Event]) -> None:
    """Print the figures; pytest shows them with -s, and when the test fails."""
    sys.stdout.write(f"{figures(history)}\n")


def _with_losses(history: Sequence[Event]) -> Iterator[Event]:
    """Add the loss of a lease before each claim that tells of one more."""
    lost: Counter[str] = Counter()
    for event in history:
        if event.f == "claim" and event.value["lost"] > lost[event.value["job"]]:
            lost[event.value["job"]] = event.value["lost"]
            value = event.value["number"]
            yield msgspec.structs.replace(event, type=Type.INFO, f="lose", value=value)
        yield event


def _unanswered(history: Sequence[Event]) -> Iterator[Event]:
    """Say of settlements whose answer nobody lived to record that nobody knows."""
    answered = {_request(e) for e in history if e.f == "settle" and e.type is not Type.INVOKE}
    for event in history:
        asked = event.f == "settle" and event.type is Type.INVOKE
        if asked and _request(event) not in answered:
            yield msgspec.structs.replace(event, type=Type.INFO)


def _request(event: Event) -> tuple[Any, ...]:
    return event.value["job"], event.value["token"], event.value["since"]


def _phantoms(history: Sequence[Event]) -> Iterator[str]:
    """Yield the jobs that nobody asked for, and those that are there twice."""
    asked = {
        number
        for event in history
        if event.f == "submit"
        for number in (event.value if isinstance(event.value, list) else [event.value])
    }
    found = Counter(event.value["number"] for event in history if event.f == "end")
    for number, count in sorted(found.items()):
        if number not in asked:
            yield f"job {number} is there, but was never submitted"
        if count > 1:
            yield f"job {number} is there {count} times"
