"""Open, make ready or close a room: `room SERVER ACTION URL` prints its answer as JSON."""

from __future__ import annotations

import importlib
import json
import sys


def main(server: str, action: str, url: str) -> None:
    """Do the action with the room module of that server."""
    rooms = importlib.import_module(f"benchmarks.peers.rooms.{server}")
    actions = {"open": rooms.open_room, "ready": rooms.make_ready, "close": rooms.close_room}
    print(json.dumps(actions[action](url)))


if __name__ == "__main__":
    main(*sys.argv[1:])
