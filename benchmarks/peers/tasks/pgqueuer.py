"""PGQueuer over PostgreSQL, through asyncpg; run as a program it is the worker."""

import os

import asyncpg
import uvloop
from pgqueuer import AsyncpgDriver, PgQueuer, Queries

from benchmarks.stamps import stamp

ROOM = os.environ["HEADRACE_BENCH_ROOM"]


async def fill(jobs: int) -> None:
    """Install the schema and submit in batches of 1,000."""
    connection = await asyncpg.connect(ROOM)
    queries = Queries(AsyncpgDriver(connection))
    await queries.install()
    for start in range(0, jobs, 1000):
        size = min(1000, jobs - start)
        await queries.enqueue(["noop"] * size, [None] * size, [0] * size)
    await connection.close()


async def work() -> None:
    """Run until told to stop."""
    worker = PgQueuer(AsyncpgDriver(await asyncpg.connect(ROOM)))

    @worker.entrypoint("noop")
    async def noop(_job: object) -> None:
        stamp()

    await worker.run(batch_size=100)


if __name__ == "__main__":
    uvloop.run(work())
