"""A child can be spoken to, killed with all it started, and tells how it ended."""

import os
import signal
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from headrace.child import Channel, Child, ChildDied
from headrace.errors import Unsupported
from tests.unit.waiting import until

Spawn = Callable[[str], Child]


@pytest.fixture
def spawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Spawn]:
    """Spawn children that run a piece of code, with `channel` in it."""
    before = set(psutil.Process().children(recursive=True))  # a server of other tests, perhaps
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    children: list[Child] = []

    def start(code: str) -> Child:
        (tmp_path / "piece.py").write_text(
            "import os, signal, subprocess, sys, time\n"
            "from headrace.child import Channel\n"
            f"channel = Channel.of_parent()\n{code}\n"
        )
        children.append(Child("piece"))
        return children[-1]

    yield start
    for child in children:
        child.close()
    assert set(psutil.Process().children(recursive=True)) <= before


@pytest.fixture
def pair() -> Iterator[tuple[Channel, Channel]]:
    channels = tuple(map(Channel, socket.socketpair()))
    yield channels[0], channels[1]
    for channel in channels:
        channel.close()


def test_messages_arrive_whole_and_in_order(pair: tuple[Channel, Channel]) -> None:
    near, far = pair
    sent = [b"", b"short", b"x" * 3_000_000]
    sender = threading.Thread(target=lambda: deque(map(near.send, sent)))
    sender.start()
    assert [far.receive() for _ in sent] == sent
    sender.join()


def test_the_end_of_a_channel_is_noticed(pair: tuple[Channel, Channel]) -> None:
    near, far = pair
    near.close()
    assert far.receive() is None


def test_a_closed_channel_gives_nothing(pair: tuple[Channel, Channel]) -> None:
    near, _ = pair
    near.close()
    assert near.receive() is None
    with pytest.raises(OSError, match="descriptor"):
        near.send(b"too late")


def test_half_a_message_is_none(pair: tuple[Channel, Channel]) -> None:
    near, far = pair
    near._connection.sendall(b"\0\0\0\5ab")
    near.close()
    assert far.receive() is None


def test_a_child_answers(spawn: Spawn) -> None:
    child = spawn("channel.send(channel.receive().upper())")
    child.channel.send(b"hello")
    assert child.channel.receive() == b"HELLO"
    assert child.channel.receive() is None
    assert child.wait(30) == 0


def test_a_childs_own_input_is_empty_and_its_output_is_not_the_channel(
    spawn: Spawn, capfd: pytest.CaptureFixture[str]
) -> None:
    child = spawn("print('to everybody', flush=True); channel.send(sys.stdin.buffer.read())")
    assert child.channel.receive() == b""
    assert child.wait(30) == 0
    assert "to everybody" in capfd.readouterr().out


def test_a_child_notices_when_its_parent_is_gone(spawn: Spawn) -> None:
    child = spawn("sys.exit(5 if channel.receive() is None else 0)")
    child.channel.close()
    assert child.wait(30) == 5


@pytest.mark.parametrize(
    ("code", "end"),
    [
        ("os._exit(3)", "exit code 3"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "killed by SIGKILL"),
        (f"os.kill(os.getpid(), {signal.SIGRTMIN + 3})", f"killed by signal {signal.SIGRTMIN + 3}"),
    ],
)
def test_a_child_tells_how_it_ended(spawn: Spawn, code: str, end: str) -> None:
    child = spawn(f"print('last words', file=sys.stderr, flush=True)\n{code}")
    assert child.channel.receive() is None
    evidence = child.evidence()
    assert isinstance(evidence, ChildDied)
    assert (evidence.end, evidence.logs) == (end, ("last words",))


def test_only_the_last_lines_are_kept(spawn: Spawn) -> None:
    child = spawn("for n in range(1000): print('line', n, file=sys.stderr)")
    assert child.channel.receive() is None
    assert child.evidence().logs == tuple(f"line {n}" for n in range(950, 1000))


def test_killing_a_child_kills_what_it_has_started(spawn: Spawn) -> None:
    child = spawn(
        "started = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(3600)'])\n"
        "channel.send(str(started.pid).encode())\n"
        "time.sleep(3600)"
    )
    pid = int(child.channel.receive() or b"0")
    child.kill()
    assert child.wait(30) == -signal.SIGKILL
    until(lambda: not psutil.pid_exists(pid) or _is_zombie(pid), "the grandchild to end")
    child.kill()  # once more: it is gone, and nobody else is hit


def _is_zombie(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_waiting_for_a_child_gives_up_in_time(spawn: Spawn) -> None:
    child = spawn("channel.receive()")
    assert child.wait(0) is None
    child.channel.send(b"end")
    assert child.wait(30) == 0


def test_it_says_so_where_children_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "AF_UNIX")
    with pytest.raises(Unsupported, match="POSIX"):
        Child("piece")


def test_no_descriptor_is_left(spawn: Spawn) -> None:
    before = psutil.Process(os.getpid()).num_fds()
    for _ in range(3):
        child = spawn("pass")
        child.close()
    assert psutil.Process(os.getpid()).num_fds() <= before
