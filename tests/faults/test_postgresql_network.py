"""The network between us and PostgreSQL fails: nothing is lost, and nobody hangs.

One engine at first, whose cable fails at a chosen word; then many processes under load, of which
some hang on a cable that fails. The others take over what those held, so that whoever comes back
meets successors.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from headrace import App
from headrace.engines.postgresql import PostgreSQLEngine, plan, writer
from headrace.errors import DuplicateJob, EngineBusy, OutcomeUnknown
from headrace.record import State
from headrace.testing.steps import claim_one, depth, job_id, message, send, settle, state
from headrace.write import Send
from tests.faults.cable import Cable, cable
from tests.faults.fleet import PATIENCE
from tests.faults.history import Event
from tests.faults.inquest import tell, violations
from tests.faults.lengths import lengths
from tests.faults.plants import planted
from tests.faults.processes import Processes
from tests.faults.remote import RemoteFleet, ends_of, over
from tests.postgresql import Place, some_place

COMMIT = b"commit"
CONNECT = "connect_timeout=2"
CLAIM = b"written_at)\nvalues"
"""What is found in the request that claims a receipt."""


@pytest.fixture
def place() -> Iterator[Place]:
    with some_place() as place:
        yield place


# One engine ---------------------------------------------------------------------------------------


@contextmanager
def linked(place: Place, deadline: float = 20.0) -> Iterator[tuple[PostgreSQLEngine, Cable]]:
    with cable(*ends_of(place.url)) as line:
        url = f"{over(line, place.url)}&{CONNECT}"
        engine = PostgreSQLEngine(url, poll=0.1, deadline=deadline, allow_unsafe_server=True)
        engine.open().wait(10)
        send(engine, "first")  # its connection stands
        try:
            yield engine, line
        finally:
            line.let_go()
            engine.close().wait(60)


Loss = tuple[bytes, bool]


def losing(place: Place, *words: Loss) -> int:
    """Send a job while requests with these words are lost, or (True) their answers; count jobs."""
    with linked(place) as (engine, line):
        for text, answer in words:
            line.lose(text, answer=answer)
        send(engine, "a")
        assert line.lost == len(words)
        return depth(engine).depth - 1


@pytest.mark.parametrize("commit", [(COMMIT, False), (COMMIT, True)])
@pytest.mark.parametrize("enquiry", [[], [(CLAIM, False)], [(CLAIM, True)]])
def test_a_send_happens_once_whatever_was_lost(
    place: Place, commit: Loss, enquiry: list[Loss]
) -> None:
    assert losing(place, commit, *enquiry) == 1


def test_a_denial_that_is_taken_for_a_commit_is_found_out(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    do = plan.do

    def misled(name: str, *parameters: Any) -> Any:
        text, values = do(name, *parameters)
        return text.replace("< 0", "< 0 and known.xmax = 0"), values  # it was not there before

    monkeypatch.setattr(writer, "do", misled)
    assert losing(place, (COMMIT, False), (CLAIM, True)) == 0


def test_a_settlement_whose_commit_was_lost_is_not_lost(place: Place) -> None:
    with linked(place) as (engine, line):
        lease = claim_one(engine)
        line.lose(COMMIT, answer=True)
        assert settle(engine, lease).lost == frozenset()
        assert state(engine, "first") is State.SUCCEEDED


@pytest.mark.parametrize("silence", [Cable.abandon, lambda line: line.hold(answers=True)])
def test_a_silent_connection_leaves_time_for_another(
    place: Place, silence: Callable[[Cable], None]
) -> None:
    with linked(place, deadline=6.0) as (engine, line):
        silence(line)
        reply = engine.apply(Send((message("a"),)))
        with pytest.raises(EngineBusy, match="no answer"):
            reply.wait(1.0)
        line.let_go()
        reply.wait(6.0)
        assert depth(engine).depth == 2


def test_what_cannot_be_known_in_time_is_said_to_be_unknown(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with linked(place, deadline=2.0) as (engine, line):
        resolve = writer.Writer._resolve

        def cut_off(*arguments: Any) -> bool:
            line.hold(requests=True, answers=True)
            return resolve(*arguments)

        monkeypatch.setattr(writer.Writer, "_resolve", cut_off)
        line.lose(COMMIT, answer=True)
        with pytest.raises(OutcomeUnknown) as unknown:
            send(engine, "a")
        assert unknown.value.job_ids == (job_id("a"),)
        line.let_go()
        assert state(engine, "a") is State.READY


def test_a_submit_that_finds_no_server_says_so_within_its_deadline(place: Place) -> None:
    """And not that nobody knows: nothing was ever sent."""
    with cable(*ends_of(place.url)) as line:
        app = App(over(line, place.url), deadline=2.0, allow_unsafe_server=True)

        @app.task
        def work() -> None: ...

        with app:
            work.submit()
            line.close()
            with pytest.raises(EngineBusy, match="nothing was written"):
                work.submit()


# Many processes -----------------------------------------------------------------------------------

TASKS = ("note", "note_in_thread")
SHORT = 1.0
"""How long a fault lasts that costs nobody an unknown outcome."""

Fault = Callable[[Cable], None]
FAULTS: Sequence[Fault] = (
    lambda line: line.slow_down(0.02),
    lambda line: line.lose_each(25),
    Cable.reset,
    lambda line: line.hold(requests=True),
    lambda line: line.hold(answers=True),
    Cable.abandon,
)


class Story:
    """Two cables, with workers and a submitter on each, all under load.

    Args:
        fleet: starts them.
        directory: where the file is that ends it.
        deadline: how long one call may take.
        bug: what is planted into the submitter on the cable that fails.
    """

    def __init__(self, fleet: RemoteFleet, directory: Path, deadline: float, bug: str = "") -> None:
        self._fleet = fleet
        self._end = directory / "end"
        self._recovery = deadline + 5.0
        self._stack = ExitStack()
        fleet.environment["HEADRACE_DEADLINE"] = str(deadline)
        self.line = self._stack.enter_context(fleet.cable())
        with fleet.over(self.line):
            self.struck = fleet.supervisor(2)
            self.submitters = [fleet.offerer(self._end, 1, TASKS, bug=bug)]
        with fleet.over(self._stack.enter_context(fleet.cable())):
            self.others = fleet.supervisor(1)
            self.submitters.append(fleet.offerer(self._end, 1_000_000, TASKS))
        for supervisor in (self.struck, self.others):
            fleet.wait_for_new_claim(supervisor)

    def strike(self, fault: Fault, seconds: float) -> None:
        """Let the cable fail for some seconds, and wait until its workers are at work again."""
        fault(self.line)
        time.sleep(seconds)
        self.line.slow_down(0)
        self.line.lose_each(0)
        self.line.let_go()
        self._fleet.wait_for_new_claim(self.struck, self._recovery)

    def close(self) -> list[Event]:
        """End the load, drain, and return the history."""
        self._end.touch()
        assert [submitter.wait(PATIENCE) for submitter in self.submitters] == [0, 0]
        self._fleet.drain()
        assert self._fleet.stop(self.struck, self.others) == [0, 0]
        self._stack.close()
        history = self._fleet.close_books()
        tell(history)
        return history


@pytest.fixture
def fleet(tmp_path: Path, place: Place) -> Iterator[RemoteFleet]:
    url = f"{place.url}&{CONNECT}"
    settings = {"lease": 2.0, "poll": 0.2, "allow_unsafe_server": True}
    with (
        Processes(tmp_path) as processes,
        RemoteFleet(processes, tmp_path, url, **settings) as fleet,
    ):
        yield fleet


def errors(history: Sequence[Event], deadline: float) -> list[str]:
    """Return what submitters were told; each of them within its deadline."""
    answers = [event.value for event in history if event.f == "answer"]
    assert max(answer["seconds"] for answer in answers) < deadline + SHORT
    return [answer["error"] for answer in answers if answer["error"]]


def test_short_cuts_cost_no_job(fleet: RemoteFleet, tmp_path: Path) -> None:
    story = Story(fleet, tmp_path, deadline=5.0)
    for fault in FAULTS:
        story.strike(fault, SHORT)
    history = story.close()
    assert violations(history) == []
    assert not [error for error in errors(history, 5.0) if error.startswith("OutcomeUnknown")]


@pytest.mark.parametrize("rounds", lengths(0, 20)[1:])
def test_long_cuts_cost_no_job(fleet: RemoteFleet, tmp_path: Path, rounds: int) -> None:
    """Now the outcome may be unknown, but only that of a commit that was under way."""
    story = Story(fleet, tmp_path, deadline=15.0)
    for _ in range(rounds):
        story.strike(lambda line: line.hold(requests=True, answers=True), 20.0)
        for fault in FAULTS:
            story.strike(fault, SHORT)
    history = story.close()
    assert violations(history) == []
    unknown = [told for told in errors(history, 15.0) if told.startswith("OutcomeUnknown")]
    assert all("lost during the commit" in told for told in unknown)


def test_a_lost_commit_that_is_repeated_without_a_receipt_is_found(
    fleet: RemoteFleet, tmp_path: Path
) -> None:
    story = Story(fleet, tmp_path, deadline=5.0, bug="repeats_lost_commits")
    story.strike(lambda line: line.lose_each(10), SHORT)
    found = violations(story.close())
    assert any(line.endswith("ran but was refused") for line in found)


def test_one_engine_finds_it_as_well(place: Place) -> None:
    with planted("repeats_lost_commits"), pytest.raises(DuplicateJob):
        losing(place, (COMMIT, True))
