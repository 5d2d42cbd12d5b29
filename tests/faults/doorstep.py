"""A gateway in a process of its own, for tests that send it what nobody should send.

Run as `python -m tests.faults.doorstep`: it prints the port that it listens on, and stops when its
standard input is closed.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import Any

import uvicorn
import uvloop

from headrace import App
from headrace.gateway import Gateway, Settings
from headrace.gateway.connection import connections

app = App("memory:")
settings = Settings(anonymous=True, body_timeout=1.0)


@app.task
def echo(value: Any = None) -> Any:
    """Return what it is given."""
    return value


@app.task
def resize(path: str, width: int = 200) -> str:
    """Have parameters of several types."""
    return f"{path} {width}"


async def main() -> None:
    """Serve until nobody needs it any more."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        Gateway(app, settings), http=connections(settings), log_level="warning", access_log=False
    )
    server = uvicorn.Server(config)
    asyncio.get_running_loop().add_reader(sys.stdin, lambda: setattr(server, "should_exit", True))
    print(listener.getsockname()[1], flush=True)  # noqa: T201 - for whoever started it
    await server.serve([listener])


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
