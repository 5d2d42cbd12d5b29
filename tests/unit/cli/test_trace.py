"""`headrace trace`: what one submit set in motion, by a job's id or by the trace's."""

from __future__ import annotations

from headrace.cli.exits import Exit
from headrace.record import State
from headrace.trace import Origin, current, parse
from tests.unit.cli.conftest import Shop, Terminal

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


def test_a_job_is_shown_with_its_steps(terminal: Terminal, shop: Shop) -> None:
    (job_id,) = shop.end(message="no \x1b[31mpaint")
    result = terminal("trace", job_id)
    assert result.exit_code == Exit.OK
    title, job, *steps = result.stdout.splitlines()
    assert title.startswith(f"trace {job_id.replace('-', '')} began 20")
    assert job == f"paint {job_id} dead"
    assert [step.split()[0] for step in steps] == ["submit", "run"]
    assert r"rejected: no \x1b[31mpaint" in result.stdout


def test_a_trace_has_many_jobs(terminal: Terminal, shop: Shop) -> None:
    token = current.set(Origin(trace=parse(f"00-{TRACE_ID}-00f067aa0ba902b7-01")))
    ids = [shop.submit()[0], *shop.submit(150)]
    current.reset(token)
    shop.submit()
    for place in (TRACE_ID, ids[3]):
        told = terminal("trace", place).stdout
        assert told.count("paint ") == 151
        assert all(job_id in told for job_id in ids)


def test_a_trace_that_a_job_began_is_found_by_both_ids(terminal: Terminal, shop: Shop) -> None:
    (job_id,) = shop.end(to=State.SUCCEEDED)
    assert terminal("trace", job_id).stdout == terminal("trace", job_id.replace("-", "")).stdout


def test_json_is_what_a_collector_accepts(terminal: Terminal, shop: Shop) -> None:
    (job_id,) = shop.end(to=State.SUCCEEDED)
    (resource,) = terminal.json("trace", job_id)["resourceSpans"]
    names = [span["name"] for span in resource["scopeSpans"][0]["spans"]]
    assert names == ["send default", "process default"]


def test_an_unknown_id_is_told(terminal: Terminal, shop: Shop) -> None:
    shop.submit()
    for place in (TRACE_ID, "nonsense", "trace:x"):
        result = terminal("trace", place)
        assert result.exit_code == Exit.NOT_FOUND
        assert "no job or trace" in result.stderr
