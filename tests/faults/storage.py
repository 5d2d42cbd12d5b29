"""A disk that is really full: a small tmpfs in a mount namespace of its own.

Only programs started through `SmallDisk.command` see it below its path; the test looks at it
through /proc. It goes away with the process that holds the namespace.
"""

import errno
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.processes import ROOT, Process, Processes

# Root may mount anyway; anybody else gets the right inside a user namespace of their own.
ORDINARY = os.geteuid() != 0
UNSHARE = ("unshare", "--mount", *(("--map-root-user",) if ORDINARY else ()))
ENTER = ("nsenter", "--mount", *(("--user", "--preserve-credentials") if ORDINARY else ()))

MOUNT_AND_HOLD = 'mount -t tmpfs -o "size=$1" headrace-test "$2" && echo mounted && exec sleep 3600'


@dataclass(frozen=True)
class SmallDisk:
    """A file system of a few MiB.

    Attributes:
        path: where the programs started through `command` see it.
        holder: the process that keeps it.
    """

    path: Path
    holder: Process

    @classmethod
    def mount(cls, processes: Processes, path: Path, mebibytes: int) -> "SmallDisk":
        """Mount one at an empty directory; skip the test, with the reason, where that fails."""
        if subprocess.run([*UNSHARE, "true"], check=False, capture_output=True).returncode:
            pytest.skip("needs the right to make a mount namespace, for a small disk")
        size = f"{mebibytes}m"
        holder = processes.start(*UNSHARE, "sh", "-c", MOUNT_AND_HOLD, "sh", size, str(path))
        holder.expect("mounted")
        return cls(path, holder)

    @property
    def view(self) -> Path:
        """The place where the test itself sees it."""
        return Path(f"/proc/{self.holder.pid}/root{self.path}")

    def command(self, *argv: str) -> tuple[str, ...]:
        """Return the command that runs `argv` where the disk is mounted."""
        return (*ENTER, f"--target={self.holder.pid}", f"--wdns={ROOT}", "--", *argv)

    def fill(self) -> None:
        """Write a file, `filler`, until nothing more fits."""
        with (self.view / "filler").open("ab", buffering=0) as filler:
            try:
                while filler.write(bytes(4096)):
                    pass
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    def free(self) -> None:
        """Delete that file."""
        (self.view / "filler").unlink()
