"""A history keeps every event of every process, whatever happens to them."""

import os
import sys
from contextlib import nullcontext
from pathlib import Path

import msgspec
import pytest

from tests.faults.history import History, Type, read
from tests.faults.processes import Processes

WRITER = """
import sys
from contextlib import nullcontext
from pathlib import Path
from tests.faults.history import History, Type
with History(Path(sys.argv[1])) as history:
    for number in range(int(sys.argv[2])):
        history.record(Type.OK, "count", [number, "x" * (number % 700)])
"""


def test_events_come_back_in_order_with_their_process(tmp_path: Path) -> None:
    with History(tmp_path / "history") as history:
        history.record(Type.INVOKE, "submit", 1)
        history.record(Type.OK, "submit", 1)
    first, second = read(tmp_path / "history")
    assert (first.type, first.f, first.value, first.process) == ("invoke", "submit", 1, os.getpid())
    assert second.type is Type.OK
    assert first.time <= second.time


@pytest.mark.parametrize(
    ("error", "ending"), [(None, Type.OK), (KeyError, Type.FAIL), (ValueError, Type.INFO)]
)
def test_an_operation_ends_ok_or_refused_or_unknown(
    tmp_path: Path, error: type[Exception] | None, ending: Type
) -> None:
    def operation() -> None:
        with history.operation("submit", 1, refused=(KeyError,)):
            if error:
                raise error

    expected = pytest.raises(error) if error else nullcontext()
    with History(tmp_path / "history") as history, expected:
        operation()
    assert [event.type for event in read(tmp_path / "history")] == [Type.INVOKE, ending]


def test_processes_append_to_one_history_without_tearing_it(tmp_path: Path) -> None:
    path = tmp_path / "history"
    with Processes(tmp_path) as processes:
        writers = [
            processes.start(sys.executable, "-c", WRITER, str(path), "500") for _ in range(3)
        ]
        assert [writer.wait() for writer in writers] == [0, 0, 0]
    for writer in writers:
        seen = [event.value[0] for event in read(path) if event.process == writer.pid]
        assert seen == list(range(500))


def test_a_killed_writer_leaves_a_readable_history(tmp_path: Path) -> None:
    path = tmp_path / "history"
    with Processes(tmp_path) as processes:
        writer = processes.start(sys.executable, "-c", WRITER, str(path), "1000000000")
        while not path.exists() or path.stat().st_size < 10_000:
            assert writer.running
        processes.kill(writer.pid)
        writer.wait()
    numbers = [event.value[0] for event in read(path)]
    assert numbers == list(range(len(numbers)))


def test_a_torn_line_is_left_out_and_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "history"
    with History(path) as history:
        history.record(Type.OK, "a", {"nested": 1})
        whole = path.read_bytes()
        for size in range(1, len(whole)):
            path.write_bytes(whole[:size])
            history.record(Type.OK, "b")
            assert [event.f for event in read(path)] == ["b"]


def test_a_whole_line_that_is_no_event_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "history"
    path.write_bytes(b'\n{"time": "noon"}')
    with pytest.raises(msgspec.ValidationError):
        read(path)
