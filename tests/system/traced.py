"""A program whose job fails once and then brings another one, for a trace to be made of."""

from __future__ import annotations

import logging
import os

from headrace import App, Context, Retry
from headrace.gateway.gateway import Gateway
from headrace.gateway.settings import Settings

app = App(os.environ.get("SYSTEM_URL", "sqlite:///jobs.db"), poll=0.1, ballast=0)
gateway = Gateway(app, Settings(anonymous=True))
log = logging.getLogger("traced")


@app.task(name="leaf", process=True)
def leaf() -> None:
    """End at once, in a child process."""
    log.info("rustling")


@app.task(name="tree", retry=Retry(attempts=2, delay=0.01))
def tree(ctx: Context) -> None:
    """Fail at first; then bring a leaf."""
    if ctx.attempt == 1:
        raise ValueError("too early")
    leaf.submit()
