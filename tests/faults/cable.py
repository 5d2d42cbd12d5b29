"""A cable between us and a server, which can be slow, lose answers, go silent, and be cut."""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_PART = 65536
_RESET = struct.pack("ii", 1, 0)
"""For SO_LINGER: a close throws away what is left, and says so."""


@dataclass(eq=False)
class _Line:
    """A connection: our end and the server's.

    Attributes:
        gone: the latter has gone without a word.
        doomed: it ends in place of its next answer.
    """

    ours: socket.socket
    theirs: socket.socket
    gone: bool = False
    doomed: bool = False

    @property
    def ends(self) -> tuple[socket.socket, socket.socket]:
        return self.ours, self.theirs

    def shut(self) -> None:
        """Say goodbye to both sides."""
        for end in self.ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Cable:
    """Passes on what both sides say.

    Args:
        port: the server's.
        host: the server's, as this machine sees it.

    Attributes:
        port: where to connect instead, on this machine.
        lost: how many requests or answers were lost.
    """

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._server = (host, port)
        self._doors = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._doors.getsockname()[1]
        self._changed = threading.Condition()
        self._lines: list[_Line] = []
        self._answers_to_lose = 0
        self._lose_each = 0
        self._answers = 0
        self._doomed: list[tuple[bytes, bool]] = []
        self._deaf = False
        self._held: set[bool] = set()
        self._latency = 0.0
        self.lost = 0
        threading.Thread(target=self._accept, daemon=True).start()

    # What comes back is lost ---------------------------------------------------------------------

    def lose_answers(self, count: int = 1) -> None:
        """Let the server get the next requests, and cut the connection in place of each answer."""
        with self._changed:
            self._answers_to_lose = count

    def lose_each(self, nth: int) -> None:
        """Do so with every n-th answer from now on; 0 ends it."""
        with self._changed:
            self._lose_each = nth

    def lose(self, text: bytes, *, answer: bool) -> None:
        """Cut the connection at the next request with this text in it; after those named before.

        Args:
            text: a regular expression, to be found in one part.
            answer: let the request pass, and cut in place of its answer.
        """
        with self._changed:
            self._doomed.append((text, answer))

    def swallow_answers(self) -> None:
        """Keep every answer to connections that stand now, which stay open: half a cable."""
        with self._changed:
            self._deaf = True

    def mend(self) -> None:
        """Let answers of new connections pass again."""
        with self._changed:
            self._deaf = False

    # All of it fails ------------------------------------------------------------------------------

    def slow_down(self, seconds: float) -> None:
        """Take so long for every part, each way, from now on."""
        self._latency = seconds

    def hold(self, *, requests: bool = False, answers: bool = False) -> None:
        """Let nothing pass in a direction, as packets that are sent again and again."""
        with self._changed:
            self._held = {answers for held, answers in ((requests, False), (answers, True)) if held}

    def let_go(self) -> None:
        """Deliver what was held, late as it is, and let everything pass again."""
        with self._changed:
            self._held = set()
            self._changed.notify_all()

    def abandon(self) -> None:
        """Let the server's end of all connections go away; nobody tells ours, which stay open."""
        with self._changed:
            lines = list(self._lines)
            for line in lines:
                line.gone = True
        for line in lines:
            with contextlib.suppress(OSError):
                line.theirs.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        """Reset all connections (RST): what is under way is lost in both directions."""
        for line in self._drop():
            for end in line.ends:
                with contextlib.suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    end.shutdown(socket.SHUT_RD)  # wakes who reads, and says nothing to anybody
                end.close()

    def cut(self) -> None:
        """End all connections."""
        for line in self._drop():
            line.shut()
            for end in line.ends:
                end.close()

    def close(self) -> None:
        """Let go of everything, and let nobody in any more. Harmless when repeated."""
        with contextlib.suppress(OSError):
            self._doors.shutdown(socket.SHUT_RDWR)  # ends the accept that is under way
        self._doors.close()
        self.let_go()
        self.cut()

    # On threads of their own ----------------------------------------------------------------------

    def _drop(self) -> list[_Line]:
        with self._changed:
            lines, self._lines = self._lines, []
        return lines

    def _accept(self) -> None:
        while True:
            try:
                ours, _ = self._doors.accept()
            except OSError:
                return
            try:
                theirs = socket.create_connection(self._server)
            except OSError:  # nobody is there
                ours.close()
                continue
            for end in (ours, theirs):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            line = _Line(ours, theirs)
            with self._changed:
                self._lines.append(line)
            for answers in (False, True):
                threading.Thread(target=self._pass_on, args=(line, answers), daemon=True).start()

    def _pass_on(self, line: _Line, answers: bool) -> None:  # noqa: FBT001 - which of two ways
        source, target = line.ends[::-1] if answers else line.ends
        with contextlib.suppress(OSError):
            while part := source.recv(_PART):
                if self._loses(line) if answers else self._dooms(line, part):
                    break
                self._wait(answers)
                if not (line.gone or (answers and self._deaf)):
                    self._send(line, target, part)
        if not (answers and line.gone):
            line.shut()

    def _send(self, line: _Line, target: socket.socket, part: bytes) -> None:
        try:
            target.sendall(part)
        except OSError:
            if not line.gone:  # it went while this was on its way: then nobody is told
                raise

    def _wait(self, answers: bool) -> None:  # noqa: FBT001 - which of two ways
        if self._latency:
            time.sleep(self._latency)
        with self._changed:
            self._changed.wait_for(lambda: answers not in self._held)

    def _dooms(self, line: _Line, request: bytes) -> bool:
        """Return whether a request is lost; note whether its answer is to be."""
        with self._changed:
            if not self._doomed or not re.search(self._doomed[0][0], request):
                return False
            _, line.doomed = self._doomed.pop(0)
            self.lost += 1
            return not line.doomed

    def _loses(self, line: _Line) -> bool:
        with self._changed:
            if line.doomed:
                return True
            self._answers += 1
            loses = self._answers_to_lose > 0
            self._answers_to_lose -= loses
            loses = loses or bool(self._lose_each and self._answers % self._lose_each == 0)
            self.lost += loses
        return loses


@contextmanager
def cable(port: int, host: str = "127.0.0.1") -> Iterator[Cable]:
    """Yield a cable to a server."""
    made = Cable(port, host)
    try:
        yield made
    finally:
        made.close()
