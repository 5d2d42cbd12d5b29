"""Ours, the raw ceiling and other task queues, on one workload in one run."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from tempfile import gettempdir

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks import drain, raw_redis, raw_sqlite, report
from benchmarks.ours import URL
from benchmarks.peers.contest import Contest, Score
from benchmarks.peers.roster import PEERS
from benchmarks.report import Figure, NotMeasuredError, Rates

TIMES_REDIS = 5
TIMES_ANY = 3


@click.command()
@click.argument("names", nargs=-1, type=click.Choice([peer.name for peer in PEERS]))
@click.option("--jobs", default=20_000, show_default=True, help="Jobs in each full queue.")
@click.option("--reps", default=3, show_default=True, help="Rounds; the table has the median.")
def main(names: tuple[str, ...], jobs: int, reps: int) -> None:
    """Measure Headrace beside other task queues: all, or those named.

    Each round fills a queue with jobs that only note the time, then starts the workers. Servers
    are those of HEADRACE_BENCH_REDIS and HEADRACE_BENCH_POSTGRES, else of the standard local
    ports, else started here for the run.
    """
    console = report.console()
    console.print(report.machine(Path(gettempdir())))
    scores = [Score(peer) for peer in PEERS if peer.name in names or not names]
    ours: dict[str, list[drain.Round]] = {kind: [] for kind in drain.KINDS}
    ceiling = raw_sqlite.measure(jobs, max(reps, 5))
    with ExitStack() as stack, console.status("") as status:
        contest = Contest(jobs, stack)
        for number in range(1, reps + 1):
            for kind, rounds in ours.items():
                status.update(f"round {number} of {reps}: Headrace, {kind}")
                rounds.append(own_round(kind, jobs))
            for score in scores:
                status.update(f"round {number} of {reps}: {score.peer.name}")
                contest.round(score)
    show(console, ceiling, ours, scores)


def own_round(kind: str, jobs: int) -> drain.Round:
    """Fill and drain ours: without it there is nothing to compare, so a failure ends the run."""
    try:
        return drain.fill_and_drain(kind, jobs)
    except NotMeasuredError as error:
        raise click.ClickException(f"Headrace, {kind}: {error}") from error


def show(
    console: Console,
    ceiling: raw_sqlite.Ceiling,
    ours: dict[str, list[drain.Round]],
    scores: list[Score],
) -> None:
    """Print the table of contenders and the verdict on our two targets."""
    table = Table(title="Full queue, then workers", title_justify="left", title_style="bold")
    for heading in ("", "configuration", "submitted", "run", "ours is", "durability", "results"):
        table.add_column(heading, overflow="fold")
    table.add_row(
        "raw ceiling", "1 process", str(ceiling.send), str(ceiling.process), "", "synced", "stored"
    )
    drained = {kind: Rates(tuple(r.drained for r in rounds)) for kind, rounds in ours.items()}
    for kind, rounds in ours.items():
        filled = Rates(tuple(r.filled for r in rounds))
        settings = f"{kind}, 1 process"
        rates = (str(filled), str(drained[kind]))
        table.add_row("Headrace", settings, *rates, "", our_durability(), "stored")
    slower = min(rates.median for rates in drained.values())
    for score in scores:
        table.add_row(*row(score, slower))
    console.print(table)
    report.show(console, "Targets", targets(scores, slower))


def our_durability() -> str:
    """Say what ours gives: a file syncs each commit, a server does as it is set."""
    url = os.environ.get(URL)
    return f"Redis, {raw_redis.durability(url)}" if url else "synced"


def row(score: Score, ours: float) -> list[str | Text]:
    """Return the table row of one peer; a missing one says why."""
    name = f"{score.peer.name}\n{score.peer.versions}"
    if score.missing:
        return [name, score.peer.configuration, Text(f"NOT MEASURED: {score.missing}", "bold red")]
    return [
        name,
        score.peer.configuration,
        str(score.filled),
        str(score.drained),
        f"x {ours / score.drained.median:.1f}",
        f"{score.server}, {score.durability}",
        score.peer.results,
    ]


def targets(scores: list[Score], ours: float) -> list[Figure]:
    """Compare our slower drain with the fastest peer over Redis, and the fastest of all."""
    groups = (
        (
            "the fastest peer over Redis",
            TIMES_REDIS,
            [s for s in scores if s.peer.server == "redis"],
        ),
        ("the fastest peer", TIMES_ANY, scores),
    )
    return [beside(what, times, group, ours) for what, times, group in groups]


def beside(what: str, times: int, scores: list[Score], ours: float) -> Figure:
    """Return the figure of one target: so many times the fastest of these peers."""
    measured = [score for score in scores if score.drains and not score.missing]
    target = f">= {times} x {what}"
    if not measured:
        return Figure("drain", target=target, missing="none of them was measured")
    fastest = max(measured, key=lambda score: score.drained.median)
    ratio = ours / fastest.drained.median
    return Figure(
        what=f"drain, beside {fastest.peer.name}",
        measured=f"{ours:,.0f}/s beside {fastest.drained.median:,.0f}/s",
        target=target,
        ratio=f"{ratio:.1f}",
        durability=f"ours {our_durability()}; theirs {fastest.durability}",
        met=ratio >= times,
    )


if __name__ == "__main__":
    main()
