"""Serves one contender of the HTTP figures at a free port, which it prints: `NAME`."""

from __future__ import annotations

import json
import sys
from typing import Any

import uvicorn
from fastapi import FastAPI, Response
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from headrace.gateway.server import listen

PATH = "/v1/tasks/noop"
PLACE = "/v1/jobs/019b0000-0000-7000-8000-000000000000"
CONTENT = {"id": PLACE[-36:], "state": "ready", "task": "noop", "links": {"self": PLACE}}
BODY = json.dumps(CONTENT).encode()


async def bare(scope: Any, receive: Any, send: Any) -> None:
    """Answer without any framework."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(BODY)),
        (b"location", PLACE.encode()),
    ]
    await send({"type": "http.response.start", "status": 202, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})


async def accept(request: Request) -> JSONResponse:
    """Read JSON, and answer with JSON."""
    await request.json()
    return JSONResponse(CONTENT, 202, {"Location": PLACE})


class Arguments(BaseModel):
    """What the task takes."""

    n: int


def of_fastapi() -> FastAPI:
    """Return the same as one writes it with FastAPI."""
    site = FastAPI()

    @site.post(PATH, status_code=202)
    async def submit(arguments: Arguments, response: Response) -> dict[str, Any]:
        response.headers["Location"] = PLACE
        return CONTENT | {"n": arguments.n}

    return site


def ours(listener: Any) -> None:
    """Serve a gateway as `headrace serve` does."""
    from benchmarks.jobs import app  # noqa: PLC0415 - it reads where its jobs are kept
    from headrace.gateway import Gateway, Settings  # noqa: PLC0415 - as above
    from headrace.gateway.server import Server  # noqa: PLC0415 - as above

    with app:
        Server(Gateway(app, Settings(anonymous=True))).serve_at(listener)


def main(name: str) -> None:
    """Serve until somebody ends this process."""
    listener = listen("127.0.0.1", 0)
    print(listener.getsockname()[1], flush=True)
    if name == "ours":
        ours(listener)
        return
    starlette = Starlette(routes=[Route(PATH, accept, methods=["POST"])])
    site: Any = {"bare": bare, "starlette": starlette, "fastapi": of_fastapi()}[name]
    config = uvicorn.Config(
        site, http="httptools", log_config=None, access_log=False, server_header=False
    )
    uvicorn.Server(config).run([listener])


if __name__ == "__main__":
    main(sys.argv[1])
