"""A gateway behind a real socket, with a worker beside it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import uvicorn

from headrace import Context, Retry
from headrace.app import App
from headrace.gateway import Gateway, Settings
from headrace.node import Node


@pytest.fixture(scope="module")
def app() -> Iterator[App]:
    """Give an App on the memory engine; a worker runs its jobs."""
    app = App("memory:")

    @app.task
    def add(left: int, right: int = 0) -> int:
        return left + right

    @app.task
    def large(size: int) -> str:
        return "x" * size

    @app.task
    async def report(ctx: Context, pages: int) -> str:
        for page in range(1, pages + 1):
            ctx.progress(page, total=pages)
        return f"{pages} pages"

    @app.task(retry=Retry(attempts=1))
    def divide(by: int) -> float:
        return 1 / by

    node = Node(app)
    node.start()
    yield app
    node.stop()
    app.close()


@pytest.fixture(scope="module")
def url(app: App) -> Iterator[str]:
    """Give the address of a gateway."""
    settings = uvicorn.Config(
        Gateway(app, Settings(anonymous=True)),
        port=0,
        log_level="error",
        ws="none",
        lifespan="off",
    )
    server = uvicorn.Server(settings)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            thread.join(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)
