"""One round of one peer: a room, a full queue, a drain."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from benchmarks.drain import run_all
from benchmarks.peers import servers
from benchmarks.peers.home import ask, set_up
from benchmarks.peers.roster import Peer
from benchmarks.report import NotMeasuredError, Rates
from benchmarks.stamps import recording


@dataclass
class Score:
    """What a peer did over all rounds, or why it is missing."""

    peer: Peer
    fills: list[float] = field(default_factory=list)
    drains: list[float] = field(default_factory=list)
    server: str = ""
    durability: str = ""
    missing: str = ""

    @property
    def drained(self) -> Rates:
        """Jobs per second from the first run to the last."""
        return Rates(tuple(self.drains))

    @property
    def filled(self) -> Rates:
        """Jobs per second submitted in the fastest way that the peer offers."""
        return Rates(tuple(self.fills))


class Contest:
    """The servers that the peers share, started at first need and ended with `servers`."""

    def __init__(self, jobs: int, stack: ExitStack) -> None:
        self._jobs = jobs
        self._stack = stack
        self._urls: dict[str, str] = {}

    def round(self, score: Score) -> None:
        """Let the peer run once more and note it; what stands in its way is noted instead."""
        if score.missing:
            return
        try:
            python = set_up(score.peer)
            with self._room(score, python) as room:
                self._measure(score, python, room)
        except NotMeasuredError as error:
            score.missing = str(error)

    @contextlib.contextmanager
    def _room(self, score: Score, python: Path) -> Iterator[str]:
        kind = score.peer.server
        room = _opened(kind, self._server(kind, python), python)
        score.server, score.durability = room["server"], room["durability"]
        try:
            yield room["url"]
        finally:
            ask(python, "room", kind, "close", room["url"], env={})

    def _server(self, kind: str, python: Path) -> str:
        if kind not in self._urls:

            def usable(url: str) -> bool:
                with contextlib.suppress(NotMeasuredError):
                    room = _opened(kind, url, python)
                    ask(python, "room", kind, "close", room["url"], env={})
                    return True
                return False

            self._urls[kind] = self._stack.enter_context(servers.SERVERS[kind](usable))
        return self._urls[kind]

    def _measure(self, score: Score, python: Path, room: str) -> None:
        peer, env = score.peer, {"HEADRACE_BENCH_ROOM": room}
        seconds = cast("float", ask(python, "fill", peer.name, str(self._jobs), env=env))
        ask(python, "room", peer.server, "ready", room, env={})
        command = shlex.split(peer.command.format(room=room))
        with recording() as stamps:
            times = run_all([command] * peer.processes, stamps, self._jobs, env, python)
        score.fills.append(self._jobs / seconds)
        score.drains.append(self._jobs / (times[-1] - times[0]))


def _opened(kind: str, url: str, python: Path) -> dict[str, str]:
    return cast("dict[str, str]", ask(python, "room", kind, "open", url, env={}))
