"""Procrastinate over PostgreSQL, through psycopg."""

import os

from procrastinate import App, PsycopgConnector

from benchmarks.stamps import stamp

app = App(connector=PsycopgConnector(conninfo=os.environ["HEADRACE_BENCH_ROOM"]))


@app.task(name="noop")
async def noop() -> None:
    """Run."""
    stamp()


async def fill(jobs: int) -> None:
    """Install the schema and submit in batches of 1,000."""
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        for start in range(0, jobs, 1000):
            batch = range(start, min(start + 1000, jobs))
            await noop.batch_defer_async(*[{} for _ in batch])
