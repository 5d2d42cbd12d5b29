"""Power cuts for Redis: of what it wrote to its log, only what it had synced is there afterwards.

A SIGKILL alone takes nothing that the kernel has. strace writes down what the server writes and
syncs; when it is dead, each file of its log is cut back to what some finished sync had seen.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults import strace
from tests.faults.processes import until
from tests.redis_server import Server

_LOG = ".incr.aof"
_CALL = re.compile(r"(?P<pid>\d+) +(?P<name>write|fdatasync|fsync)\(\d+<(?P<path>[^>]*)>")
_RESUMED = re.compile(r"(?P<pid>\d+) +<\.\.\. (?:write|fdatasync|fsync) resumed>")
_ANSWER = re.compile(r"= (\d+)$")
_DEAD = re.compile(r"^(\d+) +\+\+\+ killed by SIGKILL", re.MULTILINE)


def synced(trace: str, sizes: dict[str, int]) -> dict[str, int]:
    """Return how many bytes of each file were synced for certain.

    A sync is worth what had been written when it began, as soon as it has ended.

    Args:
        trace: what strace wrote.
        sizes: of the files that were there before, which were whole.
    """
    written, safe = defaultdict(int, sizes), defaultdict(int, sizes)
    under_way: dict[str, tuple[str, str, int]] = {}
    for line in trace.splitlines():
        if call := _CALL.match(line):
            under_way[call["pid"]] = (call["name"], call["path"], written[call["path"]])
        elif resumed := _RESUMED.match(line):
            call = resumed
        answer = _ANSWER.search(line)
        if call is None or answer is None or call["pid"] not in under_way:
            continue
        name, path, before = under_way.pop(call["pid"])
        if name == "write":
            written[path] += int(answer[1])
        else:
            safe[path] = max(safe[path], before)
    return dict(safe)


class PoweredServer(Server):
    """A server whose power can be cut.

    Args:
        traces: the directory for what strace writes.
        settings: of the server.
    """

    def __init__(self, traces: Path, **settings: str) -> None:
        strace.require()
        self._traces = traces
        self._starts = 0
        self._sizes: dict[str, int] = {}
        super().__init__(**settings)

    def start(self) -> None:
        """Start it under strace, which is no parent of it."""
        self._starts += 1
        self._sizes = {str(file): file.stat().st_size for file in self._logs()}
        calls = "trace=write,fdatasync,fsync"
        self.around = ("strace", "-D", "-f", "-q", "-y", "-s", "0", "-e", calls)
        self.around += ("-o", str(self._trace))
        super().start()

    def cut(self) -> int:
        """Let the power fail; return how many bytes were lost."""
        with self.client() as client:
            pid = str(client.info("server")["process_id"])
        self.kill()

        def ended() -> bool:
            return pid in _DEAD.findall(self._trace.read_text())

        until(ended, "the end of the trace", show=self._trace.read_text)
        safe, lost = synced(self._trace.read_text(), self._sizes), 0
        for file in self._logs():
            left = safe.get(str(file), 0)
            lost += file.stat().st_size - left
            os.truncate(file, left)
        return lost

    @property
    def _trace(self) -> Path:
        return self._traces / f"redis-{self._starts}.trace"

    def _logs(self) -> list[Path]:
        return [file for file in self.folder.rglob("*") if file.name.endswith(_LOG)]


@contextmanager
def powered(traces: Path, **settings: str) -> Iterator[PoweredServer]:
    """Yield a throw-away server whose power can be cut."""
    made = PoweredServer(traces, **settings)
    try:
        yield made
    finally:
        made.remove()
