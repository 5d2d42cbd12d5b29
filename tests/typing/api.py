"""What type checkers infer from the public API; never run, see test_api.py."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, assert_type

from headrace import App, Context, Job, Retry, Task
from headrace.record import State

app = App()


@app.task
def thumbnail(path: str, width: int = 200) -> str:
    return f"{path}{width}"


@app.task(queue="reports", retry=Retry(attempts=5), delay=timedelta(minutes=1))
async def report(ctx: Context, month: str) -> dict[str, int]:
    return {month: ctx.attempt}


@app.task(process=True)
def resize(ctx: Context, *, path: str) -> bytes:
    return f"{ctx.job_id}{path}".encode()


@app.task
async def fetch(url: str) -> bytes:
    return url.encode()


# A plain call is the function's own.
assert_type(thumbnail("cat.jpg"), str)
thumbnail(1)  # type: ignore[arg-type] # a path is a text

# A submit takes what the function takes, but its Context, and promises what it returns.
assert_type(thumbnail.submit("cat.jpg", width=64), Job[str])
assert_type(thumbnail.submit("cat.jpg").result(timeout=10), str)
assert_type(report.submit("april"), Job[dict[str, int]])
assert_type(resize.submit(path="x").result(), bytes)
assert_type(fetch.submit("x").result(), bytes)
assert_type(thumbnail.submit("x").state, State)
thumbnail.submit(1)  # type: ignore[arg-type] # a path is a text
thumbnail.submit("x", height=1)  # type: ignore[call-arg] # there is no such parameter
report.submit(4)  # type: ignore[arg-type] # a month is a text
resize.submit("x")  # type: ignore[call-arg] # by keyword only

# Calls carry the type of the result, and options keep the types of the task.
app.submit([thumbnail.call("a"), report.call("b")])
assert_type(thumbnail.using(priority=5, unique_key="cat").submit("x"), Job[str])
assert_type(report.using(delay=60).submit("april").result(), dict[str, int])
thumbnail.using(prioriti=5)  # type: ignore[call-arg] # there is no such option
thumbnail.using(priority="high")  # type: ignore[arg-type] # a priority is a number
thumbnail.call(1)  # type: ignore[arg-type] # a path is a text

# A task is passed on as what it takes and gives.
anything: Task[..., object, Any] = fetch
texts: Task[..., str, Callable[..., str]] = thumbnail
wrong: Task[..., str, Any] = fetch  # type: ignore[assignment] # bytes are no text


async def use() -> None:
    assert_type(await fetch("x"), bytes)
    job = await thumbnail.asubmit("cat.jpg")
    assert_type(job, Job[str])
    assert_type(await job, str)
    assert_type(await job.aresult(timeout=1), str)
    assert_type(await (await report.asubmit("april")), dict[str, int])
    assert_type((await job.arefresh()).state, State)


def callback(job: Job[str]) -> None:
    assert_type(job.result(), str)


thumbnail.submit("x").add_done_callback(callback)
fetch.submit("x").add_done_callback(callback)  # type: ignore[arg-type] # bytes are no text
