"""The gateway that `waiting` measures, in a process of its own. Says its port, then serves."""

from __future__ import annotations

import socket

import uvicorn

from headrace import App
from headrace.gateway import Gateway, Settings


def main() -> None:
    """Serve until SIGTERM."""
    app = App()
    app.task(name="noop")(noop)
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    print(listener.getsockname()[1], flush=True)
    settings = Settings(anonymous=True)
    config = uvicorn.Config(
        Gateway(app, settings),
        log_level="error",
        access_log=False,
        ws="websockets-sansio",
        ws_max_size=settings.max_message,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=2,
    )
    uvicorn.Server(config).run([listener])


def noop() -> int:
    """Do nothing; nobody calls it here."""
    return 0


if __name__ == "__main__":
    main()
