"""Workers and servers are killed, and what was accepted is done all the same, under new tokens."""

import json
import os
import signal
import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.engines.postgresql import PostgreSQLEngine
from headrace.engines.postgresql.link import Link
from headrace.errors import EngineBusy, OutcomeUnknown
from headrace.ids import Ids
from headrace.record import State
from headrace.testing.steps import claim, claim_one, job_id, message, send, settle, state
from headrace.write import Send
from tests.faults.processes import Process, Processes, until
from tests.postgresql import Place, Server, own_server, some_place

JOBS = 300
CRASHES = 3
Line = tuple[str, str, int, str]

# The claims of the last moments reach the disk late: a crash takes them.
LAZY = ("wal_writer_delay = 10000ms", "wal_writer_flush_after = 1GB", "fsync = on")


@pytest.fixture
def place() -> Iterator[Place]:
    with some_place() as place:
        yield place


@pytest.fixture
def server() -> Iterator[Server]:
    with own_server(LAZY) as server:
        yield server


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with Processes(tmp_path) as processes:
        yield processes


class Story:
    """What hands wrote down, and what was accepted."""

    def __init__(self, path: Path, processes: Processes, url: str) -> None:
        self.path = path
        self.engine = PostgreSQLEngine(url, poll=0.1, deadline=60, allow_unsafe_server=True)
        self.engine.open().wait(30)
        self.accepted: list[str] = []
        self.hands = [
            processes.python("tests.faults.postgresql_hand", url, str(path), f"hand-{n}")
            for n in range(2)
        ]

    def submit(self, count: int) -> None:
        """Submit jobs, one by one; those whose fate is unknown are none."""
        for name in Ids().job_ids(count):
            job = Send((message("a", id=name),))
            try:
                self.engine.apply(job).wait(90)
            except (EngineBusy, OutcomeUnknown):
                continue
            self.accepted.append(name)

    def lines(self) -> list[Line]:
        """Return what the hands wrote."""
        text = self.path.read_text() if self.path.exists() else ""
        return [tuple(json.loads(line)) for line in text.splitlines()]

    def left(self) -> int:
        """Return how many of the accepted jobs have not succeeded."""
        states = self.engine.states(self.accepted).wait(60)
        return len(self.accepted) - list(states.values()).count(State.SUCCEEDED)

    def end(self) -> None:
        """Wait until all that was accepted is done, and dismiss the hands."""
        until(lambda: not self.left(), "the end of all jobs", 60, show=self.hands[-1].output)
        Path(f"{self.path}.over").touch()
        self.engine.close().wait(30)

    def faults(self) -> list[str]:
        """Return what was promised and did not hold."""
        found = []
        settled = [job for what, job, *_ in self.lines() if what == "settled"]
        found += [f"{job} was settled twice" for job in set(settled) if settled.count(job) > 1]
        claims: dict[int, set[str]] = defaultdict(set)
        for what, _, token, name in self.lines():
            if what == "claimed":
                claims[token].add(name)
        found += [
            f"token {token} is of {names}" for token, names in claims.items() if len(names) > 1
        ]
        return found


def working(story: Story, least: int) -> None:
    """Wait until so many jobs were settled."""

    def settled() -> bool:
        return sum(line[0] == "settled" for line in story.lines()) >= least

    until(settled, f"{least} settled jobs", 60, show=story.hands[-1].output)


def test_a_killed_worker_takes_no_job_with_it(
    place: Place, processes: Processes, tmp_path: Path
) -> None:
    story = Story(tmp_path / "history", processes, place.url)
    submitter = threading.Thread(target=story.submit, args=(JOBS,))
    submitter.start()
    victim: Process = story.hands[0]
    working(story, 30)
    processes.kill(victim.pid)
    submitter.join()
    story.end()
    assert len(story.accepted) == JOBS
    assert story.faults() == []


def test_a_crashed_server_loses_nothing_that_was_accepted(
    server: Server, processes: Processes, tmp_path: Path
) -> None:
    story = Story(tmp_path / "history", processes, server.url)
    submitter = threading.Thread(target=story.submit, args=(JOBS,))
    submitter.start()
    for crash in range(CRASHES):
        working(story, 20 * (crash + 1))
        server.stop("immediate")
        server.start()
    submitter.join()
    story.end()
    assert len(story.accepted) > JOBS // 2
    assert story.faults() == []


MANY = 70
"""Claims, each with a token of its own: more than the 32 for which a sequence writes its log."""


def tokens_around_a_crash(server: Server, *, plant: str = "") -> tuple[list[int], list[int]]:
    """Return the tokens of claims that a crash takes, and of the same jobs' next ones."""
    engine = PostgreSQLEngine(server.url, deadline=60)
    engine.open().wait(30)
    send(engine, "first")
    claim_one(engine)  # what tokens are added to is written, and synced, now
    if plant:
        link = Link(engine.address)
        link.say(plant)
        link.close()
    send(engine, *[f"{number}" for number in range(MANY)])
    lost = [claim_one(engine).token for _ in range(MANY)]
    server.stop("immediate")
    server.start()
    again = []
    while leases := claim(engine):  # but for those claims that had reached the disk
        again.append(leases[0].token)
    engine.close().wait(30)
    return lost, again


def test_no_token_comes_back_after_a_crash(server: Server) -> None:
    lost, again = tokens_around_a_crash(server)
    assert again
    assert min(again) > max(lost)


def test_a_claim_that_a_crash_took_fences_nobody_out(server: Server) -> None:
    """The crash comes between a claim, which is not synced, and its settlement."""
    engine = PostgreSQLEngine(server.url, deadline=60)
    engine.open().wait(30)
    send(engine, "first")
    claim_one(engine)  # what tokens are added to is written, and synced, now
    send(engine, "a")
    forgotten = claim_one(engine)
    server.stop("immediate")
    server.start()
    again = claim_one(engine)
    assert again.token > forgotten.token
    assert settle(engine, forgotten).lost == {job_id("a")}
    assert settle(engine, again).lost == frozenset()
    assert state(engine, "a") is State.SUCCEEDED
    engine.close().wait(30)


def test_a_base_that_survives_a_crash_repeats_tokens(server: Server) -> None:
    """The positive control: what the unlogged row is for."""
    lost, again = tokens_around_a_crash(server, plant="alter table headrace.witness set logged")
    assert set(lost) & set(again)


def test_a_submit_while_the_server_is_away_is_answered(server: Server) -> None:
    engine = PostgreSQLEngine(server.url, deadline=1.0)
    engine.open().wait(30)
    send(engine, "a")
    server.stop("fast")
    with pytest.raises(EngineBusy, match="server is away"):
        engine.apply(Send((message("b"),))).wait(30)
    with pytest.raises(EngineBusy, match="server is away"):
        engine.states(["x"]).wait(30)
    server.start()
    send(engine, "c")
    engine.close().wait(30)


def test_a_server_that_hangs_is_given_up(server: Server) -> None:
    engine = PostgreSQLEngine(server.url, deadline=1.0)
    engine.open().wait(30)
    send(engine, "a")
    link = Link(engine.address)
    rows = link.say("select pid from pg_stat_activity where query like 'commit%'")
    for (pid,) in rows:
        os.kill(pid, signal.SIGSTOP)  # a process of our own server
    try:
        with pytest.raises(EngineBusy, match="server is away"):
            engine.apply(Send((message("b"),))).wait(30)
    finally:
        for (pid,) in rows:
            os.kill(pid, signal.SIGCONT)
        link.close()
    send(engine, "c")
    assert engine.states([job_id("b")]).wait(30) == {}
    engine.close().wait(30)
