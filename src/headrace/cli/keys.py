"""Keys: `headrace keys create | list | rotate | revoke`: API keys of gateways."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import click
import msgspec

from headrace.cli.exits import Exit
from headrace.cli.output import Column, document, say, table
from headrace.cli.storage import Storage, opened
from headrace.cli.text import moment
from headrace.engine import Entry
from headrace.errors import JobNotFound
from headrace.gateway.caller import SCOPES
from headrace.gateway.door.keys import KEY_PREFIX, USE_PREFIX, Key, create, read, revoke, rotate
from headrace.gateway.quota import Quota

_DEFAULT_SCOPES = ("jobs:submit", "jobs:read", "jobs:write")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION = re.compile(r"(?P<count>[0-9]{1,9})(?P<unit>[smhd])")
_ALLOWANCE = re.compile(r"(?P<requests>[1-9][0-9]{0,8})/" + _DURATION.pattern)
_PAGE = 500
_COLUMNS = (
    Column("id", whole=True),
    Column("name"),
    Column("state"),
    Column("scopes"),
    Column("queues"),
    Column("tenant"),
    Column("quota"),
    Column("expires"),
    Column("used about"),
)


class KeyNotFound(JobNotFound):
    """There is no such key."""


class Duration(click.ParamType[float]):
    """A time such as `90d`, in seconds."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the seconds."""
        if isinstance(value, float):
            return value
        found = _DURATION.fullmatch(value)
        if found is None:
            self.fail(f"{value!r} is no time such as 90d, 12h, 30m or 10s", param, ctx)
        return int(found["count"]) * _UNITS[found["unit"]]


class Allowance(click.ParamType[Quota]):
    """So many requests in a time, such as `600/1m`."""

    name = "allowance"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Quota:
        """Return the quota."""
        if isinstance(value, Quota):
            return value
        found = _ALLOWANCE.fullmatch(value)
        if found is None:
            self.fail(f"{value!r} is no quota such as 600/1m", param, ctx)
        seconds = int(found["count"]) * int(_UNITS[found["unit"]])
        return Quota(int(found["requests"]), max(1, seconds))


@click.group(no_args_is_help=True)
def keys() -> None:
    """Create, list, rotate and revoke API keys of gateways."""


@keys.command("create")
@click.option("--name", default="", help="What it is for.")
@click.option(
    "--scope", "scopes", type=click.Choice(SCOPES), multiple=True, default=_DEFAULT_SCOPES,
    show_default=True, help="What it may do; for several, repeat it.",
)  # fmt: skip
@click.option(
    "--queue", "queues", metavar="PATTERN", multiple=True,
    help="Which queues it may use, such as mail-* [default: all]; may be repeated.",
)  # fmt: skip
@click.option("--tenant", metavar="NAME", help="Whose jobs it sees and submits [default: all].")
@click.option("--expires", type=Duration(), metavar="TIME", help="When it ends, such as 90d.")
@click.option(
    "--quota", type=Allowance(), metavar="N/TIME", help="Requests in a time, such as 600/1m."
)
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON document.")
def create_key(expires: float | None, *, as_json: bool, **terms: Any) -> None:
    """Create a key and print it: this once, since only its digest is kept."""
    with opened(new=True) as storage:
        now = storage.clock.now()
        ends = None if expires is None else now + expires
        key, token = create(storage.ids, now, expires_at=ends, **terms)
        storage.apply(key.put(expect=0))
    _print(key, token, as_json=as_json)


@keys.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def list_keys(*, as_json: bool) -> None:
    """List keys, revoked ones as well, without what opens anything."""
    with opened() as storage:
        now = storage.clock.now()
        used = {
            entry.key.removeprefix(USE_PREFIX): float(entry.value)
            for entry in _entries(storage, USE_PREFIX)
        }
        found = [read(entry) for entry in _entries(storage, KEY_PREFIX)]
    found.sort(key=lambda key: key.created_at)
    if as_json:
        document({"keys": [_as_json(key, now, used.get(key.id)) for key in found]})
    else:
        table(_COLUMNS, (_row(key, now, used.get(key.id)) for key in found))


@keys.command("rotate")
@click.argument("key_id", metavar="ID")
@click.option(
    "--grace", type=Duration(), default="1d", show_default=True, metavar="TIME",
    help="How long the old secret still holds.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON document.")
def rotate_key(key_id: str, grace: float, *, as_json: bool) -> None:
    """Give a key a new secret and print it; the old one holds for a while."""
    with opened() as storage:
        entry = _entry(storage, key_id)
        key, token = rotate(read(entry), storage.ids, storage.clock.now(), grace)
        storage.apply(key.put(expect=entry.version))
    _print(key, token, as_json=as_json)


@keys.command("revoke")
@click.argument("key_ids", nargs=-1, required=True, metavar="ID...")
def revoke_keys(key_ids: tuple[str, ...]) -> Exit:
    """Let keys open nothing any more: every gateway knows within 5 seconds."""
    with opened() as storage:
        found = [_entry(storage, key_id) for key_id in key_ids]
        for entry in found:
            key = revoke(read(entry), storage.clock.now())
            storage.apply(key.put(expect=entry.version))
            click.echo(f"key {key.id} revoked")
    return Exit.OK


def _print(key: Key, token: str, *, as_json: bool) -> None:
    if as_json:
        document({"token": token, **_as_json(key, key.created_at, None)})
        return
    click.echo(token)
    say(f"key {key.id}: keep it now, it is not shown again; it may {', '.join(key.scopes)}")


def _entries(storage: Storage, prefix: str) -> Iterator[Entry]:
    after = ""
    while page := storage.ask(storage.engine.scan(prefix, limit=_PAGE, after=after)):
        yield from page
        after = page[-1].key


def _entry(storage: Storage, key_id: str) -> Entry:
    found = storage.ask(storage.engine.scan(KEY_PREFIX + key_id, limit=1))
    if not found or found[0].key != KEY_PREFIX + key_id:
        raise KeyNotFound(f"there is no key {key_id}; headrace keys list shows all")
    return found[0]


def _state(key: Key, now: float) -> str:
    if key.revoked_at is not None:
        return "revoked"
    if not key.live(now):
        return "expired"
    return "rotating" if now < key.former_until else "live"


def _row(key: Key, now: float, used: float | None) -> tuple[object, ...]:
    quota = key.quota
    return (
        key.id,
        key.name,
        _state(key, now),
        ", ".join(key.scopes),
        ", ".join(key.queues),
        key.tenant,
        None if quota is None else f"{quota.requests}/{quota.seconds}s",
        moment(key.expires_at),
        moment(used),
    )


def _as_json(key: Key, now: float, used: float | None) -> dict[str, Any]:
    quota = key.quota
    return {
        "id": key.id,
        "name": key.name,
        "state": _state(key, now),
        "scopes": list(key.scopes),
        "queues": list(key.queues),
        "tenant": key.tenant,
        "quota": None if quota is None else msgspec.structs.asdict(quota),
        "created_at": moment(key.created_at),
        "expires_at": moment(key.expires_at),
        "revoked_at": moment(key.revoked_at),
        "used_at": moment(used),
    }
