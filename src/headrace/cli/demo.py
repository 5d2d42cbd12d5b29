"""Demo: `headrace demo`: the main job on real input, and one worker killed half-way.

Every Python file of the standard library becomes a job, and every tenth one another by HTTP; what
the workers found is compared, file by file, with what a plain loop finds.
"""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import click

from headrace.app import App
from headrace.cli import library
from headrace.cli.crew import Crew
from headrace.cli.demo_http import Client, serving
from headrace.cli.demo_report import Outcome, OverHttp, Stage, document_of, print_report
from headrace.cli.exits import Exit
from headrace.cli.output import document, progress, say
from headrace.cli.storage import check_shared, url_of
from headrace.clock import SystemClock
from headrace.config import load
from headrace.order import Work
from headrace.record import Record

_PROCESSES = 2
_BATCH = 500


@click.command()
@click.option("--kill/--no-kill", default=True, help="Kill one worker process half-way.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def demo(ctx: click.Context, /, *, kill: bool, as_json: bool) -> Exit:
    """See it work: every file of the standard library becomes a job.

    Two worker processes parse them and report what is inside; one of them is killed half-way. The
    totals are compared with those of a plain loop over the same files: 1 if they differ. Every
    tenth file is handed over once more by HTTP, and its result fetched like that.
    Everything is in a temporary folder, unless --url says where.
    """
    with _ending_as_ctrl_c(), _place(ctx.find_root().params.get("url")) as url:
        os.environ["HEADRACE_URL"] = url  # for this process's App and for the workers'
        check_shared(load({}))
        from headrace.cli import demo_app  # noqa: PLC0415 - its App reads the URL now

        with demo_app.app, serving(demo_app.app) as client:
            outcome = _perform(demo_app, client, kill=kill)
    if as_json:
        document(document_of(outcome))
    else:
        print_report(outcome)
    return Exit.OK if outcome.equal else Exit.FAILED


@contextmanager
def _ending_as_ctrl_c() -> Iterator[None]:
    """Let SIGTERM, and a terminal that is closed, end the demo as tidily as Ctrl-C does."""
    before = [
        (number, signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT)))
        for number in (signal.SIGTERM, signal.SIGHUP)
    ]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


@contextmanager
def _place(url: str | None) -> Iterator[str]:
    if url is not None:
        yield url
        return
    with tempfile.TemporaryDirectory(prefix="headrace-demo-") as folder:
        yield url_of(Path(folder, "demo.db"))


def _perform(demo_app: ModuleType, client: Client | None, *, kill: bool) -> Outcome:
    clock, app, below = SystemClock(), demo_app.app, library.folder()
    files = library.files(below)
    say(f"{len(files)} Python files in {below}; everything is kept in {app.config.place}")
    began = clock.monotonic()
    ids = _submit(demo_app, files, below)
    submitted = clock.monotonic()
    accepted = client.hand_over(files, below, clock) if client is not None else None
    everything = ids + (accepted.ids if accepted is not None else [])
    begun = clock.monotonic()
    work = Work(
        target=demo_app.TARGET,
        queues=(demo_app.QUEUE,),
        settings={"threads": 1},  # parsing keeps a core busy: two threads would only take turns
    )
    say(f"submitted; {_PROCESSES} worker processes take them" + kill * ", one is killed half-way")
    with progress("workers", len(everything)) as step:
        accident = Crew(app, work, _PROCESSES, everything).run(step, kill=kill)
    drained = clock.monotonic()
    over_http = None
    if client is not None and accepted is not None:
        stage = Stage(len(accepted.files), accepted.seconds)
        over_http = OverHttp(accepted.files, stage, client.fetch(accepted))
    say("done; a plain loop does the same, to compare")
    plain, looped = {}, clock.monotonic()
    with progress("plain loop", len(files)) as step:
        for file in files:
            plain[file] = library.examine(file, below)
            step(1)
    return Outcome(
        durability=app.config.durability,
        lease=app.config.lease,
        submit=Stage(len(files), submitted - began),
        drain=Stage(len(everything), drained - begun),
        loop=Stage(len(files), clock.monotonic() - looped),
        plain=plain,
        records=_records(app, everything),
        accident=accident,
        over_http=over_http,
    )


def _submit(demo_app: ModuleType, files: Sequence[str], below: Path) -> list[str]:
    calls = demo_app.calls(files, below)
    return [
        job.id
        for start in range(0, len(calls), _BATCH)
        for job in demo_app.app.submit(calls[start : start + _BATCH])
    ]


def _records(app: App, ids: Sequence[str]) -> list[Record]:
    records = app.engine.get(ids).wait(app.config.deadline)
    return [records[job_id] for job_id in ids if job_id in records]
