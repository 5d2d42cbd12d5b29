"""What happens in a random history depends on the dice alone, and covers everything."""

from __future__ import annotations

from random import Random

from headrace import write
from headrace.testing import ManualClock
from headrace.testing.script import Leases, Script, Writes
from headrace.testing.steps import message
from headrace.write import Lease, Send, Write

LEASE = Lease(message=message("a"), token=1, claim="w.1")
HELD: list[Leases] = [(LEASE, LEASE)]


def writes(seed: int, count: int) -> list[Writes]:
    script = Script(Random(seed), ManualClock())
    return [script.write(HELD) for _ in range(count)]


def test_the_same_dice_tell_the_same_story() -> None:
    assert writes(1, 50) == writes(1, 50)
    assert writes(1, 50) != writes(2, 50)


def test_every_write_happens() -> None:
    kinds = {value for value in vars(write).values() if isinstance(value, type)}
    moves = {write.Depart, write.Restore}  # steps of their own, as a pair
    expected = {kind for kind in kinds if issubclass(kind, Write)} - {Write} - moves
    script = Script(Random(1), ManualClock())
    seen = {type(script.write(HELD)[0]) for _ in range(500)} | {type(script.reclaim())}
    assert seen == expected


def test_every_option_of_a_message_happens() -> None:
    sent = [each for ours, _ in writes(1, 500) if isinstance(ours, Send) for each in ours.messages]
    for name in ("delay", "expires_after", "unique_key", "order_key", "lease", "retention"):
        assert {getattr(each, name) is None for each in sent} == {True, False}
    assert {each.order_on_wait for each in sent} == {"hold", "skip"}
    assert {each.on_conflict for each in sent} == {"reject", "replace"}


def test_what_was_sent_is_known() -> None:
    script = Script(Random(1), ManualClock())
    sent = set()
    for _ in range(100):
        ours, _theirs = script.write(())
        if isinstance(ours, Send):
            sent |= {each.id for each in ours.messages}
    assert set(script.known()) == sent


def test_some_is_a_few_and_none_of_nothing() -> None:
    script = Script(Random(1), ManualClock())
    assert script.some([]) == []
    for _ in range(100):
        few = script.some(range(10), 3)
        assert 1 <= len(few) <= 3
        assert len(set(few)) == len(few)
