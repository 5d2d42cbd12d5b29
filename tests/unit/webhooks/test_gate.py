"""A receiver that is slow has as many deliveries as it may, and the others come back one by one."""

from __future__ import annotations

from headrace.webhooks import gate
from headrace.webhooks.gate import Gate, Gates


def test_so_many_go_on_at_a_time() -> None:
    one = Gate()
    assert [one.enter(10.0, 2) for _ in range(2)] == [0.0, 0.0]
    assert one.enter(10.0, 2) > 0
    one.leave(10.0, 11.0)
    assert one.enter(11.0, 2) == 0.0


def test_each_of_the_others_has_a_time_of_its_own() -> None:
    one = Gate()
    one.enter(10.0, 1)
    waits = [one.enter(10.0, 1) for _ in range(5)]
    assert waits == sorted(set(waits))


def test_it_learns_how_long_a_delivery_takes() -> None:
    quick, slow, stuck = Gate(), Gate(), Gate()
    for n in range(100):
        for one, took in ((quick, 0.001), (slow, 5.0)):
            one.enter(10.0 * n, 1)
            one.leave(10.0 * n, 10.0 * n + took)
    for one in (quick, slow):
        one.enter(1000.0, 1)
    stuck.enter(998.0, 1)
    assert quick.enter(1000.0, 1) < 0.01
    assert slow.enter(1000.0, 1) > 4.0
    assert stuck.enter(1000.0, 1) >= 2.0


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
