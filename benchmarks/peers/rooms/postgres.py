"""A new database on a PostgreSQL server."""

from __future__ import annotations

import secrets
from urllib.parse import urlsplit, urlunsplit

import psycopg

NAME = "headrace_bench_"


def open_room(url: str) -> dict[str, str]:
    """Create a database with a name that nobody else has."""
    name = NAME + secrets.token_hex(6)
    with psycopg.connect(url, autocommit=True, connect_timeout=5) as server:
        server.execute(f"create database {name}")
        settings = {
            key: value
            for key in ("server_version", "fsync", "synchronous_commit")
            for (value,) in server.execute(f"show {key}").fetchall()
        }
    synced = settings["fsync"] == "on" and settings["synchronous_commit"] != "off"
    return {
        "url": urlunsplit(urlsplit(url)._replace(path=f"/{name}")),
        "server": f"PostgreSQL {settings['server_version'].split()[0]}",
        "durability": "synced" if synced else "not synced",
    }


def make_ready(url: str) -> None:
    """Gather the statistics of a table just filled, as autovacuum would within a minute."""
    with psycopg.connect(url, autocommit=True) as room:
        room.execute("analyze")


def close_room(url: str) -> None:
    """Drop the database, if its name is one of ours."""
    name = urlsplit(url).path.removeprefix("/")
    if not name.startswith(NAME):
        raise SystemExit(f"{name} is not a database that the benchmark made; it stays")
    maintenance = urlunsplit(urlsplit(url)._replace(path="/postgres"))
    with psycopg.connect(maintenance, autocommit=True) as server:
        server.execute(f"drop database {name} with (force)")
