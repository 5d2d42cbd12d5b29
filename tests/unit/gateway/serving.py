"""Serves a gateway at a socket, in a thread of this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from headrace.gateway import Gateway
from headrace.gateway.server import Server, listen, url_of

PATIENCE = 30.0


@contextmanager
def served(gateway: Gateway, **given: Any) -> Iterator[tuple[Server, str]]:
    """Serve for a `with` block; gives the server and its URL."""
    listener = listen("127.0.0.1", 0)
    url, server = url_of(listener), Server(gateway, **given)
    thread = threading.Thread(target=server.serve_at, args=(listener,))
    thread.start()
    try:
        wait_until(lambda: server.started)
        yield server, url
    finally:
        server.stop()
        if thread.is_alive():
            server.stop()
        thread.join(PATIENCE)
        assert not thread.is_alive()


def wait_until(happened: Any) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)
