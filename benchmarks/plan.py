"""How much is measured."""

from __future__ import annotations

from dataclasses import dataclass

SHORT_SECONDS = 0.01
LONG_SECONDS = 5.0


@dataclass(frozen=True)
class Plan:
    """The size of every measurement; `QUICK` shows in seconds that all of them work."""

    jobs: int = 20_000
    naps: int = 5_000
    big_file: int = 1_000_000
    samples: int = 300
    repetitions: int = 3
    idle_seconds: float = 5.0
    sockets: int = 10_000
    load_seconds: float = 4.0
    snapshot_seconds: float = 60.0


FULL = Plan()
QUICK = Plan(
    jobs=4_000,
    naps=1_000,
    big_file=20_000,
    samples=50,
    repetitions=1,
    idle_seconds=1.0,
    sockets=500,
    load_seconds=1.0,
    snapshot_seconds=4.0,
)
