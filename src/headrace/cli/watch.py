"""Watch: notices that a program's files change, by looking at them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from headrace.service import Service

LOOK_SECONDS = 0.25

_SUFFIXES = (".py", ".toml")
_FOREIGN = {"__pycache__", "node_modules", "site-packages"}


class Watch:
    """Looks at the Python files below a folder, and tells when they have changed and rest again.

    Args:
        folder: where to look; hidden folders and virtual environments are passed over.
        changed: is called, in a thread of its own.
        fraction: gives random numbers in [0, 1).
    """

    def __init__(
        self, folder: Path, changed: Callable[[], None], fraction: Callable[[], float]
    ) -> None:
        self._folder = folder
        self._changed = changed
        self._seen = dict(_stamps(folder))
        self._moving = False
        self._service = Service("headrace-watch", self.look, LOOK_SECONDS, fraction)

    def start(self) -> None:
        """Begin to look."""
        self._service.start()

    def stop(self) -> None:
        """Look no more."""
        self._service.stop()

    def look(self) -> None:
        """Look once. Somebody may be saving many files: what still moves is told the next time."""
        now = dict(_stamps(self._folder))
        moves, self._seen = now != self._seen, now
        if self._moving and not moves:
            self._changed()
        self._moving = moves


def _stamps(folder: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield each file with its time and size; one that goes meanwhile is gone."""
    for place, inside, names in os.walk(folder):
        if "pyvenv.cfg" in names:
            inside.clear()
            continue
        inside[:] = [name for name in inside if name not in _FOREIGN and not name.startswith(".")]
        for name in names:
            if name.endswith(_SUFFIXES):
                file = os.path.join(place, name)  # noqa: PTH118 - of many files, many times
                try:
                    status = os.stat(file)  # noqa: PTH116 - as above
                except OSError:
                    continue
                yield file, (status.st_mtime_ns, status.st_size)
