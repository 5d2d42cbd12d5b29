"""Worker processes, ours or a peer's: started, watched, and stopped for certain."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

REPOSITORY = Path(__file__).parents[1]
STOP_SECONDS = 5.0


def environment(extra: Mapping[str, str], python: Path = Path(sys.executable)) -> dict[str, str]:
    """Return the environment of a child that finds this package and the programs of `python`."""
    return {
        **os.environ,
        "PATH": os.pathsep.join([str(python.parent), os.environ.get("PATH", os.defpath)]),
        "PYTHONPATH": str(REPOSITORY),
        "PYTHONUNBUFFERED": "1",
        **extra,
    }


@dataclass(frozen=True)
class Workers:
    """Processes at work, each the leader of its own session."""

    processes: Sequence[subprocess.Popen[bytes]]
    log: IO[bytes]

    def alive(self) -> bool:
        """Say whether any of them still runs."""
        return any(process.poll() is None for process in self.processes)

    def last_words(self) -> str:
        """Return the last line that they printed."""
        self.log.seek(0)
        lines = self.log.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "they printed nothing"

    def stop(self) -> None:
        """Ask them to end, then end whatever is left of their sessions."""
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while self.alive() and time.monotonic() < deadline:
            time.sleep(0.02)
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def running(commands: Sequence[Sequence[str]], env: Mapping[str, str]) -> Iterator[Workers]:
    """Run the commands as long as the block; `env` is from `environment`."""
    with tempfile.TemporaryFile() as log:
        processes = [
            subprocess.Popen(
                command,
                cwd=REPOSITORY,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            for command in commands
        ]
        workers = Workers(processes, log)
        try:
            yield workers
        finally:
            workers.stop()
