"""Waiting for what another thread does, without judging how fast it is."""

import time
from collections.abc import Callable


def until(condition: Callable[[], object], what: str, timeout: float = 30.0) -> None:
    """Wait until a condition holds; AssertionError if it does not come in time (seconds)."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout} s for {what}, in vain"
        time.sleep(0.002)
