"""A session keeps apart what may wait for others, and ends with its process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from headrace.engines.postgresql import PostgreSQLEngine
from headrace.engines.postgresql.link import Link
from headrace.errors import EngineClosed
from headrace.record import State
from headrace.testing.steps import claim, job_id, send, state
from tests.postgresql import Place

UNCLOSED = """
import sys
from headrace.engines.postgresql import PostgreSQLEngine
from headrace.testing.steps import message
from headrace.write import Send
engine = PostgreSQLEngine(sys.argv[1], allow_unsafe_server=True)
engine.open().wait(10)
engine.apply(Send((message("a"),)))
"""


def test_only_what_is_used_has_a_connection(postgresql: Place, link: Link) -> None:
    name = f"headrace-{os.getpid()}"
    engine = PostgreSQLEngine(f"{postgresql.url}&application_name={name}", allow_unsafe_server=True)
    engine.open().wait(10)

    def connections() -> int:
        text = "select count(*) from pg_stat_activity where application_name = $1::text"
        ((count,),) = link.ask((text, (name,)))
        return int(count)

    assert connections() <= 1  # that of the hints, which may not be there yet
    send(engine, "a")
    assert 1 <= connections() <= 2
    claim(engine)
    assert 2 <= connections() <= 3
    send(engine, "b", unique_key="k")
    assert 3 <= connections() <= 4
    engine.close().wait(10)


def test_a_process_that_does_not_close_writes_what_it_handed_over(
    engine: PostgreSQLEngine, postgresql: Place
) -> None:
    subprocess.run([sys.executable, "-c", UNCLOSED, postgresql.url], check=True, timeout=60)
    assert state(engine, "a") is State.READY


def test_a_forked_child_has_connections_of_its_own(engine: PostgreSQLEngine) -> None:
    send(engine, "a")
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            send(engine, "b")
            code = 0 if engine.states([job_id("a")]).wait(10) else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    send(engine, "c")
    assert len(claim(engine, 5)) == 3


def test_after_the_end_nothing_is_taken(engine: PostgreSQLEngine) -> None:
    session = engine._current()
    engine.close().wait(10)
    with pytest.raises(EngineClosed):
        session.look(lambda link: link.say("select 1")).wait(10)
