"""Each log line is one line of JSON that says what it belongs to."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from headrace import App
from headrace.config import load
from headrace.journal import JsonLines, begin
from headrace.testing import drain
from headrace.trace import Origin, current, of_run, parse

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
log = logging.getLogger("mine")


@pytest.fixture
def page() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    log.addHandler(handler)
    yield stream
    log.removeHandler(handler)


def told(page: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in page.getvalue().splitlines()]


def test_a_line_says_when_who_and_what(page: io.StringIO) -> None:
    log.warning("%d are too many", 3)
    (line,) = told(page)
    assert line.pop("time")[-5:].endswith("Z")
    assert line == {"level": "WARNING", "logger": "mine", "message": "3 are too many"}


@pytest.mark.parametrize("text", ["a\nb", "\x1b[31mred", "\x7f", "\x85", "\u2028", "\0"])
def test_no_character_can_do_anything(page: io.StringIO, text: str) -> None:
    log.warning(text)
    (raw,) = page.getvalue().splitlines()
    assert raw.isascii()
    assert raw.isprintable()
    assert told(page)[0]["message"] == text


def test_half_a_character_is_escaped() -> None:
    record = log.makeRecord("mine", logging.WARNING, "", 0, "\ud800", (), None)
    assert r"\ud800" in JsonLines().format(record)


def test_an_exception_is_a_part_of_its_line(page: io.StringIO) -> None:
    try:
        int("no\x1bway")
    except ValueError:
        log.exception("it failed")
    (line,) = told(page)
    assert line["exception"].startswith("Traceback")
    assert "ValueError: invalid literal" in line["exception"]


def test_a_line_of_a_run_names_job_and_trace(page: io.StringIO, app: App) -> None:
    @app.task(name="speak", queue="words")
    def speak() -> None:
        log.warning("now")

    token = current.set(Origin(trace=parse(f"00-{TRACE_ID}-00f067aa0ba902b7-01")))
    job = speak.submit()
    current.reset(token)
    (record,) = drain(app)
    log.warning("later")
    during, after = told(page)
    assert during["trace_id"] == TRACE_ID
    assert during["span_id"] == of_run(record.message, 1).span_id
    names = ("job_id", "task", "queue", "attempt")
    assert [during[name] for name in names] == [job.id, "speak", "words", 1]
    assert not set(names) & after.keys()


def test_a_line_of_a_request_names_its_trace(page: io.StringIO) -> None:
    token = current.set(Origin(trace=parse(f"00-{TRACE_ID}-00f067aa0ba902b7-01")))
    log.warning("now")
    current.reset(token)
    (line,) = told(page)
    assert (line["trace_id"], line["span_id"]) == (TRACE_ID, "00f067aa0ba902b7")


PROGRAM = """
import logging
{setup}
from headrace.config import load
from headrace.journal import begin
begin(load({{"log_format": "{format}"}}))
begin(load({{"log_format": "{format}"}}))
logging.getLogger("mine").info("hello")
logging.getLogger("mine").warning("alas")
"""


@pytest.mark.parametrize(
    ("setup", "form", "written"),
    [
        ("", "text", ["alas"]),
        ("", "json", ["hello", "alas"]),
        ("logging.basicConfig(format='mine: %(message)s')", "json", ["mine: alas"]),
    ],
)
def test_json_is_written_where_it_is_wanted(setup: str, form: str, written: list[str]) -> None:
    program = PROGRAM.format(setup=setup, format=form)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    lines = done.stderr.splitlines()
    found = [json.loads(line)["message"] if line.startswith("{") else line for line in lines]
    assert found == written


def test_text_is_the_default() -> None:
    before = list(logging.getLogger().handlers)
    begin(load({}))
    assert logging.getLogger().handlers == before
