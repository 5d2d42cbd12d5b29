"""What `headrace doctor` prints of a server: read back, not assumed."""

from __future__ import annotations

from typing import Any

import psycopg

from headrace.engine import Inspection
from headrace.engines.postgresql.address import Address
from headrace.engines.postgresql.database import SCHEMA_VERSION
from headrace.engines.postgresql.link import Link

_OLD_SNAPSHOT_SECONDS = 60.0
_SETTINGS = (
    "fsync",
    "full_page_writes",
    "synchronous_commit",
    "synchronous_standby_names",
    "max_connections",
)
_ACTIVE = """
select pid, extract(epoch from clock_timestamp() - xact_start)::float8
from pg_stat_activity
where backend_xmin is not null and xact_start is not null and pid <> pg_backend_pid()
order by xact_start limit 1
"""
_DEAD = """
select coalesce(sum(n_dead_tup), 0)::bigint from pg_stat_all_tables
where schemaname = $1::text and relname in ('ready', 'running')
"""

_ONE_SERVER = {
    "accepted job survives a killed process": "yes, of ours and of the server's",
    "accepted job survives a power cut": "yes, if the drive honours flushes",
    "survives the loss of the machine": "no: back to the last backup",
    "effects in ctx.transaction()": "exactly once",
}
_AWAITED_STANDBY = {
    "accepted job survives a killed process": "yes, of ours and of the server's",
    "accepted job survives a power cut": "yes, if the drive honours flushes",
    "survives the loss of the machine": "yes",
    "effects in ctx.transaction()": "exactly once",
}
_UNAWAITED_STANDBY = {
    "accepted job survives a killed process": "yes, of ours and of the server's",
    "accepted job survives a power cut": "yes, if the drive honours flushes",
    "survives the loss of the machine": (
        "the newest commits are lost; what they finished may run again"
    ),
    "effects in ctx.transaction()": "exactly once, but for what a failover takes",
}
_UNSAFE = {
    "accepted job survives a killed process": "yes",
    "accepted job survives a power cut": "no: it may damage everything",
    "survives the loss of the machine": "no",
    "effects in ctx.transaction()": "exactly once, but for what a power cut takes",
}
_COMMON = {
    "delivery": "at least once",
    "order": "by priority, then acceptance; order keys one after another",
    "leases": "by the server's wall clock: a step of it prolongs or ends them",
}


def inspect(link: Link, address: Address) -> Inspection:
    """Read back what holds, instead of believing the configuration."""
    settings = {name: _setting(link, name) for name in _SETTINGS}
    ((in_recovery, version),) = link.say(
        "select pg_is_in_recovery(), (select version from headrace.engine)"
    )
    ((dead,),) = link.ask((_DEAD, (address.schema,)))
    oldest = link.say(_ACTIVE)
    shown = settings | {
        "in recovery": "yes" if in_recovery else "no",
        "schema": f"{address.schema}, version {version} (this version knows {SCHEMA_VERSION})",
        "connection": "to the server" if link.direct else "through a pooler",
        "dead rows of busy tables": str(dead),
    }
    number = link.raw.info.server_version
    return Inspection(
        engine=f"PostgreSQL {number // 10_000}.{number % 10_000} (psycopg {psycopg.__version__})",
        location=address.shown,
        settings=shown,
        guarantee=guarantee_of(settings),
        warnings=tuple(_warnings(settings, oldest, direct=link.direct)),
    )


def _setting(link: Link, name: str) -> str:
    ((value,),) = link.ask(("select current_setting($1::text)", (name,)))
    return str(value)


def guarantee_of(settings: dict[str, str]) -> dict[str, str]:
    """Return the row of the protocol's table that holds, and what is the same for all."""
    safe = settings["fsync"] == "on" and settings["full_page_writes"] == "on"
    standby = settings["synchronous_standby_names"] not in ("", "*off*")
    if not safe:
        row = _UNSAFE
    elif not standby:
        row = _ONE_SERVER
    elif settings["synchronous_commit"] in ("off", "local"):
        row = _UNAWAITED_STANDBY
    else:
        row = _AWAITED_STANDBY
    return row | _COMMON


def _warnings(
    settings: dict[str, str], oldest: list[tuple[Any, ...]], *, direct: bool
) -> list[str]:
    warnings = [
        f"{name} is off: a power cut may damage all of the data"
        for name in ("fsync", "full_page_writes")
        if settings[name] != "on"
    ]
    if settings["synchronous_commit"] == "off":
        warnings.append("synchronous_commit is off; what is promised is synced all the same")
    if oldest and oldest[0][1] > _OLD_SNAPSHOT_SECONDS:
        pid, seconds = oldest[0]
        warnings.append(
            f"process {pid} of the server has had a transaction open for {seconds:.0f} s: nothing"
            " is cleaned up meanwhile"
        )
    if not direct:
        warnings.append("through a pooler there may be no hints: jobs begin after up to `poll`")
    return warnings
