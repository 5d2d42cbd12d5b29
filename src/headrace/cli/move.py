"""Move: `headrace move --from URL --to URL`: all jobs and settings, to go on elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field

import click

from headrace.cli.exits import Exit
from headrace.cli.output import document, progress, say
from headrace.cli.storage import Storage, opened
from headrace.cli.text import plain
from headrace.mover import Mover, Step
from headrace.record import State


@dataclass(slots=True)
class Report:
    """What was moved so far, and what is left.

    Attributes:
        jobs: how many were moved.
        entries: how many store entries were moved.
        ended: ids of jobs that became dead letters: another one holds their unique key.
        left: unfinished jobs at the source, by state; None if the move was broken off.
    """

    jobs: int = 0
    entries: int = 0
    ended: list[str] = field(default_factory=list)
    left: dict[State, int] | None = None

    @property
    def done(self) -> bool:
        """Whether everything was moved."""
        return self.left == {}

    def add(self, step: Step) -> None:
        """Count a step."""
        self.jobs += step.jobs
        self.entries += step.entries
        self.ended += step.ended


@click.command()
@click.option("--from", "source", metavar="URL", required=True, help="Where everything is.")
@click.option("--to", "target", metavar="URL", required=True, help="Where it is to go on.")
@click.option(
    "--wait",
    metavar="S",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    help="Seconds to wait for jobs that run.",
)
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON document.")
def move(source: str, target: str, *, wait: float, as_json: bool) -> Exit:
    """Move all jobs and settings to another place, while workers go on.

    The queues of the source are paused, and stay so. Jobs that run there are moved when they have
    ended; if some still run after the wait, it exits with 6: run it again. It may be interrupted
    at any moment, and goes on when it is run again. `move` back is the way back.
    """
    report = Report()
    with opened(source) as ours, opened(target, new=True) as theirs:
        mover = Mover(ours.engine, theirs.engine, ours.clock, ours.ids, ours.config.deadline)
        mover.begin()
        try:
            with progress("moving", None) as advance:

                def tell(step: Step) -> None:
                    report.add(step)
                    advance(step.jobs)

                report.left = mover.run(wait, tell)
        finally:  # whatever happens, what was done is told
            _tell(report, ours, theirs, as_json=as_json)
    return Exit.OK if report.done else Exit.TIMEOUT


def _tell(report: Report, ours: Storage, theirs: Storage, *, as_json: bool) -> None:
    if as_json:
        document(
            {
                "from": _location(ours),
                "to": _location(theirs),
                "jobs": report.jobs,
                "entries": report.entries,
                "ended": report.ended,
                "left": report.left,
                "done": report.done,
            }
        )
        return
    click.echo(f"{report.jobs} jobs and {report.entries} entries moved to {_location(theirs)}")
    for job_id in report.ended:
        say(f"job {plain(job_id)} is a dead letter: another job holds its unique key")
    if report.left:
        counts = ", ".join(f"{count} {state}" for state, count in report.left.items())
        say(f"left where they were: {counts}; run it again when the running ones have ended")


def _location(storage: Storage) -> str:
    return plain(storage.ask(storage.engine.inspect()).location)
