"""A slow report behind FastAPI: 202 at once, then its progress, then the result.

Run `headrace worker reports.py` in one terminal and `uvicorn reports:api` in another, and ask with
`curl -i -X POST localhost:8000/reports/april`. The answer's Location is where to go on.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response

from headrace import App, Context
from headrace.gateway import Gateway, Settings

app = App("sqlite:///reports.db")


@app.task
async def report(ctx: Context, month: str) -> dict[str, int]:
    """Add up a month, day by day."""
    total = 0
    for day in range(1, 11):
        await asyncio.sleep(0.02)  # the slow part
        total += day
        ctx.progress(day, total=10, note=month)
    return {month: total}


@asynccontextmanager
async def life(_: FastAPI) -> AsyncIterator[None]:
    """Hold the engine open for as long as the server runs."""
    async with app:
        yield


api = FastAPI(lifespan=life)
api.mount("/work", Gateway(app, Settings(anonymous=True)))


@api.post("/reports/{month}", status_code=202)
async def order_report(month: str, request: Request, response: Response) -> dict[str, str]:
    """Accept the order of a report."""
    job = await report.asubmit(month)
    place = f"{request.base_url}work/v1/jobs/{job.id}"
    response.headers["Location"] = place
    return {"job": job.id, "events": f"{place}/events"}
