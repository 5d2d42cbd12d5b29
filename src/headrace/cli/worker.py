"""Worker: `headrace worker APP`: worker processes under a supervisor."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import click

from headrace.cli.exits import Exit
from headrace.cli.output import say
from headrace.cli.program import open_program
from headrace.cli.text import plain
from headrace.journal import begin
from headrace.message import check_name
from headrace.order import Work
from headrace.signals import interrupting
from headrace.supervisor import Supervisor


@click.command()
@click.argument("app")
@click.option(
    "-p", "--processes", type=click.IntRange(1, 1024), default=1, show_default=True,
    help="Worker processes.",
)  # fmt: skip
@click.option(
    "-c", "--concurrency", type=click.IntRange(1, 100_000), metavar="N",
    help="Jobs that each process runs at a time [default: 100 coroutines, 20 threads].",
)  # fmt: skip
@click.option(
    "-q", "--queues", metavar="NAME,...", default="",
    help="Take jobs from these queues only [default: those that the tasks name].",
)  # fmt: skip
@click.option(
    "--grace", type=click.FloatRange(min=0, min_open=True), metavar="S",
    help="Seconds that runs may go on after a signal to stop [default: 30].",
)  # fmt: skip
@click.option(
    "--max-jobs", type=click.IntRange(1), metavar="N",
    help="Replace a process after so many jobs.",
)  # fmt: skip
@click.option(
    "--max-memory", type=click.IntRange(1), metavar="MIB",
    help="Replace a process that has grown so large, between jobs.",
)  # fmt: skip
@click.pass_context
def worker(ctx: click.Context, /, app: str, processes: int, queues: str, **limits: Any) -> int:
    """Run the tasks of an APP: worker processes under a supervisor.

    SIGTERM or Ctrl-C: take nothing new, finish within --grace, hand the rest back, exit 0. A
    second signal hurries.
    """
    names = tuple(check_name("queue", name.strip()) for name in queues.split(",") if name.strip())
    try:
        with interrupting():
            program = open_program(app, ctx)
    except KeyboardInterrupt:
        return Exit.OK  # nothing has begun that would have to end
    begin(program.config)
    work = Work(
        target=app,
        queues=names,
        settings=_settings(limits["concurrency"], limits["grace"]),
        most_jobs=limits["max_jobs"],
        most_mib=limits["max_memory"],
    )
    shown = ", ".join(names or sorted({task.options.queue for task in program.registry}))
    say(f"headrace: {processes} worker process(es), queues: {shown}, {plain(program.config.place)}")
    with closing(program):
        return Supervisor(program, work, processes).run()


def _settings(concurrency: int | None, grace: float | None) -> dict[str, Any]:
    given = {"concurrency": concurrency, "threads": concurrency, "grace": grace}
    return {name: value for name, value in given.items() if value is not None}
