"""Child: a spawned Python process of ours, with a channel to it.

The channel is a socket pair whose far end is the child's standard input: it works both ways, needs
no name or port, and tells each side at once when the other is gone. Standard output stays the
user's; standard error is passed on, and its last lines are kept as evidence.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence

from headrace import signals
from headrace.errors import Unsupported

EVIDENCE_LINES = 50
_LENGTH = struct.Struct(">I")


class ChildDied(Exception):
    """A child ended without being asked to.

    Attributes:
        end: how, such as "killed by SIGKILL" or "exit code 3".
        logs: the last lines of its standard error.
    """

    def __init__(self, end: str, logs: tuple[str, ...] = ()) -> None:
        super().__init__(end)
        self.end = end
        self.logs = logs


class Channel:
    """Sends and receives whole messages of bytes; sending is safe from many threads.

    Args:
        connection: a connected stream socket, which the channel owns from now on.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._input = connection.makefile("rb")
        self._sending = threading.Lock()

    @classmethod
    def of_parent(cls) -> Channel:
        """Return, in a child, the channel to its parent; standard input is empty from then on."""
        connection = socket.fromfd(sys.stdin.fileno(), socket.AF_UNIX, socket.SOCK_STREAM)
        # What the user's code starts must neither hold the channel nor read from it.
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, sys.stdin.fileno())
        os.close(nothing)
        return cls(connection)

    def send(self, message: bytes) -> None:
        """Send a message.

        Raises:
            OSError: the other side is gone.
        """
        with self._sending:
            self._connection.sendall(_LENGTH.pack(len(message)) + message)

    def receive(self) -> bytes | None:
        """Wait for a message and return it; None when the other side is gone, or we are."""
        # An error is an end in the middle of a word; a ValueError says that we closed it ourselves.
        with contextlib.suppress(OSError, ValueError):
            head = self._input.read(_LENGTH.size)
            if len(head) == _LENGTH.size:
                (length,) = _LENGTH.unpack(head)
                message = self._input.read(length)
                if len(message) == length:
                    return message
        return None

    def close(self) -> None:
        """Let the other side see that we are gone."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._input.close()
        self._connection.close()


class Child:
    """A Python process that was spawned (not forked: no lock or thread of ours is copied into it).

    It leads a process group of its own: a key press in the terminal does not reach it, and killing
    it kills what it has started. It is born with stop signals held back, and heeds them when it
    can (`headrace.signals`).

    Args:
        module: what it runs, as in `python -m module`.
        arguments: its arguments. They can be seen by others: secrets go through the channel.

    Raises:
        Unsupported: this system has no socket pairs that can be inherited (Windows).
    """

    def __init__(self, module: str, arguments: Sequence[str] = ()) -> None:
        if not hasattr(socket, "AF_UNIX") or sys.platform == "win32":
            raise Unsupported(
                "child processes need a POSIX system: run a worker without -p and process=True here"
            )
        near, far = socket.socketpair()
        with far, signals.held():
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-m", module, *arguments],
                stdin=far.fileno(),
                stderr=subprocess.PIPE,
                process_group=0,
            )
        self.channel = Channel(near)
        self.pid = self._process.pid
        self._lines: deque[str] = deque(maxlen=EVIDENCE_LINES)
        self._listener = threading.Thread(
            target=self._pass_on_stderr, name=f"headrace-stderr-{self.pid}", daemon=True
        )
        self._listener.start()

    def kill(self) -> None:
        """Kill it with everything it has started; harmless when it has ended."""
        if self._process.returncode is None:  # not reaped: its number is still its own
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait for its end.

        Returns:
            Its exit code, the negative number of the signal that ended it, or None if it did not
            end within `timeout` seconds.
        """
        try:
            code: int = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None
        # Its own children may hold the pipe open for as long as they like.
        self._listener.join(1.0)
        return code

    def evidence(self) -> ChildDied:
        """Wait for its end and tell how it came about."""
        return ChildDied(_end(self.wait() or 0), tuple(self._lines))

    def close(self) -> None:
        """Close the channel, kill what is left, and reap it."""
        self.channel.close()
        self.kill()
        self.wait()

    def _pass_on_stderr(self) -> None:
        assert self._process.stderr is not None  # noqa: S101 - it was asked for
        with self._process.stderr as lines:
            for line in lines:
                text = line.decode(errors="replace")
                self._lines.append(text.rstrip("\n"))
                sys.stderr.write(text)


def _end(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
