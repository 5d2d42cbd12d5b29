"""What a measurement is, and how it is printed."""

from __future__ import annotations

import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import apsw
from rich.console import Console
from rich.table import Table
from rich.text import Text

FILE_WIDTH = 160


class NotMeasuredError(Exception):
    """The figure cannot be taken here; the message says why."""


@dataclass(frozen=True)
class Rates:
    """Jobs per second of several repetitions of one measurement."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The repetition in the middle, which one disturbed repetition does not move."""
        return statistics.median(self.values)

    def __str__(self) -> str:
        """Say the median, and the spread where there is one."""
        if len(self.values) == 1:
            return f"{self.median:,.0f}/s"
        return f"{self.median:,.0f}/s ({min(self.values):,.0f}-{max(self.values):,.0f})"


@dataclass(frozen=True)
class Figure:
    """One line of the report.

    `met` is None where there is no target, or where the figure could not be taken: then
    `missing` says why.
    """

    what: str
    measured: str = ""
    target: str = ""
    ratio: str = ""
    durability: str = ""
    met: bool | None = None
    missing: str = ""

    def verdict(self) -> Text:
        """Return the last column: ok, MISSED, NOT MEASURED or nothing."""
        if self.missing:
            return Text("NOT MEASURED", style="bold red")
        if self.met is None:
            return Text("")
        return Text("ok", style="green") if self.met else Text("MISSED", style="bold red")


def percentile(values: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile: `share` 0.99 of 200 values is the 198th."""
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered) - 1, round(share * len(ordered)) - 1))]


def sync_seconds(folder: Path, times: int = 200) -> float:
    """Return the median time of writing and syncing 4 KiB in `folder`: it rules durable rates."""
    taken = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(times):
            file.write(bytes(4096))
            file.flush()
            start = time.perf_counter()
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def machine(folder: Path) -> str:
    """Describe what the figures depend on; `folder` is where the database files are made."""
    return (
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {platform.system()} "
        f"{platform.machine()}, Python {platform.python_version()}, "
        f"SQLite {apsw.sqlite_lib_version()}, sync of 4 KiB in {folder}: "
        f"{sync_seconds(folder) * 1e3:.3f} ms"
    )


def console() -> Console:
    """Return where the report goes: wide enough for its tables where that is no terminal."""
    return Console(width=None if sys.stdout.isatty() else FILE_WIDTH)


def show(output: Console, title: str, figures: Iterable[Figure]) -> None:
    """Print one table of figures."""
    table = Table(title=title, title_justify="left", title_style="bold")
    for heading in ("what", "target", "measured", "ratio", "durability", ""):
        table.add_column(heading, overflow="fold")
    for figure in figures:
        table.add_row(
            figure.what,
            figure.target,
            figure.missing or figure.measured,
            figure.ratio,
            figure.durability,
            figure.verdict(),
        )
    output.print(table)
