"""A WSGI application for a prefork server: it uses its App before the fork, and in each child.

Importing it opens the App, waits for a job, and starts a thread that goes on with this in the
importing process. So each fork finds a submit or a wait under way.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from tests.system.program import app
from tests.system.ticket import draw

_JOBS = 5


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer with the tickets of a few jobs, whose results were waited for."""
    number = int(environ["QUERY_STRING"])
    drawn = [draw(app, number + index) for index in range(_JOBS)]
    start_response("200 OK", [("Content-Type", "application/json")])
    return [msgspec.json.encode(drawn)]


def _keep_drawing() -> None:
    for number in itertools.count(1):
        draw(app, -number)


draw(app, 0)
threading.Thread(target=_keep_drawing, daemon=True).start()
