"""Wake-ups between processes, and what happens when there are none."""

from __future__ import annotations

import errno
import logging
import os
import resource
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from headrace.engine import Topic
from headrace.engines.sqlite import SQLiteEngine
from headrace.engines.sqlite import hints as module
from headrace.engines.sqlite.hints import Hints
from headrace.testing.steps import PATIENCE, depth, labels, send
from tests.unit.engines.sqlite.programs import finish, run, start
from tests.unit.waiting import until

LONG = 30.0
"""Seconds between looks that no test waits for: what arrives earlier was hinted at."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db-hints"


@pytest.fixture
def pair(folder: Path) -> Iterator[tuple[Hints, Hints]]:
    """Give two that are open on one folder, as in two processes."""
    both = (Hints(folder), Hints(folder))
    for name, hints in zip("ab", both, strict=True):
        hints.open(name)
    yield both
    for hints in both:
        hints.close()


def heard(hints: Hints, topic: Topic = "ready") -> threading.Event:
    event = threading.Event()
    hints.watch(topic, event.set)
    return event


def test_a_hint_reaches_everybody_who_watches_its_topic(pair: tuple[Hints, Hints]) -> None:
    a, b = pair
    mine, theirs, other = heard(a), heard(b), heard(b, "stored")
    a.give(["ready"])
    assert mine.is_set()
    until(theirs.is_set, "the hint")
    assert not other.is_set()
    b.give(["stored", "finished"])
    assert other.is_set()


def test_who_comes_is_heard_of_at_once(pair: tuple[Hints, Hints]) -> None:
    a, b = pair
    heard(a)
    a.give(["ready"])  # a has just looked who is there
    theirs = heard(b)
    until(lambda: a._listed_at < 0, "the news")
    a.give(["ready"])
    until(theirs.is_set, "the hint")


def test_to_come_is_no_hint(pair: tuple[Hints, Hints]) -> None:
    a, b = pair
    mine = heard(a)
    heard(a, "finished")
    heard(b)
    heard(b, "stored")
    until(lambda: a._listed_at < 0, "the news")
    assert not mine.is_set()


def test_pipes_are_for_their_user_alone(pair: tuple[Hints, Hints], folder: Path) -> None:
    heard(pair[0])
    assert folder.stat().st_mode & 0o777 == 0o700
    (pipe,) = folder.iterdir()
    assert pipe.stat().st_mode & 0o777 == 0o600


def test_what_is_no_pipe_is_left_alone(pair: tuple[Hints, Hints], folder: Path) -> None:
    a, b = pair
    theirs = heard(b)
    precious = folder.with_name("precious")
    for file in (precious, folder / "ready.file"):
        file.write_text("text")
    (folder / "ready.link").symlink_to(precious)
    until(lambda: {"ready.file", "ready.link"} <= set(a._listing()), "the names to be seen")
    a.give(["ready"])
    until(theirs.is_set, "the hint")
    assert precious.read_text() == (folder / "ready.file").read_text() == "text"


@pytest.mark.parametrize("whose", ["anybody's", "another's", "a link"])
def test_a_folder_that_is_not_ours_alone_is_not_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch, whose: str
) -> None:
    real = folder.with_name("real")
    real.mkdir(mode=0o700)
    if whose == "a link":
        folder.symlink_to(real)
    else:
        real.rename(folder)
    if whose == "anybody's":
        folder.chmod(0o777)
    if whose == "another's":
        monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
    os.mkfifo(folder / "ready.theirs")
    reader = os.open(folder / "ready.theirs", os.O_RDWR | os.O_NONBLOCK)
    hints = Hints(folder)
    event = heard(hints)
    hints.open("a")
    hints.give(["ready"])
    assert event.is_set()
    assert [pipe.name for pipe in folder.iterdir()] == ["ready.theirs"]
    with pytest.raises(BlockingIOError):
        os.read(reader, 1)
    os.close(reader)
    hints.close()


def test_nothing_is_left_when_all_have_gone(folder: Path) -> None:
    first, second = Hints(folder), Hints(folder)
    for name, hints in (("a", first), ("b", second)):
        hints.open(name)
        heard(hints)
        heard(hints, "finished")
    first.close()
    first.close()
    assert len(list(folder.iterdir())) == 2
    second.close()
    assert not folder.exists()


def test_watchers_outlive_a_close(folder: Path) -> None:
    hints = Hints(folder)
    event = heard(hints)
    for name in ("a", "b"):
        hints.open(name)
        event.clear()
        other = Hints(folder)
        other.open("other")
        other.give(["ready"])
        until(event.is_set, "the hint")
        other.close()
        hints.close()


def test_pipes_that_nobody_reads_are_removed(pair: tuple[Hints, Hints], folder: Path) -> None:
    folder.mkdir(0o700, exist_ok=True)
    for name in ("ready.dead", "cancel.dead", "new.ready.dead"):
        os.mkfifo(folder / name)
    heard(pair[0])
    assert [pipe.name for pipe in folder.iterdir()] == ["ready.a"]
    os.mkfifo(folder / "ready.dead")
    pair[0]._listed_at = -1.0
    pair[0].give(["ready"])
    assert [pipe.name for pipe in folder.iterdir()] == ["ready.a"]


def test_a_pipe_that_cannot_be_removed_is_no_accident(
    pair: tuple[Hints, Hints], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = heard(pair[1])
    os.mkfifo(folder / "ready.dead")

    def unlink(path: Path, *, missing_ok: bool) -> NoReturn:
        assert (path.name, missing_ok) == ("ready.dead", True)
        tried.set()
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    with monkeypatch.context() as patch:
        tried = threading.Event()
        patch.setattr(Path, "unlink", unlink)
        until(lambda: "ready.dead" in pair[0]._listing(), "the name to be seen")
        pair[0].give(["ready"])
        assert tried.is_set()
    until(theirs.is_set, "the hint")


def test_a_process_without_descriptors_removes_nobody(
    pair: tuple[Hints, Hints], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = pair
    event = heard(b)

    def no_descriptor(*_: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", no_descriptor)
        a.give(["ready"])
    assert [pipe.name for pipe in folder.iterdir()] == ["ready.b"]
    a.give(["ready"])
    until(event.is_set, "the hint")


def test_a_full_pipe_is_hint_enough(pair: tuple[Hints, Hints]) -> None:
    a, b = pair
    going_on = threading.Event()
    count = [0]

    def slow() -> None:
        count[0] += 1
        going_on.wait(PATIENCE)

    b.watch("ready", slow)
    for _ in range(70_000):  # more than a pipe holds
        a.give(["ready"])
    going_on.set()
    until(lambda: count[0] > 1, "the hints that waited")


def test_a_descriptor_beyond_a_thousand_is_listened_to(folder: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 1200:
        pytest.skip("needs the right to open 1200 files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1200), hard))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    hints, other = Hints(folder), Hints(folder)
    try:
        hints.open("a")
        event = heard(hints)
        other.give(["ready"])
        until(event.is_set, "the hint")
    finally:
        hints.close()
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_folder_that_others_remove_meanwhile_is_made_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mkfifo = os.mkfifo
    attempts: list[object] = []

    def late(path: Path, mode: int) -> None:
        attempts.append(path)
        if len(attempts) < 3:
            folder.rmdir()
        mkfifo(path, mode)

    monkeypatch.setattr(os, "mkfifo", late)
    hints = Hints(folder)
    hints.open("a")
    heard(hints)
    assert [pipe.name for pipe in folder.iterdir()] == ["ready.a"]
    hints.close()


@pytest.mark.parametrize("obstacle", ["a file", "no pipes", "no descriptors"])
def test_where_pipes_cannot_be_made_watchers_here_are_still_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, obstacle: str
) -> None:
    if obstacle == "a file":
        folder.write_text("in the way")
    elif obstacle == "no pipes":
        monkeypatch.delattr(os, "mkfifo")
    else:
        monkeypatch.setattr(module, "_MAKE_ATTEMPTS", 0)
    hints = Hints(folder)
    hints.open("a")
    event = heard(hints)
    hints.give(["ready"])
    assert event.is_set()
    hints.close()


def test_a_watcher_that_fails_is_logged(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    hints = Hints(folder)

    def fail() -> None:
        raise LookupError("on purpose")

    hints.watch("ready", fail)
    event = heard(hints)
    with caplog.at_level(logging.ERROR):
        hints.give(["ready"])
    assert event.is_set()
    assert "a watcher of 'ready' failed" in caplog.text


WAIT_FOR_JOB = """
engine = opened(sys.argv[1], poll=float(sys.argv[2]))
parked = engine.lease(["default"], limit=1, seconds=30, holder="w", wait=40)
until(lambda: engine._session.writer._parked, "the request to be parked")
print("waiting", flush=True)
print(*labels(parked.wait(40)), flush=True)
"""


def test_a_job_wakes_another_process_long_before_it_looks_by_itself(path: Path) -> None:
    engine = SQLiteEngine(path, ballast=0)
    engine.open().wait(PATIENCE)
    send(engine, "first", queue="other")
    other = start(WAIT_FOR_JOB, path, LONG)
    assert other.stdout is not None
    assert other.stdout.readline() == "waiting\n"
    send(engine, "a")
    assert other.stdout.readline() == "a\n"
    finish(other)
    engine.close().wait(PATIENCE)


@pytest.mark.parametrize("obstacle", ["removed", "not writable"])
def test_without_pipes_another_process_finds_the_job_by_looking(path: Path, obstacle: str) -> None:
    engine = SQLiteEngine(path, ballast=0)
    engine.open().wait(PATIENCE)
    folder = path.with_name("jobs.db-hints")
    if obstacle == "not writable":
        folder.chmod(0o500)
    other = start(WAIT_FOR_JOB, path, 0.05, rights=False)
    assert other.stdout is not None
    assert other.stdout.readline() == "waiting\n"
    if obstacle == "removed":
        for pipe in folder.iterdir():
            pipe.unlink()
        folder.rmdir()
    send(engine, "a")
    assert other.stdout.readline() == "a\n"
    finish(other)
    folder.mkdir(0o700, exist_ok=True)
    folder.chmod(0o700)
    engine.close().wait(PATIENCE)


def test_the_pipes_of_a_killed_process_are_cleaned_up(path: Path) -> None:
    engine = SQLiteEngine(path, ballast=0)
    engine.open().wait(PATIENCE)
    folder = path.with_name("jobs.db-hints")
    own = {pipe.name for pipe in folder.iterdir()}
    other = start(WAIT_FOR_JOB, path, LONG)
    assert other.stdout is not None
    other.stdout.readline()
    assert len(list(folder.iterdir())) == len(own) + 1
    other.kill()
    other.communicate()
    send(engine, "a", queue="elsewhere")
    until(lambda: {pipe.name for pipe in folder.iterdir()} == own, "the pipe to go")
    engine.close().wait(PATIENCE)


def test_a_process_that_ends_without_closing_leaves_no_pipe(path: Path) -> None:
    run("engine = opened(sys.argv[1]); send(engine, 'a')", path)
    assert not path.with_name("jobs.db-hints").exists()
    engine = SQLiteEngine(path, ballast=0)
    engine.open().wait(PATIENCE)
    assert depth(engine).depth == 1
    assert labels(engine.lease(["default"], limit=1, seconds=1, holder="w").wait(5)) == ["a"]
    engine.close().wait(PATIENCE)
