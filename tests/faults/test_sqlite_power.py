"""Power cuts under the SQLite engine: what was told before the cut is there after it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from headrace.engines.sqlite import SQLiteEngine, database
from headrace.testing import ManualClock
from tests.faults.audit import audit
from tests.faults.disk import Disk
from tests.faults.history import Event
from tests.faults.lengths import lengths
from tests.faults.moments import Moments
from tests.faults.plants import (
    answer_before_the_commit,
    hand_out_lost_tokens_again,
    show_and_never_sync,
)
from tests.faults.power import Cut, Directory, cuts
from tests.faults.promises import broken, drain, look, promises
from tests.faults.workload import PATIENCE, Workload

STEPS = 120
CUTS = 80
"""Power cuts in each run."""


@dataclass
class Verdict:
    """What became of the promises in the images of many cuts."""

    broken: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)


@pytest.fixture(autouse=True)
def _small_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let many checkpoints and restarts of the log fall into a short run."""
    monkeypatch.setattr(database, "CHECKPOINT_PAGES", 25)


def run(path: Path, durability: Literal["power", "crash"], seed: int = 0) -> Moments:
    """Work on a recorded disk, on a database that was made before."""
    clock = ManualClock()
    made = SQLiteEngine(path, clock=clock, ballast=0)
    made.open().wait(PATIENCE)
    made.close().wait(PATIENCE)
    with Disk() as disk:
        moments = Moments(disk.recording)
        engine = SQLiteEngine(path, clock=clock, ballast=0, durability=durability, vfs=disk.name)
        engine.open().wait(PATIENCE)
        disk.settle()
        workload = Workload(engine, moments, seed=seed)
        workload.prepare()
        for _ in range(STEPS):
            workload.step()
            clock.advance(0.01)
        engine.close().wait(PATIENCE)
    return moments


def judge(moments: Moments, count: int, directory: Directory = Directory.ORDERED) -> Verdict:
    """Cut the power many times, and open each image as the next boot would."""
    verdict = Verdict()
    for cut in cuts(moments.recording, seed=count, count=count, directory=directory):
        look_at(cut, moments.until(cut.moment), verdict)
    return verdict


def look_at(cut: Cut, told: Sequence[Event], verdict: Verdict) -> None:
    clock = ManualClock()
    clock.reboot()
    made = promises(told)
    with cut.image() as directory:
        engine = SQLiteEngine(directory / "jobs.db", clock=clock, ballast=0)
        engine.open().wait(PATIENCE)
        verdict.broken += broken(made, look(engine, made))
        verdict.damaged += audit(engine.path)
        verdict.broken += drain(engine, clock, made)
        engine.close().wait(PATIENCE)
        verdict.damaged += audit(engine.path)


@pytest.mark.parametrize("directory", Directory)
@pytest.mark.parametrize("runs", lengths(1, 40))
def test_at_power_nothing_that_was_told_is_lost(
    tmp_path: Path, runs: int, directory: Directory
) -> None:
    for seed in range(runs):
        moments = run(tmp_path / f"{seed}" / "jobs.db", "power", seed)
        assert judge(moments, CUTS, directory) == Verdict()


@pytest.mark.parametrize("runs", lengths(1, 10))
def test_at_crash_the_last_commits_may_be_lost_and_nothing_is_damaged(
    tmp_path: Path, runs: int
) -> None:
    verdict = Verdict()
    for seed in range(runs):
        moments = run(tmp_path / f"{seed}" / "jobs.db", "crash", seed)
        found = judge(moments, CUTS)
        verdict.broken += found.broken
        verdict.damaged += found.damaged
    assert any("are lost" in violation for violation in verdict.broken)
    assert verdict.damaged == []


def test_control_an_answer_before_the_commit_is_found(tmp_path: Path) -> None:
    with answer_before_the_commit():
        moments = run(tmp_path / "jobs.db", "power")
    assert judge(moments, 40).broken


def test_control_a_sync_that_is_left_out_is_found(tmp_path: Path) -> None:
    with show_and_never_sync():
        moments = run(tmp_path / "jobs.db", "power")
    assert any("are lost" in violation for violation in judge(moments, CUTS).broken)


def test_control_a_token_that_is_handed_out_twice_is_found(tmp_path: Path) -> None:
    moments = run(tmp_path / "jobs.db", "power")
    with hand_out_lost_tokens_again():
        assert any("was given to" in violation for violation in judge(moments, CUTS).broken)
