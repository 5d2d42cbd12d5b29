"""Hosts whose clocks are five minutes wrong, either way, on one server: only the server's counts.

Three hosts submit for each other, work and look after the server. What the server is asked to time
lasts seconds, and what must not end yet would have ended if any host's clock had been asked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import cycle, islice

import pytest

from headrace import App
from headrace.clock import Clock, SystemClock
from headrace.message import Retention
from headrace.node import Node
from headrace.order import Work
from headrace.record import Cause, Record, State
from tests.faults.cable import cable
from tests.faults.processes import until
from tests.faults.remote import ends_of, over
from tests.postgresql import some_place
from tests.redis_server import keys

SKEWS = {"early": -300.0, "right": 0.0, "late": 300.0}
LEASE = 1.5
DELAY = 1.0
SOON = 0.3
LATER = 60.0
PATIENCE = 30.0
ORDERED = 12


class HostClock(SystemClock):
    """The clock of a host, which is wrong."""

    def __init__(self, skew: float) -> None:
        self._skew = skew

    def now(self) -> float:
        return super().now() + self._skew


class OwnClock:
    """The bug: engines take a clock that is not the system's for a test's, and go by it."""

    def __init__(self, skew: float) -> None:
        self._clock = HostClock(skew)
        self._skew = skew

    def now(self) -> float:
        return self._clock.now()

    def monotonic(self) -> float:
        return self._clock.monotonic() + self._skew

    def boot(self) -> str:
        return self._clock.boot()


class Host:
    """An App with a clock of its own, a queue of its own, and what ran on it.

    Attributes:
        runs: what began here and when, by the true clock.
    """

    def __init__(self, name: str, url: str, clock: Clock) -> None:
        self.name = name
        self.app = App(
            url,
            clock=clock,
            lease=LEASE,
            poll=0.2,
            allow_unsafe_server=True,
            allow_volatile_server=True,
        )
        self.runs: list[tuple[str, float]] = []

        @self.app.task(name="note")
        def note(what: str, seconds: float = 0.0) -> None:
            self.runs.append((what, time.monotonic()))
            time.sleep(seconds)

        self.note = note

    @contextmanager
    def working(self, *queues: str) -> Iterator[None]:
        """Take jobs from its own queue, and from others."""
        node = Node(self.app, Work(queues=(self.name, *queues)))
        node.start()
        try:
            yield
        finally:
            node.stop()


@contextmanager
def postgresql() -> Iterator[str]:
    with some_place() as place:
        yield place.url


SERVERS = {"postgresql": postgresql, "redis": keys}


@contextmanager
def hosts_of(server: str, clock: Callable[[float], Clock]) -> Iterator[list[Host]]:
    """Give hosts, each with a cable of its own: the Apps of one place would share an engine."""
    with ExitStack() as stack:
        url = stack.enter_context(SERVERS[server]())
        hosts = []
        for name, skew in SKEWS.items():
            line = stack.enter_context(cable(*ends_of(url)))
            hosts.append(Host(name, over(line, url), clock(skew)))
            stack.enter_context(hosts[-1].app)
        yield hosts


class Story:
    """What the hosts do for each other, and what is known of it.

    Args:
        hosts: who they are.
        patience: seconds to wait for what has to happen.
        long: seconds that the longest runs take.
    """

    def __init__(
        self, hosts: Sequence[Host], patience: float = PATIENCE, long: float = 1.3 * LEASE
    ) -> None:
        self._hosts = hosts
        self._patience = patience
        self._long = long
        self._pairs = list(zip(hosts, islice(cycle(hosts), 1, None), strict=False))
        self._since: dict[str, float] = {}
        self._ids: dict[str, str] = {}

    def play(self) -> None:
        """Let it all happen, until nothing more is to come."""
        for host, other in self._pairs:
            self._leave_behind(host)
            self._submit(host, f"expired {host.name}", queue="nobody", expires=SOON)
            self._submit(host, f"fresh {host.name}", queue="nobody", expires=LATER)
            self._submit(host, f"delayed {host.name}", queue=other.name, delay=DELAY)
            forgotten, kept = Retention(succeeded=SOON), Retention(succeeded=LATER)
            self._submit(host, f"forgotten {host.name}", queue=other.name, retention=forgotten)
            self._submit(host, f"kept {host.name}", queue=other.name, retention=kept)
            self._submit(host, f"long {host.name}", self._long, queue=other.name)
        for number, host in zip(range(ORDERED), cycle(self._hosts), strict=False):
            self._submit(host, f"ordered {number:02d}", queue=self._hosts[0].name, order_key="k")
        with ExitStack() as stack:
            for host, other in self._pairs:
                stack.enter_context(other.working(f"left-by-{host.name}"))
            until(lambda: not self._missing(), "everything", self._patience, show=self._show)

    def _leave_behind(self, host: Host) -> None:
        """Claim a job, and never be heard of again."""
        queue = f"left-by-{host.name}"
        self._submit(host, queue, queue=queue)
        gone = host.app.engine.lease([queue], limit=1, seconds=LEASE, holder=f"gone {host.name}")
        assert len(gone.wait(PATIENCE)) == 1

    def _submit(self, host: Host, what: str, seconds: float = 0.0, **options: object) -> None:
        self._since[what] = time.monotonic()
        self._ids[what] = host.note.using(**options).submit(what, seconds).id  # type: ignore[arg-type] # as given

    def runs(self) -> dict[str, list[float]]:
        """Return when what began, as seconds after it was asked for."""
        found: dict[str, list[float]] = {}
        for host in self._hosts:
            for what, moment in host.runs:
                found.setdefault(what, []).append(moment - self._since[what])
        return found

    def records(self) -> dict[str, Record]:
        """Return what the server knows."""
        known = self._hosts[0].app.engine.get(list(self._ids.values())).wait(PATIENCE)
        return {what: known[job_id] for what, job_id in self._ids.items() if job_id in known}

    def _missing(self) -> list[str]:
        records, waits = self.records(), ("fresh",)
        return [
            what
            for what in self._ids
            if not what.startswith(waits)
            and (what in records if what.startswith("forgotten") else not _over(records.get(what)))
        ]

    def _show(self) -> str:
        return f"missing: {self._missing()}, runs: {self.runs()}"

    def violations(self) -> list[str]:
        """Return what some clock has spoilt."""
        runs, records = self.runs(), self.records()
        found = [f"{what} ran {len(times)} times" for what, times in runs.items() if len(times) > 1]
        for what, record in records.items():
            times = runs.get(what, [])
            early = {"delayed": DELAY, "left": LEASE}.get(what.replace("-", " ").split()[0], 0.0)
            lost = int(what.startswith("left"))
            found += [f"{what} began after {time:.2f} s" for time in times if time < early]
            if record.lost != lost:
                found.append(f"{what} lost its lease {record.lost} times")
            if what.startswith("fresh") and record.state is not State.READY:
                found.append(f"{what} is {record.state}")
            if what.startswith("expired") and (times or _cause(record) != Cause.EXPIRED):
                found.append(f"{what} is {record.state}, and ran {len(times)} times")
        found += [f"{what} is not there" for what in self._gone(records)]
        order = [what for what, _ in self._hosts[0].runs if what.startswith("ordered")]
        return found + ([f"out of order: {order}"] if order != sorted(order) else [])

    def _gone(self, records: dict[str, Record]) -> list[str]:
        return [w for w in self._ids if w not in records and not w.startswith("forgotten")]


def _over(record: Record | None) -> bool:
    return record is not None and record.state.terminal


def _cause(record: Record) -> str | None:
    return record.failure.cause if record.failure else None


@pytest.mark.parametrize("server", SERVERS)
def test_no_host_is_asked_what_time_it_is(server: str) -> None:
    with hosts_of(server, HostClock) as hosts:
        story = Story(hosts)
        story.play()
        assert story.violations() == []


@pytest.mark.parametrize("server", SERVERS)
def test_an_engine_that_goes_by_its_hosts_clock_is_found(server: str) -> None:
    with hosts_of(server, OwnClock) as hosts:
        story = Story(hosts, patience=LEASE, long=0.0)
        with pytest.raises(AssertionError, match="everything"):
            story.play()
        found = story.violations()
    assert any(line.startswith("left") for line in found)
    assert any(line.startswith(("expired", "fresh")) for line in found)
