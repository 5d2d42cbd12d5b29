"""The demo over HTTP: every tenth file handed over to a gateway, and its result fetched there."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from headrace.app import App
from headrace.cli.demo_report import Report
from headrace.cli.library import Examination
from headrace.cli.output import say
from headrace.clock import Clock
from headrace.errors import EngineError

_SHARE = 10
_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a gateway answered with 202.

    Attributes:
        files: the files.
        places: where each job is, as its `Location` says.
        seconds: how long handing them over took, one after another.
    """

    files: tuple[str, ...]
    places: tuple[str, ...]
    seconds: float

    @property
    def ids(self) -> list[str]:
        """The ids of the jobs."""
        return [place.rpartition("/")[2] for place in self.places]


class Client:
    """Speaks HTTP to a gateway, over one connection.

    Args:
        url: where it is.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(
            parts.hostname or "", parts.port, timeout=_TIMEOUT
        )

    def close(self) -> None:
        """Let the connection go."""
        self._connection.close()

    def hand_over(self, files: Sequence[str], below: Path, clock: Clock) -> Accepted:
        """Hand over every tenth file, each by a request of its own.

        Raises:
            EngineError: one of them was not accepted.
        """
        chosen, places, began = tuple(files[::_SHARE]), [], clock.monotonic()
        for file in chosen:
            body = json.dumps({"file": file, "below": str(below)})
            status, headers, content = self._ask("POST", "/v1/tasks/examine", body)
            if status != http.client.ACCEPTED:
                raise EngineError(f"the gateway did not accept {file}: {status} {content!r}")
            places.append(headers["Location"])
        return Accepted(chosen, tuple(places), clock.monotonic() - began)

    def fetch(self, accepted: Accepted) -> dict[str, Examination]:
        """Fetch what was found, by file; of a job without a result nothing."""
        found = {}
        for place in accepted.places:
            _, _, content = self._ask("GET", place)
            result = json.loads(content).get("result")
            if result is not None:
                report = msgspec.convert(result, Report)
                found[report.examination.file] = report.examination
        return found

    def _ask(
        self, method: str, path: str, body: str | None = None
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        return answer.status, answer.headers, answer.read()


@contextmanager
def serving(app: App) -> Iterator[Client | None]:
    """Serve an App at a free port of this machine; gives a client, or None without the extra."""
    try:
        from headrace.gateway import Gateway, Settings  # noqa: PLC0415 - not everybody has it
        from headrace.gateway.server import Server, listen, url_of  # noqa: PLC0415 - as above
    except ModuleNotFoundError as error:
        say(f"without HTTP, which needs {error.name}: pip install 'headrace[server]'")
        yield None
        return
    with closing(listen("127.0.0.1", 0)) as listener:
        server = Server(Gateway(app, Settings(anonymous=True)))
        thread = threading.Thread(target=server.serve_at, args=(listener,), daemon=True)
        thread.start()
        try:
            with closing(Client(url_of(listener))) as client:
                yield client
        finally:
            server.stop()
            thread.join()
