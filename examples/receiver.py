"""Receives webhooks: what was not signed by Headrace is turned away, what comes again is done once.

Run `python receiver.py KEY` with a key of `GET /v1/webhooks/keys`, and give jobs the callback
`http://127.0.0.1:8048/`, which the setting `webhook_allow` has to allow.
"""

import json
import sys
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import SimpleQueue
from typing import Any

from headrace.errors import InvalidSignature
from headrace.webhooks import verify

LARGEST = 1024 * 1024

keys: list[str] = []
seen: set[str] = set()  # a table with a unique column, in real life
arrived: SimpleQueue[dict[str, Any]] = SimpleQueue()


def receive(body: bytes, headers: Mapping[str, str]) -> int:
    """Return the status to answer with. Any framework will do: it has the bytes that came."""
    try:
        message_id = verify(body, headers, keys)
    except InvalidSignature:
        return 401
    if message_id not in seen:
        seen.add(message_id)
        arrived.put(json.loads(body))
    return 204


class Receiver(BaseHTTPRequestHandler):
    """Answers webhooks."""

    def do_POST(self) -> None:
        """Take one in."""
        length = int(self.headers.get("Content-Length", 0))
        fits = 0 <= length <= LARGEST
        self.send_response(receive(self.rfile.read(length), dict(self.headers)) if fits else 413)
        self.end_headers()


if __name__ == "__main__":
    keys += sys.argv[1:]
    with ThreadingHTTPServer(("127.0.0.1", 8048), Receiver) as server:
        server.serve_forever()
