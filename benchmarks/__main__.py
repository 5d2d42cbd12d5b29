"""Print this machine's figures beside the raw ceiling."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import gettempdir

import click

from benchmarks import (
    big_file,
    drain,
    footprint,
    latency,
    ours,
    over_http,
    plan,
    postgresql,
    raw_redis,
    raw_sqlite,
    report,
    sleepers,
    snapshot,
    submit,
    waiting,
)
from benchmarks.raw_sqlite import Ceiling
from benchmarks.report import Figure

GROUPS: dict[str, Callable[[plan.Plan, Ceiling], Iterator[Figure]]] = {
    "submit": submit.measure,
    "drain": drain.measure,
    "latency": latency.measure,
    "sleepers": sleepers.measure,
    "big-file": big_file.measure,
    "footprint": footprint.measure,
    "postgresql": postgresql.measure,
    "waiting": waiting.measure,
    "http": over_http.measure,
    "snapshot": snapshot.measure,
}
RAW_REPETITIONS = 9
REDIS_GROUPS = ("submit", "drain", "latency")


@click.command()
@click.argument("groups", nargs=-1, type=click.Choice(list(GROUPS)))
@click.option("--url", default="", help="A Redis server to measure instead of new files.")
@click.option("--quick", is_flag=True, help="Small sizes: shows that it works, not how fast.")
def main(groups: tuple[str, ...], *, url: str, quick: bool) -> None:
    """Measure the raw ceiling, then Headrace: everything, or the groups named.

    A missed target is printed, and fails nothing: figures depend on the machine.
    """
    console = report.console()
    console.print(report.machine(Path(gettempdir())))
    chosen = plan.QUICK if quick else plan.FULL
    with console.status("raw ceiling"):
        ceiling, durability = ceiling_of(url, chosen)
    figures = [
        Figure("raw ceiling: send", measured=str(ceiling.send), durability=durability),
        Figure(
            "raw ceiling: process (claim, run, settle)",
            measured=str(ceiling.process),
            durability=durability,
        ),
    ]
    for name in groups or (REDIS_GROUPS if url else GROUPS):
        with console.status(name):
            group = taken(name, chosen, ceiling)
        figures += [replace(f, durability=durability) for f in group] if url else group
    report.show(console, "Headrace", figures)


def ceiling_of(url: str, chosen: plan.Plan) -> tuple[Ceiling, str]:
    """Return the raw ceiling of a new file, or of the server that is measured, and its name."""
    if not url:
        return raw_sqlite.measure(chosen.jobs, RAW_REPETITIONS), "power"
    os.environ[ours.URL] = url
    return raw_redis.measure(url, chosen.jobs, RAW_REPETITIONS), raw_redis.durability(url)


def taken(name: str, chosen: plan.Plan, ceiling: Ceiling) -> list[Figure]:
    """Return a group's figures; one that cannot be taken says why, in its place."""
    figures: list[Figure] = []
    try:
        figures.extend(GROUPS[name](chosen, ceiling))
    except report.NotMeasuredError as error:
        figures.append(Figure(name, missing=str(error)))
    return figures


if __name__ == "__main__":
    main()
