"""The network between us and PostgreSQL fails at a chosen word: each write happens once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from headrace import App
from headrace.engines.postgresql import PostgreSQLEngine, plan, writer
from headrace.errors import DuplicateJob, EngineBusy, OutcomeUnknown
from headrace.record import State
from headrace.testing.steps import claim_one, depth, job_id, message, send, settle, state
from headrace.write import Send
from tests.faults.cable import Cable, cable
from tests.faults.plants import planted
from tests.faults.remote import ends_of, over
from tests.postgresql import Place, postgresql, postgresql_place

__all__ = ["postgresql", "postgresql_place"]

COMMIT = rb"commit[;\0]"
"""What is found in the request that commits, and not in one that names a setting."""
CONNECT = "connect_timeout=2"
CLAIM = b"do update set written_at"
"""What is found in the request that claims a receipt."""


# One engine ---------------------------------------------------------------------------------------


@contextmanager
def linked(postgresql: Place, deadline: float = 20.0) -> Iterator[tuple[PostgreSQLEngine, Cable]]:
    with cable(*ends_of(postgresql.url)) as line:
        url = f"{over(line, postgresql.url)}&{CONNECT}"
        engine = PostgreSQLEngine(url, poll=0.1, deadline=deadline, allow_unsafe_server=True)
        engine.open().wait(10)
        send(engine, "first")  # its connection stands
        try:
            yield engine, line
        finally:
            line.let_go()
            engine.close().wait(60)


Loss = tuple[bytes, bool]


def losing(postgresql: Place, *words: Loss) -> int:
    """Send a job while requests with these words are lost, or (True) their answers; count jobs."""
    with linked(postgresql) as (engine, line):
        for text, answer in words:
            line.lose(text, answer=answer)
        send(engine, "a")
        assert line.lost == len(words)
        return depth(engine).depth - 1


@pytest.mark.parametrize("commit", [(COMMIT, False), (COMMIT, True)])
@pytest.mark.parametrize("enquiry", [[], [(CLAIM, False)], [(CLAIM, True)]])
def test_a_send_happens_once_whatever_was_lost(
    postgresql: Place, commit: Loss, enquiry: list[Loss]
) -> None:
    assert losing(postgresql, commit, *enquiry) == 1


def test_a_denial_that_is_taken_for_a_commit_is_found_out(
    postgresql: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    do = plan.do

    def misled(name: str, *parameters: Any) -> Any:
        text, values = do(name, *parameters)
        return text.replace("< 0", "< 0 and known.xmax = 0"), values  # it was not there before

    monkeypatch.setattr(writer, "do", misled)
    assert losing(postgresql, (COMMIT, False), (CLAIM, True)) == 0


def test_a_settlement_whose_commit_was_lost_is_not_lost(postgresql: Place) -> None:
    with linked(postgresql) as (engine, line):
        lease = claim_one(engine)
        line.lose(COMMIT, answer=True)
        assert settle(engine, lease).lost == frozenset()
        assert state(engine, "first") is State.SUCCEEDED


@pytest.mark.parametrize("silence", [Cable.abandon, lambda line: line.hold(answers=True)])
def test_a_silent_connection_leaves_time_for_another(
    postgresql: Place, silence: Callable[[Cable], None]
) -> None:
    with linked(postgresql, deadline=3.0) as (engine, line):
        silence(line)
        reply = engine.apply(Send((message("a"),)))
        with pytest.raises(EngineBusy, match="no answer"):
            reply.wait(0.5)
        line.let_go()
        reply.wait(6.0)
        assert depth(engine).depth == 2


def test_what_cannot_be_known_in_time_is_said_to_be_unknown(
    postgresql: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with linked(postgresql, deadline=2.0) as (engine, line):
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


def test_a_submit_that_finds_no_server_says_so_within_its_deadline(postgresql: Place) -> None:
    """And not that nobody knows: nothing was ever sent."""
    with cable(*ends_of(postgresql.url)) as line:
        app = App(over(line, postgresql.url), deadline=2.0, allow_unsafe_server=True)

        @app.task
        def work() -> None: ...

        with app:
            work.submit()
            line.close()
            with pytest.raises(EngineBusy, match="nothing was written"):
                work.submit()


def test_a_lost_commit_that_is_repeated_without_a_receipt_is_found(postgresql: Place) -> None:
    with planted("repeats_lost_commits"), pytest.raises(DuplicateJob):
        losing(postgresql, (COMMIT, True))
