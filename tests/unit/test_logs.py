"""The last lines a run logs are kept for it, wherever in its code they come from."""

import asyncio
import logging
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextvars import Context, copy_context

import msgspec
import pytest

from headrace import logs
from headrace.logs import LINES, LastLines
from headrace.message import Message
from headrace.write import Lease

log = logging.getLogger("someone")


class Run:
    """Something that lines are kept for."""

    ended = False

    def __init__(self) -> None:
        self.logs: deque[str] | None = None
        body = msgspec.Raw(b"{}")
        self.lease = Lease(
            message=Message(v=1, id="job-1", task="t", body=body), token=1, claim="w.1"
        )


@pytest.fixture(autouse=True)
def listening() -> Iterator[LastLines]:
    lines = LastLines()
    lines.start()
    token = logs.current.set(None)
    yield lines
    logs.current.reset(token)
    lines.stop()


def test_lines_are_kept_for_the_run_that_logs_them() -> None:
    first, second = Run(), Run()

    def work(run: Run, word: str) -> None:
        logs.current.set(run)
        log.warning("a %s line", word)

    copy_context().run(work, first, "first")
    copy_context().run(work, second, "second")
    assert [len(run.logs or ()) for run in (first, second)] == [1, 1]
    assert (first.logs or [""])[0].endswith("WARNING someone: a first line")


def test_lines_of_threads_that_a_run_starts_are_kept() -> None:
    run = Run()

    async def work() -> None:
        logs.current.set(run)
        await asyncio.to_thread(log.warning, "from a thread")

    asyncio.run(work())
    assert len(run.logs or ()) == 1


def test_only_the_last_lines_are_kept_and_not_too_much_of_each() -> None:
    run = Run()

    def work() -> None:
        logs.current.set(run)
        for number in range(LINES + 10):
            log.warning("line %d %s", number, "x" * 5000)

    copy_context().run(work)
    assert run.logs is not None
    assert len(run.logs) == LINES
    assert "line 10 " in run.logs[0]
    assert len(run.logs[0]) == 1000


def test_lines_outside_of_runs_are_not_kept() -> None:
    def work() -> None:
        log.warning("nobody's line")
        assert logs.current.get() is None

    Context().run(work)


def test_a_line_that_cannot_be_formatted_harms_nobody() -> None:
    run = Run()
    quiet = logging.getLogger("quiet")
    quiet.propagate = False
    quiet.addHandler(logging.NullHandler())

    def work() -> None:
        logs.current.set(run)
        quiet.error("%d", "text")
        quiet.error("%d", 1)

    copy_context().run(work)
    assert [line[-1] for line in run.logs or ()] == ["1"]


def test_a_line_that_has_no_form_in_json_is_kept_as_far_as_it_has_one() -> None:
    run = Run()

    def work() -> None:
        logs.current.set(run)
        log.warning("caf\udce9.txt")

    copy_context().run(work)
    assert [line[-8:] for line in run.logs or ()] == ["caf?.txt"]


def test_two_workers_in_a_process_keep_a_line_once() -> None:
    run, second = Run(), LastLines()
    second.start()

    def work() -> None:
        logs.current.set(run)
        log.warning("a line")

    copy_context().run(work)
    second.stop()
    assert len(run.logs or ()) == 1


def test_they_may_stop_in_any_order(listening: LastLines) -> None:
    first, second, run = LastLines(), LastLines(), Run()
    listening.stop()
    before = logging.getLogRecordFactory()
    first.start()
    second.start()
    first.stop()

    def work() -> None:
        logs.current.set(run)
        log.warning("a line")

    copy_context().run(work)
    assert len(run.logs or ()) == 1
    second.stop()
    copy_context().run(work)
    assert len(run.logs or ()) == 1
    logging.setLogRecordFactory(before)


def test_logging_can_still_be_configured() -> None:
    code = (
        "import logging; from headrace.logs import LastLines; LastLines().start();"
        "log = logging.getLogger('mine'); log.warning('by itself');"
        "logging.basicConfig(format='%(name)s: %(message)s'); log.warning('configured')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines() == ["by itself", "mine: configured"]
