"""Who is measured, and in which configuration: the best that was found on two cores."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

PINS = Path(__file__).parent / "pins"


@dataclass(frozen=True)
class Peer:
    """One task queue: `name` is also its module in `tasks` and its file in `pins`."""

    name: str
    server: str
    command: str
    processes: int
    configuration: str
    results: str
    shown: tuple[str, ...]

    @cached_property
    def pins(self) -> Path:
        """The file that fixes every version of its environment."""
        return PINS / f"{self.name}.txt"

    @property
    def versions(self) -> str:
        """The versions that matter, for the report."""
        pinned = dict(line.split("==") for line in self.pins.read_text().split())
        return ", ".join(f"{package} {pinned[package]}" for package in self.shown)


TASKS = "benchmarks.peers.tasks"

PEERS = (
    Peer(
        name="celery",
        server="redis",
        command=f"celery -A {TASKS}.celery worker --pool prefork --concurrency 2 "
        "--prefetch-multiplier 64 --loglevel WARNING --without-gossip --without-mingle",
        processes=1,
        configuration="prefork, 2 processes, prefetch 64",
        results="not stored",
        shown=("celery", "redis"),
    ),
    Peer(
        name="dramatiq",
        server="redis",
        command=f"dramatiq {TASKS}.dramatiq --processes 2 --threads 8",
        processes=1,
        configuration="2 processes x 8 threads",
        results="not stored",
        shown=("dramatiq", "redis"),
    ),
    Peer(
        name="taskiq",
        server="redis",
        command=f"taskiq worker {TASKS}.taskiq:broker --workers 2 --max-async-tasks 100 "
        "--max-prefetch 100 --log-level WARNING",
        processes=1,
        configuration="list broker (no acknowledgement), 2 processes x 100",
        results="not stored",
        shown=("taskiq", "taskiq-redis", "redis"),
    ),
    Peer(
        name="huey",
        server="redis",
        command=f"huey_consumer {TASKS}.huey.queue -w 10 -k process -q",
        processes=1,
        configuration="10 processes",
        results="stored unless None",
        shown=("huey", "redis"),
    ),
    Peer(
        name="arq",
        server="redis",
        command=f"arq {TASKS}.arq.Worker --custom-log-dict {TASKS}.arq.QUIET",
        processes=2,
        configuration="2 processes x 100",
        results="stored",
        shown=("arq", "redis"),
    ),
    Peer(
        name="saq",
        server="redis",
        command=f"saq {TASKS}.saq.settings --workers 2",
        processes=1,
        configuration="2 processes x 10",
        results="stored",
        shown=("saq", "redis"),
    ),
    Peer(
        name="rq",
        server="redis",
        command="rq worker-pool --num-workers 2 --worker-class rq.SimpleWorker "
        "--logging-level WARNING --url {room}",
        processes=1,
        configuration="2 processes, no fork",
        results="stored",
        shown=("rq", "redis"),
    ),
    Peer(
        name="pgqueuer",
        server="postgres",
        command=f"python -m {TASKS}.pgqueuer",
        processes=2,
        configuration="2 processes, batches of 100",
        results="not stored",
        shown=("pgqueuer", "asyncpg"),
    ),
    Peer(
        name="procrastinate",
        server="postgres",
        command=f"procrastinate --app {TASKS}.procrastinate.app --log-level warning worker "
        "--concurrency 20",
        processes=2,
        configuration="2 processes x 20",
        results="not stored",
        shown=("procrastinate", "psycopg"),
    ),
)
