"""How fast a gateway accepts jobs, beside the same server with less to do."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import cast

from benchmarks.http_server import PATH
from benchmarks.ours import ASYNC_CONCURRENCY, new_file, worker
from benchmarks.plan import Plan
from benchmarks.raw_sqlite import Ceiling
from benchmarks.report import Figure, NotMeasuredError, Rates
from benchmarks.workers import REPOSITORY, environment, running

CONNECTIONS = 64
START_SECONDS = 60.0
BODY = '{"n":1}'
SHARE = 0.5
DRAINING_SHARE = 0.3
P99_MS = 50.0
PEERS = {
    "bare": "bare ASGI: 202 without a framework",
    "starlette": "bare Starlette route: JSON in, 202 out",
    "fastapi": "FastAPI route: a model in, 202 out",
}
_WRK_RATE = re.compile(r"Requests/sec:\s+([\d.]+)")


def measure(plan: Plan, _ceiling: Ceiling) -> Iterator[Figure]:
    """Yield rates of one server process with 64 connections, then waits at half of ours."""
    rates = {name: Rates(tuple(taken(name, plan))) for name in PEERS}
    route = rates["starlette"].median
    for name, what in PEERS.items():
        ratio = f"{rates[name].median / route:.2f}"
        yield Figure(what, measured=str(rates[name]), ratio=ratio, durability="none")
    mine = Rates(tuple(taken("ours", plan)))
    yield judged("gateway: 202, durable", mine, route, SHARE)
    yield judged(
        "the same with a worker draining beside it",
        Rates(tuple(taken("ours", plan, draining=True))),
        route,
        DRAINING_SHARE,
    )
    with new_file() as env, serving("ours", env) as port:
        calm = paced(port, plan.load_seconds, mine.median / 2)
    yield Figure(
        what=f"one request at half of that load ({calm['rate']:,.0f}/s)",
        target=f"p99 <= {P99_MS:.0f} ms",
        measured=f"p50 {calm['p50'] * 1e3:.1f} ms, p99 {calm['p99'] * 1e3:.1f} ms",
        durability="power",
        met=calm["p99"] * 1e3 <= P99_MS,
    )


def judged(what: str, rates: Rates, route: float, share: float) -> Figure:
    """Return a rate beside that of the bare Starlette route."""
    ratio = rates.median / route
    return Figure(
        what=what,
        target=f">= {share} of the bare Starlette route",
        measured=str(rates),
        ratio=f"{ratio:.2f}",
        durability="power",
        met=ratio >= share,
    )


def taken(name: str, plan: Plan, *, draining: bool = False) -> Iterator[float]:
    """Yield the rate of each repetition, with a new server and a new file."""
    for _ in range(plan.repetitions):
        with new_file() as env, serving(name, env) as port, ExitStack() as stack:
            if draining:
                workers = running([worker(ASYNC_CONCURRENCY)], environment(env))
                stack.enter_context(workers)
            yield full(port, plan.load_seconds)


@contextmanager
def serving(name: str, env: Mapping[str, str]) -> Iterator[int]:
    """Serve a contender for a block; gives its port."""
    command = [sys.executable, "-m", "benchmarks.http_server", name]
    with subprocess.Popen(
        command, cwd=REPOSITORY, env=environment(env), stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            port = server.stdout.readline() if server.stdout is not None else ""
            if not port:
                raise NotMeasuredError(f"the server {name} did not start, see above")
            greet(int(port))
            yield int(port)
        finally:
            server.terminate()


def greet(port: int) -> None:
    """Make one request: it is answered when the server has come to serve."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)) as server:
        server.request("POST", PATH, BODY, {"Content-Type": "application/json"})
        server.getresponse().read()


def full(port: int, seconds: float) -> float:
    """Return requests per second at full load: by wrk, or by our own load where it is missing."""
    wrk = shutil.which("wrk")
    if wrk is None:
        return paced(port, seconds, 0.0)["rate"]
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(f'wrk.method, wrk.body = "POST", {json.dumps(BODY)}\n')
        script.write('wrk.headers["Content-Type"] = "application/json"\n')
        script.flush()
        command = [wrk, "-t1", f"-c{CONNECTIONS}", f"-d{seconds:.0f}s", f"-s{script.name}"]
        told = run([*command, f"http://127.0.0.1:{port}{PATH}"])
    rate = _WRK_RATE.search(told)
    if rate is None or "Non-2xx" in told:
        raise NotMeasuredError(f"the load failed: {told.strip()[-200:]}")
    return float(rate[1])


def paced(port: int, seconds: float, rate: float) -> dict[str, float]:
    """Return what our own load says; with a rate of 0 it is as much as it can."""
    command = [sys.executable, "-m", "benchmarks.load", str(port), PATH, BODY]
    told = json.loads(run([*command, str(seconds), str(CONNECTIONS), str(rate)]))
    if told["bad"]:
        raise NotMeasuredError(f"{told['bad']} answers were no 202")
    return cast("dict[str, float]", told)


def run(command: list[str]) -> str:
    """Run a load and return what it prints."""
    done = subprocess.run(
        command,
        cwd=Path(REPOSITORY),
        env=environment({}),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise NotMeasuredError(f"the load failed, see above ({command[0]})")
    return done.stdout
