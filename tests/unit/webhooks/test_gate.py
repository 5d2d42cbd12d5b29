"""A receiver that is slow has as many deliveries as it may, and the others come back one by one."""

from __future__ import annotations

from headrace.webhooks import gate
from headrace.webhooks.gate import Gate, Gates


def test_so_many_go_on_at_a_time() -> None:
    one = Gate()
    assert [one.enter(10.0, 2) for _ in range(2)] == [0.0, 0.0]
    assert one.enter(10.0, 2) > 0
    one.leave(1.0)
    assert one.enter(10.0, 2) == 0.0


def test_each_of_the_others_has_a_time_of_its_own() -> None:
    one = Gate()
    one.enter(10.0, 1)
    waits = [one.enter(10.0, 1) for _ in range(5)]
    assert waits == sorted(set(waits))
    for _ in range(100):
        one.leave(0.1)
        one.enter(10.0, 1)
    slow, fast = waits[1] - waits[0], one.enter(100.0, 1)
    assert fast < slow / 5, "it learns how long a delivery takes"


def test_at_intervals() -> None:
    assert [Gate().later(5.0, 0.5), Gate().later(5.0, 2.0)] == [0.5, 2.0]
    one = Gate()
    assert [one.later(5.0, 0.5) for _ in range(3)] == [0.5, 1.0, 1.5]


def test_gates_are_kept_while_something_goes_on() -> None:
    gates = Gates()
    busy = gates.of("busy")
    busy.enter(0.0, 1)
    for n in range(gate._MOST_GATES + 10):
        gates.of(str(n))
    assert gates.of("busy") is busy
    assert len(gates._gates) <= gate._MOST_GATES
