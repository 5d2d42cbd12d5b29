"""A cable between us and a server, which can lose answers, hang, and be cut."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_PART = 65536


class Cable:
    """Passes on what both sides say.

    Args:
        port: the server's, on this machine.

    Attributes:
        port: where to connect instead.
    """

    def __init__(self, port: int) -> None:
        self._server = port
        self._doors = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._doors.getsockname()[1]
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._answers_to_lose = 0
        self._deaf = False
        self.lost = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def lose_answers(self, count: int = 1) -> None:
        """Let the server get the next requests, and cut the connection in place of each answer."""
        with self._lock:
            self._answers_to_lose = count

    def swallow_answers(self) -> None:
        """Keep every answer to connections that stand now, which stay open: half a cable."""
        with self._lock:
            self._deaf = True

    def mend(self) -> None:
        """Let answers of new connections pass again."""
        with self._lock:
            self._deaf = False

    def cut(self) -> None:
        """Reset all connections."""
        with self._lock:
            sockets, self._open = self._open, []
        for each in sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def close(self) -> None:
        """Let go of everything."""
        self._doors.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                ours, _ = self._doors.accept()
            except OSError:
                return
            theirs = socket.create_connection(("127.0.0.1", self._server))
            with self._lock:
                self._open += [ours, theirs]
            for source, target, answers in ((ours, theirs, False), (theirs, ours, True)):
                threading.Thread(
                    target=self._pass_on, args=(source, target, answers), daemon=True
                ).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, answers: bool) -> None:  # noqa: FBT001 - which of two ways
        with contextlib.suppress(OSError):
            while part := source.recv(_PART):
                if answers and self._loses():
                    break
                if not (answers and self._deaf):
                    target.sendall(part)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _loses(self) -> bool:
        with self._lock:
            loses = self._answers_to_lose > 0
            self._answers_to_lose -= loses
            self.lost += loses
        return loses


@contextmanager
def cable(port: int) -> Iterator[Cable]:
    """Yield a cable to a server of this machine."""
    made = Cable(port)
    try:
        yield made
    finally:
        made.close()
