"""An empty numbered database of a Redis, marked as taken."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

import redis

MARK = "headrace-bench"


def open_room(url: str) -> dict[str, str]:
    """Take the last numbered database that is empty."""
    server = redis.Redis.from_url(url, decode_responses=True)
    for number in reversed(range(int(settings_of(server, "databases")["databases"]))):
        room_url = urlunsplit(urlsplit(url)._replace(path=f"/{number}"))
        room = redis.Redis.from_url(room_url)
        if room.dbsize() == 0 and room.set(MARK, "1", nx=True):
            return {
                "url": room_url,
                "server": f"Redis {server.info('server')['redis_version']}",
                "durability": durability(settings_of(server, "append*", "save")),
            }
    raise SystemExit("no numbered database of this Redis is empty")


def settings_of(server: redis.Redis, *names: str) -> dict[str, str]:
    """Read settings back, as texts."""
    return {str(name): str(value) for name, value in server.config_get(*names).items()}


def durability(settings: dict[str, str]) -> str:
    """Say what survives a power cut with these settings."""
    if settings["appendonly"] == "yes":
        return f"append-only file, sync {settings['appendfsync']}"
    return "snapshots only" if settings["save"] else "memory only"


def make_ready(url: str) -> None:
    """Check that the room is there; a full one needs no more."""
    redis.Redis.from_url(url).ping()


def close_room(url: str) -> None:
    """Empty the database, if it bears our mark."""
    room = redis.Redis.from_url(url)
    if room.exists(MARK):
        room.flushdb()
