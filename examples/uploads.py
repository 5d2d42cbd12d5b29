"""An upload that is processed in the background: the file is kept, and the answer does not wait.

Run `headrace worker uploads.py` in one terminal and `uvicorn uploads:api` in another, and ask with
`curl -T some.txt localhost:8000/files/some.txt`.
"""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, HTTPException, Request

from headrace import App
from headrace.gateway import Gateway, Settings

FOLDER = Path("uploaded")
FOLDER.mkdir(exist_ok=True)
NAME = re.compile(r"\w[\w.]{0,99}")
LARGEST = 10 * 1024 * 1024

app = App("sqlite:///uploads.db")


@app.task
def count_words(path: Path) -> int:
    """Count the words of a file. A body holds where the data is, not the data."""
    return len(path.read_text().split())


@asynccontextmanager
async def life(_: FastAPI) -> AsyncIterator[None]:
    """Hold the engine open for as long as the server runs."""
    async with app:
        yield


api = FastAPI(lifespan=life)
api.mount("/work", Gateway(app, Settings(anonymous=True)))


@api.put("/files/{name}", status_code=202)
async def take(name: str, request: Request) -> dict[str, str]:
    """Keep a file, and have its words counted."""
    if not NAME.fullmatch(name):
        raise HTTPException(422, "a name is letters, digits, dots and underscores")
    taken = 0
    with (FOLDER / name).open("wb") as file:
        async for chunk in request.stream():
            taken += len(chunk)
            if taken > LARGEST:
                raise HTTPException(413, f"at most {LARGEST} bytes")
            file.write(chunk)
    job = await count_words.asubmit(FOLDER / name)
    return {"job": f"/work/v1/jobs/{job.id}"}
