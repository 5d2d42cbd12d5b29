"""The crew works until all is done, kills one process of its own at most, and stops on Ctrl-C."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from headrace import App
from headrace.cli.crew import Accident, Crew
from headrace.errors import ConfigError
from headrace.order import Work
from headrace.record import Failure, State
from headrace.write import Lease, Reclaim, Settle, Settlement
from tests.unit.cli.conftest import Shop

OURS, THEIRS = 1111, 2222


class Supervised:
    """Stands for the supervisor: one process, `me`, that finishes a job at a time."""

    def __init__(self, app: App, work: Work, processes: int) -> None:
        assert (work.queues, processes) == (("default",), 2)
        self.app = app
        self.pids = [OURS]
        self.code = 0
        self.stopped = threading.Event()
        self.leases: list[Lease] = []
        self.at_work: Callable[[], None] = lambda: None

    def run(self) -> int:
        self.app.telemetry.event("process.started", pid=OURS, holder="me")
        while not self.stopped.wait(0.01):
            self.at_work()
            self.leases += self._claim("me", 2)
            if self.leases:
                lease = self.leases.pop(0)
                done = Settlement(lease=lease, to=State.SUCCEEDED)
                self.app.engine.apply(Settle((done,))).wait(5)
        return self.code

    def stop(self) -> None:
        self.stopped.set()

    def killed(self, pid: int, signal: int) -> None:
        """Be killed: the lease that is held goes back."""
        assert (pid, signal) == (OURS, 9)
        failure = Failure(cause="lease-lost")
        reclaimed = self.app.engine.apply(Reclaim("me", failure)).wait(5)
        self.leases.clear()
        self.app.telemetry.event("leases.reclaimed", holder="me", jobs=reclaimed.returned)

    def _claim(self, holder: str, limit: int) -> tuple[Lease, ...]:
        return self.app.engine.lease(["default"], limit=limit, seconds=60.0, holder=holder).wait(5)


@pytest.fixture
def supervised(monkeypatch: pytest.MonkeyPatch) -> list[Supervised]:
    made: list[Supervised] = []

    def make(app: App, work: Work, processes: int) -> Supervised:
        made.append(Supervised(app, work, processes))
        monkeypatch.setattr("headrace.cli.crew.os.kill", made[0].killed)
        return made[0]

    monkeypatch.setattr("headrace.cli.crew.Supervisor", make)
    return made


def crew(shop: Shop, ids: list[str]) -> Crew:
    return Crew(shop.app, Work(queues=("default",)), 2, ids)


def test_all_jobs_are_finished(shop: Shop, supervised: list[Supervised]) -> None:
    ids = shop.submit(5)
    steps: list[int] = []
    assert crew(shop, ids).run(steps.append, kill=False) is None
    assert sum(steps) == 5
    assert supervised[0].stopped.is_set()
    assert all(shop.state(job_id) is State.SUCCEEDED for job_id in ids)


def test_half_way_a_process_is_killed(shop: Shop, supervised: list[Supervised]) -> None:
    ids = shop.submit(20)
    accident = crew(shop, ids).run(lambda _: None, kill=True)
    assert isinstance(accident, Accident)
    assert (accident.pid, accident.holder) == (OURS, "me")
    assert 10 <= accident.finished < 20
    assert accident.held
    assert set(accident.held) < set(ids)
    assert all(shop.state(job_id) is State.SUCCEEDED for job_id in ids)
    assert supervised


def test_a_process_of_somebody_else_is_never_killed(
    shop: Shop, supervised: list[Supervised]
) -> None:
    foreign = shop.submit(30)
    engine = shop.app.engine
    theirs = engine.lease(["default"], limit=30, seconds=60.0, holder="they").wait(5)
    ids = shop.submit(20)
    made = crew(shop, ids)
    shop.app.telemetry.event("process.started", pid=THEIRS, holder="they")
    accident = made.run(lambda _: None, kill=True)
    assert accident is None or accident.pid == OURS
    assert len(theirs) == len(foreign)
    assert supervised


def test_interruption(shop: Shop, supervised: list[Supervised]) -> None:
    made = crew(shop, shop.submit(5))
    supervised[0].at_work = supervised[0].stop
    with pytest.raises(KeyboardInterrupt):
        made.run(lambda _: None, kill=False)


def test_processes_that_cannot_start(shop: Shop, supervised: list[Supervised]) -> None:
    made = crew(shop, shop.submit(5))
    supervised[0].at_work = supervised[0].stop
    supervised[0].code = 2
    with pytest.raises(ConfigError, match="could not start"):
        made.run(lambda _: None, kill=False)


def test_trouble_while_watching_is_told(shop: Shop, supervised: list[Supervised]) -> None:
    def step(_: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        crew(shop, shop.submit(5)).run(step, kill=False)
    assert supervised[0].stopped.is_set()
