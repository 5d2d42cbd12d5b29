"""Bench: `headrace bench`: what this machine and disk give, beside what SQLite itself gives."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import click

from headrace.app import App
from headrace.cli.exits import Exit
from headrace.cli.output import Column, document, progress, table
from headrace.cli.storage import check_shared, database, url_of
from headrace.clock import SystemClock
from headrace.config import Config, load
from headrace.engines.sqlite.ceiling import Ceiling
from headrace.errors import ConfigError
from headrace.ids import Ids
from headrace.node import Node
from headrace.task import Call

_JOBS = 10_000
_BATCH = 500
_SECONDS = 8.0
_LOOK_SECONDS = 0.001
_POLL_SECONDS = 0.1
_SWITCH_SECONDS = 0.0005

Rates = dict[str, list[float]]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def bench(*, as_json: bool) -> Exit:
    """Measure this machine for ten seconds, beside the raw ceiling.

    It works in a temporary folder beside the database that the settings name, so that the figures
    are those of its disk.
    """
    config = load({})
    check_shared(config)
    with _place(config) as folder, _quick_switches():
        rates = _measure(folder, config)
        file_system = _file_system(folder, config)
    figures = {name: statistics.median(values) for name, values in rates.items()}
    if as_json:
        document(_as_json(figures, rates, config, file_system))
        return Exit.OK
    rows = [
        _row(f"submit, {_BATCH} jobs a commit", figures["submit"], figures["raw submit"]),
        _row("run no-op jobs, results stored", figures["drain"], figures["raw drain"]),
    ]
    heads = (Column("jobs/s", right=True), Column("raw SQLite", right=True))
    table((Column("one process"), *heads, Column("ratio", right=True)), rows)
    rounds = len(rates["drain"])
    click.echo(
        f"durability={config.durability} on {file_system}; medians of {rounds} rounds of {_JOBS:,}"
    )
    return Exit.OK


def _row(what: str, ours: float, raw: float) -> tuple[str, ...]:
    return what, f"{ours:,.0f}", f"{raw:,.0f}", f"{ours / raw:.2f}"


@contextmanager
def _place(config: Config) -> Iterator[Path]:
    file = database(config.url)
    beside = (file or Path("headrace.db")).absolute().parent
    try:
        with tempfile.TemporaryDirectory(prefix=".headrace-bench-", dir=beside) as folder:
            yield Path(folder)
    except FileNotFoundError:
        raise ConfigError(f"there is no folder {beside} to measure in; see --url") from None


@contextmanager
def _quick_switches() -> Iterator[None]:
    """Hand the interpreter from thread to thread as quickly as worker processes do."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _measure(folder: Path, config: Config) -> Rates:
    """Take rounds until the time is up; each is of new files."""
    clock, rates = SystemClock(), defaultdict[str, list[float]](list)
    until = clock.monotonic() + _SECONDS
    with progress("measuring", None) as step:
        while not rates or clock.monotonic() < until:
            with tempfile.TemporaryDirectory(dir=folder) as new:
                _raw(Path(new, "raw.db"), config, rates)
                _ours(Path(new, "ours.db"), rates)
            step(1)
    return rates


def _raw(file: Path, config: Config, rates: Rates) -> None:
    clock = SystemClock()
    ids = b"".join(UUID(job_id).bytes for job_id in Ids().job_ids(_JOBS))
    bodies = [{"n": n} for n in range(_JOBS)]
    ceiling = Ceiling(file, _BATCH, config.durability)
    began = clock.monotonic()
    ceiling.send(ids, bodies, clock.now())
    sent = clock.monotonic()
    ceiling.drain(clock.now())
    rates["raw submit"].append(_JOBS / (sent - began))
    rates["raw drain"].append(_JOBS / (clock.monotonic() - sent))
    ceiling.close()


def _ours(file: Path, rates: Rates) -> None:
    clock = SystemClock()
    # A worker that has nothing to do stops only after one look for jobs: short looks, quick rounds.
    with App(url_of(file), poll=_POLL_SECONDS) as app:

        @app.task
        def noop(n: int) -> int:
            return n

        began = clock.monotonic()
        for start in range(0, _JOBS, _BATCH):
            batch: list[Call[int]] = [noop.call(n) for n in range(start, start + _BATCH)]
            app.submit(batch)
        sent = clock.monotonic()
        rates["submit"].append(_JOBS / (sent - began))
        rates["drain"].append(_JOBS / _drain(app))


def _drain(app: App) -> float:
    """Return the seconds that a worker takes for all jobs, its start included."""
    began = app.clock.monotonic()
    node = Node(app)
    node.start()
    try:
        while node.worker is not None and node.worker.settled < _JOBS:
            time.sleep(_LOOK_SECONDS)
        return app.clock.monotonic() - began
    finally:
        node.stop()


def _file_system(folder: Path, config: Config) -> str:
    with App(url_of(folder / "last.db")) as app:
        settings = app.engine.inspect().wait(config.deadline).settings
    return settings.get("file system", "unknown")


def _as_json(
    figures: dict[str, float], rates: Rates, config: Config, file_system: str
) -> dict[str, Any]:
    return {
        "jobs": _JOBS,
        "rounds": len(rates["drain"]),
        "durability": config.durability,
        "file_system": file_system,
        "jobs_per_second": {name.replace(" ", "_"): rate for name, rate in figures.items()},
    }
