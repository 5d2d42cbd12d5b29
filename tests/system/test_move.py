"""Everything moves from one file to another through the command line, with a worker on each."""

from __future__ import annotations

import json
from pathlib import Path

from tests.system.test_cli import Shell, end_all, shell, wait_until

__all__ = ["shell"]  # the fixture


def url(shell: Shell, name: str) -> str:
    return f"sqlite:///{shell.folder}/{name}.db"


def states(shell: Shell, name: str) -> list[str]:
    """Return the states of all jobs in a database."""
    listed = shell.run("--url", url(shell, name), "jobs", "list", "--json")
    return sorted(job["state"] for job in json.loads(listed.stdout)["jobs"])


def submit(shell: Shell, what: str, seconds: float = 0.0, **options: str) -> None:
    """Submit a job to the source."""
    arguments = json.dumps({"what": what, "seconds": seconds})
    given = [text for name, value in options.items() for text in (f"--{name}", value)]
    done = shell.run("submit", "shop.py", "paint", arguments, *given)
    assert done.returncode == 0, done.stderr


def test_a_move_with_a_worker_on_each_side(shell: Shell, tmp_path: Path) -> None:
    assert tmp_path == shell.folder
    config = ("--config", "lease=2.0")
    there = shell.start(*config, "worker", "shop.py")
    submit(shell, "nothing")
    submit(shell, "cat")
    wait_until("both to end", lambda: states(shell, "shop") == ["dead", "succeeded"])
    submit(shell, "later", delay="3600")
    submit(shell, "slow", 3600.0)
    wait_until("the slow one to run", lambda: "running" in states(shell, "shop"))
    # The slow one will have lost a lease, and then has a process to itself.
    shell.start("--url", url(shell, "new"), *config, "worker", "shop.py", "-p", "2")
    where = ("--from", url(shell, "shop"), "--to", url(shell, "new"))

    first = shell.run("move", *where, "--wait", "0", "--json")
    assert first.returncode == 6, first.stderr
    assert json.loads(first.stdout)["left"] == {"running": 1}
    assert states(shell, "shop") == ["running"]
    assert states(shell, "new") == ["dead", "scheduled", "succeeded"]

    end_all(there)  # its lease is reaped by the move
    second = shell.run("move", *where)
    assert second.returncode == 0, second.stderr
    assert states(shell, "shop") == []
    wait_until("the slow one to run there", lambda: "running" in states(shell, "new"))
    submit(shell, "late")
    assert shell.run("move", *where).returncode == 0
    wait_until("the late one to end", lambda: states(shell, "new").count("succeeded") == 2)
    assert states(shell, "new") == ["dead", "running", "scheduled", "succeeded", "succeeded"]
