"""The module for browsers hands work over and watches it, in a real browser.

Needs Chromium: HEADRACE_CHROMIUM names it, else `chromium` on the PATH.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route

from headrace import App, Context, Retry
from headrace.gateway import Gateway, Settings
from headrace.node import Node

PATIENCE = 60
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
PAGE = """<!doctype html><title>test</title><script type="module">
import { Headrace, HeadraceError } from "/work/v1/headrace.js";
const told = {};
try {
  const headrace = new Headrace();
  const report = await headrace.submit("report", { pages: 3 }, { delay: 0.3, tags: ["web"] });
  told.state = report.state;
  told.events = [];
  for await (const event of headrace.events(report.id)) told.events.push(event.type);
  told.result = await headrace.result(report.id);
  told.again = [];
  for await (const event of headrace.events(report.id)) told.again.push(event.type);
  const key = { idempotencyKey: "order-1" };
  const twice = await Promise.all([1, 2].map(() => headrace.submit("report", { pages: 1 }, key)));
  told.once = twice[0].id === twice[1].id;
  told.large = (await headrace.result((await headrace.submit("large")).id)).length;
  const dead = await headrace.submit("divide", { by: 0 });
  told.dead = await headrace.result(dead.id).catch((error) => error.kind);
  const waiting = await headrace.submit("report", { pages: 1 }, { delay: 60 });
  told.cancelled = (await headrace.cancel(waiting.id)).state;
  const wrong = await headrace.submit("report", { pages: "x" }).catch((error) => error);
  told.wrong = [wrong instanceof HeadraceError, wrong.kind, wrong.status];
  const abort = new AbortController();
  setTimeout(() => abort.abort(), 50);
  const slow = await headrace.submit("report", { pages: 1 }, { delay: 60 });
  const wait = headrace.wait(slow.id, { signal: abort.signal });
  told.aborted = await wait.catch((error) => error.name);
} catch (error) {
  told.error = String(error.stack ?? error);
}
await fetch("/report", { method: "POST", body: JSON.stringify(told) });
</script>"""


@pytest.fixture(scope="module")
def chromium() -> str:
    """Name the browser."""
    found = os.environ.get("HEADRACE_CHROMIUM") or shutil.which("chromium")
    if found is None:
        complain = pytest.fail if os.environ.get("CI") else pytest.skip
        complain("needs Chromium: install it, or name it in HEADRACE_CHROMIUM")
    return found


@pytest.fixture
def reports() -> SimpleQueue[Any]:
    """Give what pages tell."""
    return SimpleQueue()


@pytest.fixture
def url(reports: SimpleQueue[Any]) -> Iterator[str]:
    """Give the address of a site with a gateway and a worker."""
    app = App("memory:")

    @app.task
    async def report(ctx: Context, pages: int) -> str:
        for page in range(1, pages + 1):
            ctx.progress(page, total=pages)
        return f"{pages} pages"

    @app.task
    def large() -> str:
        return "x" * 100_000

    @app.task(retry=Retry(attempts=1))
    def divide(by: int) -> float:
        return 1 / by

    async def take(request: Request) -> Response:
        reports.put(await request.json())
        return Response(status_code=204)

    async def show(_: Request) -> Response:
        return HTMLResponse(PAGE)

    site = Starlette(
        routes=[
            Route("/page", show),
            Route("/report", take, methods=["POST"]),
            Mount("/work", Gateway(app, Settings(anonymous=True))),
        ]
    )
    server = uvicorn.Server(uvicorn.Config(site, port=0, log_level="error", ws="none"))
    thread = threading.Thread(target=server.run)
    node = Node(app)
    node.start()
    thread.start()
    try:
        while not server.started:
            thread.join(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        node.stop()
        app.close()


def test_a_page_hands_work_over_and_watches_it(
    chromium: str, url: str, reports: SimpleQueue[Any], tmp_path: Path
) -> None:
    browser = subprocess.Popen(
        [
            chromium, *QUIET, f"--user-data-dir={tmp_path}", "--remote-debugging-port=0",
            f"{url}/page",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        told = reports.get(timeout=PATIENCE)
    finally:
        browser.terminate()
        browser.wait(PATIENCE)
    assert "error" not in told, told["error"]
    assert told["state"] == "scheduled"
    assert (told["events"][0], told["events"][-1]) == ("snapshot", "end")
    assert told["result"] == "3 pages"
    assert told["again"][-1] == "end"
    assert told["once"] is True
    assert told["large"] == 100_000
    assert told["dead"] == "job-failed"
    assert told["cancelled"] == "cancelled"
    assert told["wrong"] == [True, "validation-failed", 422]
    assert told["aborted"] == "AbortError"


def test_the_page_of_the_documentation_shows_each_task(
    chromium: str, url: str, tmp_path: Path
) -> None:
    shown = subprocess.run(
        [
            chromium, *QUIET, f"--user-data-dir={tmp_path}", "--virtual-time-budget=20000",
            "--dump-dom", f"{url}/work/v1/docs",
        ],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    ).stdout  # fmt: skip
    assert 'data-ready="true"' in shown
    assert "/work/v1/tasks/report" in shown
    assert "Hand many calls over" in shown
