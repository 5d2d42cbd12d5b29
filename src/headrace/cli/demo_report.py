"""Demo report: what the demo's workers found, beside a plain loop, and who did the lost work."""

from __future__ import annotations

import platform
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import click
import msgspec

from headrace.cli.crew import Accident
from headrace.cli.library import Examination, Totals
from headrace.cli.output import Column, table
from headrace.record import Record


class Report(msgspec.Struct, frozen=True):
    """What a job of the demo returns.

    Attributes:
        examination: what is in its file.
        pid: the process that ran it.
    """

    examination: Examination
    pid: int


@dataclass(frozen=True, slots=True)
class Stage:
    """So many files, in so many seconds."""

    files: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.seconds:.2f} s, {self.files / max(self.seconds, 1e-9):,.0f} files/s"


@dataclass(frozen=True, slots=True)
class OverHttp:
    """What was handed over by HTTP, and fetched like that.

    Attributes:
        files: the files, each answered with 202.
        submit: how long handing them over took.
        found: what their jobs found, by file, as the gateway told it.
    """

    files: tuple[str, ...]
    submit: Stage
    found: dict[str, Examination]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the demo came to.

    Attributes:
        durability: what each commit survives.
        lease: seconds that a claim is valid without a heartbeat.
        submit: how long submitting took.
        drain: how long the workers took, their start included.
        loop: how long the plain loop took.
        plain: what the plain loop found, by file.
        records: the jobs.
        accident: how a worker was killed, if one was.
        over_http: what came by HTTP; None where no gateway is installed.
    """

    durability: str
    lease: float
    submit: Stage
    drain: Stage
    loop: Stage
    plain: dict[str, Examination]
    records: list[Record]
    accident: Accident | None
    over_http: OverHttp | None = None

    @cached_property
    def reports(self) -> dict[str, Report]:
        """What the jobs returned, by job id; those that did not succeed are missing."""
        return {
            record.id: msgspec.json.decode(record.result, type=Report)
            for record in self.records
            if record.result is not None
        }

    @cached_property
    def found(self) -> dict[str, Examination]:
        """What the jobs found, by file."""
        return {report.examination.file: report.examination for report in self.reports.values()}

    @property
    def equal(self) -> bool:
        """Whether the jobs found the same as the plain loop, file by file."""
        jobs = len(self.plain) + (len(self.over_http.files) if self.over_http else 0)
        return self.found == self.plain and len(self.reports) == jobs and self.equal_over_http

    @property
    def equal_over_http(self) -> bool:
        """Whether what was fetched by HTTP is the same as well, or there was nothing."""
        http = self.over_http
        return http is None or http.found == {file: self.plain[file] for file in http.files}

    @property
    def lost(self) -> int:
        """How many files no job has examined."""
        return len(self.plain.keys() - self.found.keys())

    def finished_by(self) -> list[tuple[str, str, int]]:
        """Return the jobs that the killed worker held: id, file, and the process that ran it."""
        held = self.accident.held if self.accident else ()
        reports = [(job_id, self.reports[job_id]) for job_id in held if job_id in self.reports]
        return [(job_id, report.examination.file, report.pid) for job_id, report in reports]


def document_of(outcome: Outcome) -> dict[str, Any]:
    """Return the report as JSON."""
    accident = outcome.accident
    killed = None
    if accident is not None:
        killed = {
            "pid": accident.pid,
            "lease": outcome.lease,
            "finished_before": accident.finished,
            "held": list(accident.held),
            "finished_by": [
                {"id": job_id, "file": file, "pid": pid}
                for job_id, file, pid in outcome.finished_by()
            ],
        }
    return {
        "python": platform.python_version(),
        "durability": outcome.durability,
        "seconds": {
            "submit": outcome.submit.seconds,
            "workers": outcome.drain.seconds,
            "plain": outcome.loop.seconds,
        },
        "workers": msgspec.to_builtins(Totals.of(outcome.found.values())),
        "plain": msgspec.to_builtins(Totals.of(outcome.plain.values())),
        "http": _http_document(outcome),
        "unparsed": {e.file: e.problem for e in outcome.plain.values() if e.problem},
        "killed": killed,
        "lost": outcome.lost,
        "equal": outcome.equal,
    }


def _http_document(outcome: Outcome) -> dict[str, Any] | None:
    http = outcome.over_http
    if http is None:
        return None
    return {
        "files": len(http.files),
        "seconds": http.submit.seconds,
        "equal": outcome.equal_over_http,
    }


def print_report(outcome: Outcome) -> None:
    """Print the report: what was found, what could not be parsed, and what the kill cost."""
    unparsed = [(e.file, e.problem) for e in outcome.plain.values() if e.problem]
    if unparsed:
        table((Column("not parsed"), Column("because")), unparsed)
        click.echo()
    if outcome.accident is not None:
        _print_accident(outcome, outcome.accident)
    else:
        click.echo("killed: no process")
    click.echo()
    _print_totals(outcome)
    click.echo()
    click.echo(f"submit:       {outcome.submit}, durability={outcome.durability}")
    if (http := outcome.over_http) is not None:
        same = "equal" if outcome.equal_over_http else "DIFFERENT"
        click.echo(f"by HTTP:      {http.submit}, one by one; results fetched by HTTP: {same}")
    click.echo(f"two workers:  {outcome.drain}, their start included")
    click.echo(f"a plain loop: {outcome.loop}")
    verdict = "equal, file by file" if outcome.equal else "DIFFERENT from the plain loop"
    click.echo(f"lost: {outcome.lost} of {len(outcome.plain)} jobs; the results are {verdict}")


def _print_accident(outcome: Outcome, accident: Accident) -> None:
    rows = outcome.finished_by()
    table((Column("held by the killed worker", whole=True), Column("file"), Column("pid")), rows)
    by = Counter(pid for _, _, pid in rows)
    others = ", ".join(f"{count} by process {pid}" for pid, count in by.items()) or "none"
    click.echo(
        f"killed: process {accident.pid} (SIGKILL) after {accident.finished} jobs; it held"
        f" {len(accident.held)} jobs under leases of {outcome.lease:g} s, which the supervisor"
        f" gave back at once; finished since: {others}"
    )


def _print_totals(outcome: Outcome) -> None:
    ours = msgspec.to_builtins(Totals.of(outcome.found.values()))
    plain = msgspec.to_builtins(Totals.of(outcome.plain.values()))
    columns = (Column("standard library"), Column("jobs", right=True), Column("loop", right=True))
    rows = [
        (name.replace("_", " "), _shown(ours[name]), _shown(plain[name]), _same(ours, plain, name))
        for name in plain
    ]
    table((*columns, Column("")), rows)


def _shown(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _same(ours: dict[str, Any], plain: dict[str, Any], name: str) -> str:
    return "equal" if ours[name] == plain[name] else "DIFFERENT"
