"""`headrace submit` checks arguments by the task's own types, and passes on every option."""

from __future__ import annotations

import json

import pytest

from headrace.cli.exits import Exit
from headrace.cli.storage import opened
from headrace.record import QueueLimits
from headrace.write import LimitQueue
from tests.unit.cli.conftest import Terminal

PROGRAM = """
from datetime import datetime
from headrace import App, Context

app = App(max_payload=1000)

@app.task
def paint(ctx: Context, what: str, /, width: int = 1, *, when: datetime | None = None) -> str:
    return what
"""


@pytest.fixture
def program(terminal: Terminal) -> Terminal:
    (terminal.folder / "shop.py").write_text(PROGRAM)
    return terminal


def test_the_id_is_printed(program: Terminal) -> None:
    result = program("submit", "shop.py", "paint", '{"what": "cat", "width": 2}')
    assert result.exit_code == Exit.OK
    (job,) = program.json("jobs", "show", result.stdout.strip())["jobs"]
    assert job["arguments"] == {"what": "cat", "width": 2}
    assert job["task"] == "paint"


def test_json_prints_the_job(program: Terminal) -> None:
    job = program.json("submit", "shop.py", "paint", '{"what": "cat"}')
    assert (job["task"], job["state"]) == ("paint", "ready")


def test_every_option_is_passed_on(program: Terminal) -> None:
    job = program.json(
        "submit", "shop.py", "paint", '{"what": "cat"}',
        "--queue", "images", "--priority", "5", "--run-at", "2099-01-31T08:00:00+01:00",
        "--expires", "60", "--unique-key", "u", "--on-conflict", "replace", "--order-key", "o",
        "--tag", "a", "--tag", "b", "--header", "x=y=z",
    )  # fmt: skip
    assert job["queue"] == "images"
    assert job["priority"] == 5
    assert job["state"] == "scheduled"
    assert job["run_at"] == "2099-01-31T07:00:00.000Z"
    assert job["expires_at"] is not None
    assert (job["unique_key"], job["order_key"]) == ("u", "o")
    assert job["tags"] == ["a", "b"]
    assert job["headers"] == {"x": "y=z"}


def test_delay(program: Terminal) -> None:
    job = program.json("submit", "shop.py", "paint", '{"what": "cat"}', "--delay", "60")
    assert job["state"] == "scheduled"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ('{"what": 1}', "got `int` at .what"),
        ("{}", "`what`"),
        ('{"what": "cat", "widht": 1}', "`widht`"),
        ('{"what": "cat", "when": "soon"}', "at .when"),
        ('["cat"]', "expected `object`"),
        ('{"what": "cat"', "no JSON"),
        ("[" * 100_000, "no JSON"),
        ('{"ctx": 1, "what": "cat"}', "`ctx`"),
    ],
)
def test_wrong_arguments_name_the_parameter(program: Terminal, arguments: str, says: str) -> None:
    result = program("submit", "shop.py", "paint", arguments)
    assert result.exit_code == Exit.USAGE
    assert says in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["pain", "{}"], "close are paint"),
        (["paint", '{"what": "x"}', "--run-at", "2099-01-31T08:00:00"], "time zone"),
        (["paint", '{"what": "x"}', "--run-at", "soon"], "ISO 8601"),
        (["paint", '{"what": "x"}', "--header", "x"], "NAME=TEXT"),
        (["paint", '{"what": "x"}', "--delay", "-1"], "delay"),
        (["paint", '{"what": "x"}', "--queue", "no name"], "queue name"),
    ],
)
def test_wrong_options(program: Terminal, args: list[str], says: str) -> None:
    result = program("submit", "shop.py", *args)
    assert result.exit_code == Exit.USAGE
    assert says in result.stderr


def test_refusals(program: Terminal) -> None:
    cat = '{"what": "cat"}'
    large = json.dumps({"what": "x" * 1000})
    assert program("submit", "shop.py", "paint", large).exit_code == Exit.REFUSED
    key = ["--unique-key", "k"]
    assert program("submit", "shop.py", "paint", cat, *key).exit_code == Exit.OK
    assert program("submit", "shop.py", "paint", cat, *key).exit_code == Exit.REFUSED
    with opened() as storage:
        storage.apply(LimitQueue("default", QueueLimits(max_depth=1)))
    assert program("submit", "shop.py", "paint", cat).exit_code == Exit.REFUSED


def test_wait_times_out_and_the_job_stays(program: Terminal) -> None:
    result = program("submit", "shop.py", "paint", '{"what": "cat"}', "--wait", "--timeout", "0.1")
    assert result.exit_code == Exit.TIMEOUT
    assert result.stdout == ""
    job_id = result.stderr.split()[1]
    assert program.json("jobs", "show", job_id)["jobs"][0]["state"] == "ready"
