"""Journal: log lines as JSON, each with the job and the trace that it belongs to."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

from headrace.config import Config
from headrace.logs import current as running
from headrace.trace import here


class JsonLines(logging.Formatter):
    r"""Makes one line of JSON of each log record, in ASCII: no control character is left in it.

    A line has `time` (RFC 3339, UTC), `level`, `logger` and `message`; `exception` if there was
    one; and in a job's run `trace_id`, `span_id`, `job_id`, `task`, `queue` and `attempt`.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return a record's line."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        told: dict[str, Any] = {
            "time": at.replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        told |= _place()
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        # JSON escapes all that is not ASCII, but for one character.
        return json.dumps(told).replace("\x7f", "\\u007f")


def begin(config: Config) -> None:
    """Write JSON lines to the standard error if the settings say so.

    A program that has set up logging by itself goes on as it is: its handlers can be given a
    `JsonLines`.
    """
    root = logging.getLogger()
    if config.log_format != "json" or root.handlers:
        return
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    root.addHandler(handler)
    if root.level == logging.WARNING:  # what nobody has chosen
        root.setLevel(logging.INFO)


def _place() -> dict[str, Any]:
    """Return what the code at hand belongs to."""
    place, run = here(), running.get()
    told: dict[str, Any] = {}
    if place is not None:
        told |= {"trace_id": place.trace_id, "span_id": place.span_id}
    if run is not None and not run.ended:
        message = run.lease.message
        told |= {
            "job_id": message.id,
            "task": message.task,
            "queue": message.queue,
            "attempt": run.lease.attempt,
        }
    return told
